/* gear-pack: compresses K and V of .npy files and shows what each codec costs and loses, beside exact attention. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/args.h"
#include "rows.h"

typedef struct paths {
    const char **items;
    size_t count;
} paths;

typedef struct options {
    paths k, v, q;
    float scale;
    const char *json;
    device_flags device;
    codec_flags codec;
} options;

enum { KEY_K = 0x600, KEY_V, KEY_Q, KEY_SCALE, KEY_JSON };

static const struct argp_option option_table[] = {
    {"k", KEY_K, "FILE", 0, "Keys [KV heads, tokens, head_dim], .npy of float16 or float32, as the model caches them", 1},
    {"v", KEY_V, "FILE", 0, "Values, of the same shape", 0},
    {"q", KEY_Q, "FILE", 0, "Queries [query heads, m, head_dim] of the last m positions", 0},
    {"scale", KEY_SCALE, "S", 0, "Factor of q.k before the softmax [1 / sqrt(head_dim)]", 0},
    {"json", KEY_JSON, "FILE", 0, "Also write the rows here", 2},
    {0}};

static const char doc[] =
    "Compresses keys and values and prints what each codec costs and loses."
    "\v"
    "Without codec flags there is a row for 16 bits and, for each backbone at 2, 3 and 4 bits, for the backbone alone, with a "
    "low-rank part (+L: rank 4) and with outliers too (+L+S: 2 %). --exact-first, --window and --recent hold for every row. "
    "--k, --v and --q may be repeated, once a layer: errors, energies and times are then means over the layers, bytes are "
    "sums.\n\n"
    "All tokens are appended in one call: the whole blocks of 64, but the newest --recent tokens, become a prompt segment and "
    "the rest stays in the 16-bit window.\n\n"
    "bits/value counts all that compressed tokens occupy (codes, scales, low rank, outliers, exact tokens, tables) over the "
    "compressed tokens, and again with the window over all tokens. rel K, V and attention are Frobenius norms of the error "
    "over those of the exact tensor, over all tokens; exact attention is computed in double precision from the files, "
    "causally. Energy is the share of the residual that L removes: 1 - |X-D-L|^2 / |X-D|^2 over the compressed tokens, "
    "measured by running the codec with and without L; where there are outliers, both runs have them, and they leave no "
    "residual. Times are wall time of a verb and the wait for it, when warm.\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static void add_path(paths *list, const char *path, const struct argp_state *state)
{
    const char **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (!grown) {
        argp_failure(state, EXIT_DEVICE, 0, "host memory exhausted");
        return;
    }
    list->items = grown;
    list->items[list->count++] = path;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->device;
        state->child_inputs[1] = &o->codec;
        return 0;
    case KEY_K:
        add_path(&o->k, text, state);
        return 0;
    case KEY_V:
        add_path(&o->v, text, state);
        return 0;
    case KEY_Q:
        add_path(&o->q, text, state);
        return 0;
    case KEY_JSON:
        o->json = text;
        return 0;
    case KEY_SCALE:
        o->scale = args_float("scale", text, state);
        if (!(o->scale > 0))
            argp_failure(state, EXIT_INPUT, 0, "--scale: '%s' is not above 0", text);
        return 0;
    case ARGP_KEY_ARG:
        argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option; files come as --k, --v and --q", text);
        return 0;
    case ARGP_KEY_END:
        if (!o->k.count)
            argp_failure(state, EXIT_INPUT, 0, "--k FILE and --v FILE are needed; see --help");
        if (o->v.count != o->k.count || (o->q.count && o->q.count != o->k.count))
            argp_failure(state, EXIT_INPUT, 0, "--k, --v and --q must be given equally often (%zu, %zu, %zu)", o->k.count,
                         o->v.count, o->q.count);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool load_inputs(const options *o, const device *dev, input *inputs, host_error *error)
{
    for (size_t i = 0; i < o->k.count; ++i)
        if (!input_load(&inputs[i], o->k.items[i], o->v.items[i], o->q.count ? o->q.items[i] : NULL, o->scale, dev, error))
            return false;
    return true;
}

static bool measure_all(const options *o, measurer *m, const input *inputs, row *rows, size_t count, host_error *error)
{
    gear_codec_pair codecs[DEFAULT_ROWS];
    bool tty = isatty(STDERR_FILENO), ok = true;
    residual_list known = {0};
    if (o->codec.codec_given)
        codecs[0] = o->codec.pair;
    else
        default_codecs(codecs);
    for (size_t i = 0; ok && i < count; ++i) {
        if (tty) {
            char name[48];
            codec_name(&codecs[i], name, sizeof name);
            fprintf(stderr, "\r\033[K%zu of %zu: %s", i + 1, count, name);
        }
        ok = measure_row(m, &codecs[i], inputs, o->k.count, &known, &rows[i], error);
    }
    if (tty)
        fprintf(stderr, "\r\033[K");
    residuals_free(&known);
    return ok;
}

static bool pack(const options *o, host_error *error)
{
    bool ok = false;
    size_t count = o->codec.codec_given ? 1 : DEFAULT_ROWS;
    FILE *json = NULL;
    device dev = {0};
    gear_error detail = {0};
    measurer m = {.dev = &dev, .flags = &o->codec};
    input *inputs = calloc(o->k.count, sizeof *inputs);
    row *rows = calloc(count, sizeof *rows);
    char *programs = args_program_cache(&o->device);
    if (!inputs || !rows) {
        fail(error, EXIT_DEVICE, "host memory exhausted");
        goto cleanup;
    }
    if (!open_device(o->device.device, &dev, error) || !load_inputs(o, &dev, inputs, error))
        goto cleanup;
    if (o->json && !(json = report_open(o->json, error)))
        goto cleanup;
    gear_context_desc desc;
    gear_context_desc_init(&desc);
    desc.context = dev.context;
    desc.device = dev.id;
    desc.program_cache_dir = programs;
    if (!gear_ok(gear_context_create(&desc, &m.context, &detail), &detail, error) ||
        !measure_all(o, &m, inputs, rows, count, error))
        goto cleanup;
    printf("%s on %s (%s)\n", dev.name, dev.platform_name, device_kind(dev.type));
    ok = rows_print(rows, count, error);
    if (ok && json) {
        json_t *root = rows_json(rows, count, &dev);
        ok = report_write(root, json, o->json, error);
        json_decref(root);
        json = NULL;
    }
cleanup:
    if (json)
        fclose(json);
    measurer_free(&m);
    gear_context_destroy(m.context);
    for (size_t i = 0; inputs && i < o->k.count; ++i)
        input_free(&inputs[i]);
    close_device(&dev);
    free(inputs);
    free(rows);
    free(programs);
    return ok;
}

int main(int argc, char **argv)
{
    static char program[] = "gear-pack";
    options o = {0};
    host_error error = {0};
    codec_flags_init(&o.codec);
    args_setup();
    const struct argp_child children[] = {{&device_argp, 0, NULL, 3}, {&codec_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {option_table, parse, NULL, doc, children, NULL, NULL};
    argv[0] = program; /* getopt's messages begin with it */
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    bool ok = pack(&o, &error);
    free(o.k.items);
    free(o.v.items);
    free(o.q.items);
    return ok ? 0 : report_failure(program, &error);
}
