/* gear-llm: runs a language model of the Llama architecture with the library's compressed cache. */
#include <string.h>

#include "args.h"
#include "error.h"
#include "modes.h"

typedef struct mode {
    const char *word;
    int (*run)(int argc, char **argv);
} mode;

static const mode modes[] = {{"generate", mode_generate}, {"eval", mode_eval}, {"solve", mode_solve}, {"batch", mode_batch}};
enum { NUM_MODES = sizeof modes / sizeof *modes };

static const char doc[] = "Runs a language model with a compressed key/value cache."
                          "\v"
                          "MODE is one of\n"
                          "  generate  continue a prompt\n"
                          "  eval      perplexity and divergence from the 16-bit cache over a text\n"
                          "  solve     share of problems whose answer is right\n"
                          "  batch     largest batch under a memory budget, and its speed\n"
                          "gear-llm MODE --help tells more.\n\n"
                          "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

/* What the first word of the command line chose. */
typedef struct choice {
    const mode *chosen;
    int first; /* its place in argv */
} choice;

static error_t parse(int key, char *text, struct argp_state *state)
{
    choice *c = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        for (size_t i = 0; i < NUM_MODES; ++i)
            if (!strcmp(text, modes[i].word))
                c->chosen = &modes[i];
        if (!c->chosen)
            argp_failure(state, EXIT_INPUT, 0, "'%s' is none of generate, eval, solve, batch", text);
        c->first = state->next - 1;
        state->next = state->argc; /* the rest is the mode's */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_failure(state, EXIT_INPUT, 0, "a mode is needed: generate, eval, solve or batch; see --help");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static char program[] = "gear-llm";
    const struct argp parser = {NULL, parse, "MODE [OPTION...]", doc, NULL, NULL, NULL};
    choice c = {0};
    args_setup();
    argv[0] = program;
    argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &c);
    return c.chosen->run(argc - c.first, argv + c.first);
}
