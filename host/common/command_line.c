/* command_line.c: a parser without flags of its own above the program's and the shared ones, see command_line.h. */
#include "command_line.h"

typedef struct inputs {
    void *own;
    command_flags *flags;
} inputs;

static error_t hand_on(int key, char *text, struct argp_state *state)
{
    const inputs *in = state->input;
    (void)text;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = in->own;
    state->child_inputs[1] = &in->flags->device;
    state->child_inputs[2] = &in->flags->codec;
    return 0;
}

void command_line(const command_spec *command, int argc, char **argv, void *input, command_flags *flags)
{
    const struct argp own = {command->options, command->parse, NULL, NULL, NULL, NULL, NULL};
    const struct argp_child children[] = {{&own, 0, NULL, 0}, {&device_argp, 0, NULL, 3}, {&codec_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {NULL, hand_on, NULL, command->doc, children, NULL, NULL};
    inputs in = {input, flags};
    codec_flags_init(&flags->codec);
    flags->codec.overrides = command->codec_overrides;
    args_setup();
    argv[0] = command->name; /* getopt's messages begin with it */
    argp_parse(&parser, argc, argv, 0, NULL, &in);
}
