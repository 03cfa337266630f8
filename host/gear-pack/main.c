/* gear-pack: compresses K and V of .npy files and shows what each recipe costs and loses, beside exact attention. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/command_line.h"
#include "../common/layer_files.h"
#include "rows.h"

typedef struct options {
    layer_files files;
    uint32_t order; /* index in orders[], or ORDER_DEFAULT */
    const char *json, *codec;
    command_flags flags;
} options;

enum { KEY_ORDER = 0x600, KEY_JSON, KEY_CODEC };

static const char *const orders[] = {"variance", "queries"};
enum { ORDER_VARIANCE, ORDER_QUERIES, ORDER_DEFAULT };

static const struct argp_option option_table[] = {
    LAYER_FILES_OPTIONS,
    {"order", KEY_ORDER, "BY", 0,
     "Channel order of the mixed backbone: variance (of the keys alone) or queries (times their mean square) [queries with "
     "--q]",
     0},
    {"codec", KEY_CODEC, "FILE", 0, "Codecs of a file for each layer, as gear-plan writes it, instead of codec flags", 0},
    {"json", KEY_JSON, "FILE", 0, "Also write the rows here", 2},
    {0}};

static const char doc[] =
    "Compresses keys and values and prints what each codec costs and loses."
    "\v"
    "Without codec flags there is a row for 16 bits, for each of the paper's backbones at 2, 3 and 4 bits alone, with a "
    "low-rank part (+L: rank 4) and with outliers too (+L+S: 2 %), and for each preset, sorted by bits per value. There "
    "--window and --recent (0 unless given) hold for every row, --exact-first for every row if given. --k, --v and --q may be "
    "repeated, once a layer: errors, energies and times are then means over the layers, bytes are sums.\n\n"
    "All tokens are appended in one call: the whole blocks of 64, but the newest --recent tokens, become a prompt segment and "
    "the rest stays in the 16-bit window.\n\n"
    "The mixed backbone orders the channels of K. With two or more queries the order is made with the first half of them (as "
    "if they were the prompt's), and the attention of every row of the table is scored with the second half, whatever --order "
    "says, so that rows compare; --json has the error over all queries too. A table without a mixed row scores all queries.\n\n"
    "bits/value counts all that compressed tokens occupy (codes, scales, low rank, outliers, exact tokens, tables) over the "
    "compressed tokens, and again with the window over all tokens. rel K, V and attention are Frobenius norms of the error "
    "over those of the exact tensor, over all tokens; exact attention is computed in double precision from the files, "
    "causally. Energy is the share of the residual that L removes: 1 - |X-D-L|^2 / |X-D|^2 over the compressed tokens, "
    "measured by running the codec with and without L; where there are outliers, both runs have them, and they leave no "
    "residual. Times are wall time of a verb and the wait for it, when warm. Values that are infinite in half precision are "
    "counted in a line below the table.\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_JSON: o->json = text; return 0;
    case KEY_CODEC: o->codec = text; return 0;
    case KEY_ORDER: o->order = args_choice("order", text, orders, 2, state); return 0;
    case ARGP_KEY_ARG:
        argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option; files come as --k, --v and --q", text);
        return 0;
    case ARGP_KEY_END:
        if (!o->files.k.count)
            argp_failure(state, EXIT_INPUT, 0, "--k FILE and --v FILE are needed; see --help");
        layer_files_check(&o->files, 1, state);
        if (o->order == ORDER_QUERIES && !o->files.q.count)
            argp_failure(state, EXIT_INPUT, 0, "--order queries needs --q");
        return 0;
    default: return layer_files_parse(&o->files, key, text, state);
    }
}

static bool load_inputs(const options *o, const device *dev, input *inputs, host_error *error)
{
    for (size_t i = 0; i < o->files.k.count; ++i)
        if (!input_load(&inputs[i], o->files.k.items[i], o->files.v.items[i], o->files.q.count ? o->files.q.items[i] : NULL,
                        o->files.scale, dev, error))
            return false;
    for (size_t i = 0; o->order == ORDER_QUERIES && i < o->files.k.count; ++i)
        if (!input_first_half(&inputs[i]))
            return fail(error, EXIT_INPUT, "%s: --order queries needs two queries or more", o->files.q.items[i]);
    return true;
}

/* What the rows of the table are of. */
typedef struct contents {
    recipe *recipes;  /* owned: [count]; NULL: the codecs of --codec */
    codec_file codec; /* layers owned */
    size_t count;
} contents;

static bool read_codec(const options *o, contents *c, host_error *error)
{
    if (codec_flags_any(&o->flags.codec))
        return fail(error, EXIT_INPUT, "--codec goes with no codec flags");
    if (!codec_file_read(o->codec, &c->codec, error))
        return false;
    c->count = 1;
    return c->codec.count == 1 || c->codec.count == o->files.k.count ||
           fail(error, EXIT_INPUT, "%s: codecs for %u layers; --k is given %zu times", o->codec, c->codec.count,
                o->files.k.count);
}

static bool choose_contents(const options *o, uint32_t head_dim, contents *c, host_error *error)
{
    if (o->codec)
        return read_codec(o, c, error);
    if (!codec_flags_one(&o->flags.codec)) {
        c->recipes = default_recipes(&o->flags.codec, head_dim, &c->count, error);
        return c->recipes;
    }
    c->count = 1;
    c->recipes = malloc(sizeof *c->recipes);
    return c->recipes ? codec_flags_recipe(&o->flags.codec, head_dim, c->recipes, error)
                      : fail(error, EXIT_DEVICE, "host memory exhausted");
}

static scoring choose_scoring(const options *o, const input *inputs, const contents *c)
{
    scoring how = {0};
    for (size_t i = 0; c->recipes && i < c->count; ++i)
        how.any_ordered = how.any_ordered || recipe_ordered(&c->recipes[i]);
    for (uint32_t i = 0; i < c->codec.count; ++i)
        how.any_ordered = how.any_ordered || c->codec.layers[i].k.backbone == GEAR_BACKBONE_MIXED;
    how.halved = how.any_ordered;
    for (size_t i = 0; i < o->files.k.count; ++i)
        how.halved = how.halved && input_first_half(&inputs[i]);
    how.weighted = how.halved && o->order != ORDER_VARIANCE;
    return how;
}

static bool measure_all(const options *o, measurer *m, const input *inputs, const contents *c, row *rows, host_error *error)
{
    bool tty = isatty(STDERR_FILENO), ok = true;
    residual_list known = {0};
    if (!c->recipes)
        return measure_file_row(m, o->codec, &c->codec, inputs, o->files.k.count, rows, error);
    for (size_t i = 0; ok && i < c->count; ++i) {
        if (tty) {
            char name[48];
            recipe_name(&c->recipes[i], name, sizeof name);
            fprintf(stderr, "\r\033[K%zu of %zu: %s", i + 1, c->count, name);
        }
        ok = measure_row(m, &c->recipes[i], inputs, o->files.k.count, &known, &rows[i], error);
    }
    if (tty)
        fprintf(stderr, "\r\033[K");
    residuals_free(&known);
    return ok;
}

static void print_heading(const device *dev, const scoring *how)
{
    printf("%s on %s (%s)", dev->name, dev->platform_name, device_kind(dev->type));
    if (how->any_ordered)
        printf("; channel order by variance%s", how->weighted ? " and the first half of the queries" : " alone");
    if (how->halved)
        printf("; attention scored with the second half%s", how->weighted ? "" : " of the queries");
    printf("\n");
}

static bool pack(const options *o, host_error *error)
{
    bool ok = false;
    contents c = {0};
    out_file json = {0};
    device dev = {0};
    measurer m = {.dev = &dev};
    row *rows = NULL;
    input *inputs = calloc(o->files.k.count, sizeof *inputs);
    char *programs = args_program_cache(&o->flags.device);
    if (!inputs) {
        fail(error, EXIT_DEVICE, "host memory exhausted");
        goto cleanup;
    }
    if (!open_device(o->flags.device.device, &dev, error) || !load_inputs(o, &dev, inputs, error) ||
        !choose_contents(o, inputs[0].head_dim, &c, error))
        goto cleanup;
    if (!(rows = calloc(c.count, sizeof *rows))) {
        fail(error, EXIT_DEVICE, "host memory exhausted");
        goto cleanup;
    }
    scoring how = choose_scoring(o, inputs, &c);
    m.weighted = how.weighted;
    m.halved = how.halved;
    if (o->json && !out_open(&json, o->json, error))
        goto cleanup;
    if (!open_library(&dev, programs, &m.context, error) || !measure_all(o, &m, inputs, &c, rows, error))
        goto cleanup;
    print_heading(&dev, &how);
    rows_sort(rows, c.count);
    ok = rows_print(rows, c.count, error);
    if (ok && json.stream) {
        json_t *root = rows_json(rows, c.count, &how, &dev);
        ok = report_write(root, &json, error);
        json_decref(root);
    }
cleanup:
    out_discard(&json);
    measurer_free(&m);
    gear_context_destroy(m.context);
    for (size_t i = 0; inputs && i < o->files.k.count; ++i)
        input_free(&inputs[i]);
    close_device(&dev);
    free(inputs);
    free(rows);
    free(c.recipes);
    free(c.codec.layers);
    free(programs);
    return ok;
}

int main(int argc, char **argv)
{
    static char program[] = "gear-pack";
    options o = {.order = ORDER_DEFAULT};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, false};
    command_line(&command, argc, argv, &o, &o.flags);
    bool ok = pack(&o, &error);
    layer_files_free(&o.files);
    return ok ? 0 : report_failure(program, &error);
}
