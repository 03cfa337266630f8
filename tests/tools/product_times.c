/* product_times.c: times the two ways in which gear-llm multiplies a matrix by many vectors (host/gear-llm/linear.h), for the
 * tables of docs/llm.md: milliseconds from the first call until the device is done. */
#include <math.h>
#include <stdio.h>

#include "args.h"
#include "linear.h"
#include "report.h"
#include "timer.h"

enum { MOST_COUNTS = 32, MOST_TOKENS = 1 << 16 };

typedef struct options {
    uint32_t rows, columns, repeat;
    const char *type;
    uint32_t tokens[MOST_COUNTS], num_tokens;
    device_flags device;
} options;

static const struct argp_option option_table[] = {{"repeat", 'r', "N", 0, "Best of so many [8]", 0}, {0}};

static const char doc[] =
    "Times products of a matrix (4096 x 4096 of Q4_1 blocks, or as given) with 1, 2, 4, ... 1024 tokens by "
    "the own kernel, and by CLBlast on the matrix as float32.";

static void add_tokens(options *o, const char *text, const struct argp_state *state)
{
    const uint32_t tokens = args_u32("TOKENS", text, state);
    if (!tokens || tokens > MOST_TOKENS || o->num_tokens == MOST_COUNTS)
        argp_failure(state, EXIT_INPUT, 0, "TOKENS: '%s' is not 1 to %d, or one of more than %d", text, MOST_TOKENS,
                     MOST_COUNTS);
    else
        o->tokens[o->num_tokens++] = tokens;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->device; return 0;
    case 'r': o->repeat = args_u32("repeat", text, state); return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            o->rows = args_u32("ROWS", text, state);
        else if (state->arg_num == 1)
            o->columns = args_u32("COLUMNS", text, state);
        else if (state->arg_num == 2)
            o->type = text;
        else
            add_tokens(o, text, state);
        return 0;
    case ARGP_KEY_END:
        if (!o->repeat)
            argp_failure(state, EXIT_INPUT, 0, "--repeat is at least 1");
        if (!o->num_tokens)
            while (o->num_tokens <= 10) {
                o->tokens[o->num_tokens] = 1u << o->num_tokens;
                ++o->num_tokens;
            }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* A model that has the matrix as its gate, and what it is multiplied on. */
typedef struct bench {
    device dev;
    kernels *k;
    model m;
    weights w;
    linear *products;
    cl_mem x, y;
} bench;

static cl_mem activations(const bench *b, uint32_t tokens, uint32_t values, host_error *error)
{
    const cl_float one = 1.0f;
    const size_t bytes = (size_t)tokens * values * sizeof one;
    cl_int code;
    cl_mem mem = clCreateBuffer(b->dev.context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (!cl_ok(code, "clCreateBuffer", error) ||
        !cl_ok(clEnqueueFillBuffer(b->dev.queue, mem, &one, sizeof one, 0, bytes, 0, NULL, NULL), "clEnqueueFillBuffer", error))
        return NULL;
    return mem;
}

static bool open_bench(const options *o, bench *b, host_error *error)
{
    char geometry[128];
    uint32_t most = 0;
    snprintf(geometry, sizeof geometry, "d=%u,layers=1,heads=1,kv=1,head_dim=64,ff=%u,vocab=32,type=%s", o->columns, o->rows,
             o->type);
    for (uint32_t i = 0; i < o->num_tokens; ++i)
        most = o->tokens[i] > most ? o->tokens[i] : most;
    if (!model_synthesize(geometry, 1, &b->m, error) || !open_device(o->device.device, &b->dev, error) ||
        !kernels_create(&b->dev, &b->k, error) || !weights_create(&b->dev, b->k, &b->m, &b->w, error) ||
        !linear_create(&b->dev, b->k, &b->w, most, &b->products, error))
        return false;
    b->x = activations(b, most, o->columns, error);
    b->y = b->x ? activations(b, most, o->rows, error) : NULL;
    return b->y != NULL;
}

static void close_bench(bench *b)
{
    if (b->x)
        clReleaseMemObject(b->x);
    if (b->y)
        clReleaseMemObject(b->y);
    linear_destroy(b->products);
    weights_free(&b->w);
    kernels_destroy(b->k);
    model_free(&b->m);
    close_device(&b->dev);
}

typedef bool product(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error);

/* The best of o->repeat, behind one that warms up. */
static bool best_of(const options *o, bench *b, product *apply, uint32_t tokens, double *best, host_error *error)
{
    *best = INFINITY;
    for (uint32_t i = 0; i <= o->repeat; ++i) {
        const double start = timer_ms();
        if (!apply(b->products, &b->w.layers[0].roles[MODEL_GATE], b->x, tokens, b->y, false, error) ||
            !cl_ok(clFinish(b->dev.queue), "clFinish", error))
            return false;
        if (i)
            *best = fmin(*best, timer_ms() - start);
    }
    return true;
}

static bool run(const options *o, host_error *error)
{
    bench b = {0};
    bool ok = open_bench(o, &b, error);
    if (ok)
        printf("%u x %u, %s, on %s, best of %u in ms\n\n| tokens | own kernel | float32 and CLBlast |\n|---|---|---|\n",
               o->rows, o->columns, o->type, b.dev.name, o->repeat);
    for (uint32_t i = 0; ok && i < o->num_tokens; ++i) {
        double rows, gemm;
        ok = best_of(o, &b, linear_apply_rows, o->tokens[i], &rows, error) &&
             best_of(o, &b, linear_apply_gemm, o->tokens[i], &gemm, error);
        if (ok)
            printf("| %u | %.3g | %.3g |\n", o->tokens[i], rows, gemm);
    }
    close_bench(&b);
    return ok && stdout_ok(error);
}

int main(int argc, char **argv)
{
    static char program[] = "product_times";
    options o = {.rows = 4096, .columns = 4096, .repeat = 8, .type = "q4_1"};
    host_error error = {0};
    const struct argp_child children[] = {{&device_argp, 0, NULL, 1}, {0}};
    const struct argp parser = {option_table, parse, "[ROWS COLUMNS [q4_1|f16 [TOKENS...]]]", doc, children, NULL, NULL};
    args_setup();
    argv[0] = program;
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    return run(&o, &error) ? 0 : report_failure(program, &error);
}
