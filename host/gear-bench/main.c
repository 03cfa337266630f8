/* gear-bench: how fast attend and append are on a device, against what its memory can do, for the shapes of a text file. */
#include <stdlib.h>

#include "../common/args.h"
#include "../common/report.h"
#include "openmp_attend.h"
#include "page.h"
#include "suite.h"
#include "wait_policy.h"

typedef struct options {
    device_flags device;
    const char *shapes, *data, *json, *csv, *report;
    const char **compare; /* [num_compare] */
    size_t num_compare;
    uint32_t attend; /* index in attend_kernel_names[] */
    suite_options suite;
    uint32_t buffer_mib;
    bool stages;
} options;

enum {
    KEY_SHAPES = 0x600,
    KEY_DATA,
    KEY_ATTEND,
    KEY_JSON,
    KEY_CSV,
    KEY_REPORT,
    KEY_COMPARE,
    KEY_REPEAT,
    KEY_SECONDS,
    KEY_BUFFER,
    KEY_STAGES,
    KEY_NO_BASELINE,
    KEY_STOP
};

static const struct argp_option option_table[] = {
    {"shapes", KEY_SHAPES, "FILE", 0, "What to measure, one shape a line (host/gear-bench/shapes has some)", 1},
    {"data", KEY_DATA, "DIR", 0,
     "Folder of the keys and values of a model, for shapes with data=real (its middle layer) or data=real:N (layer N): "
     "L00_k_post.npy, L00_v.npy and so on, float16 [heads, tokens, channels] (tests/data/smollm2-kv has some)",
     0},
    {"attend", KEY_ATTEND, "KERNEL", 0, "auto, portable, cpu or nvidia [auto]", 0},
    {"repeat", KEY_REPEAT, "N", 0, "Rounds of each clock, 1 to 1000 [as many as fit --seconds, at least 5]", 0},
    {"seconds", KEY_SECONDS, "S", 0, "Time of each of the three clocks, for each verb [0.5]", 0},
    {"buffer", KEY_BUFFER, "MIB", 0, "Size of the buffer that bandwidth is measured on, at most [1024]", 0},
    {"stop-after", KEY_STOP, "S", 0,
     "Begin no further row after so many seconds; the rest is left out, and --json says how much [never]", 0},
    {"no-16bit", KEY_NO_BASELINE, NULL, 0, "Leave out the 16-bit codec that every row is compared with", 0},
    {"stages", KEY_STAGES, NULL, 0, "Print the time of each kernel too (--json always has it)", 2},
    {"json", KEY_JSON, "FILE", 0, "Also write everything here", 0},
    {"csv", KEY_CSV, "FILE", 0, "Also write a line a row, and one for each of its stages, here", 0},
    {"report", KEY_REPORT, "FILE", 0, "Also write a page with figures here (HTML)", 0},
    {"compare", KEY_COMPARE, "FILE", 0,
     "Put the results of an earlier --json, or of ci/bench_peers.py, beside these in --report; may be repeated, and goes "
     "without --shapes too",
     0},
    {0}};

static const char doc[] =
    "Measures attend and append on one device."
    "\v"
    "A line of the shapes file is: attend, append or both; batch; KV heads; query heads per KV head; tokens; head_dim; query "
    "tokens; any of decode, shuffled, ragged, window=N, decode-block, data=real, data=real:N; codec flags as of gear-info, "
    "such as --preset gear_2_6.\n\n"
    "Every result is checked before it is timed and again after: attend against double precision on what gear_reconstruct "
    "returns, for a sample of heads, and all sequences against each other; append by the error of what it stored. A wrong "
    "result has no numbers.\n\n"
    "us is the best time on the device's clock of one verb among many queued behind each other, launch gaps included; kernels "
    "the best sum of its kernels; wall the median of one verb and the wait for it (--json and --csv have the best and the "
    "median of all three). MB are, for attend, all that the sequences hold (codes, scales, low rank, outliers, exact, tables, "
    "window), queries and output; for append the 16-bit input once. % peak is of this device's own read bandwidth (append: "
    "copy bandwidth, read plus written), measured in the same run. x 16 bits is the time of the "
    "16-bit codec of this library over this one's, x OpenMP that of plain C + OpenMP on 16-bit keys and values (CPU "
    "devices).\n\n"
    "Exit codes: 0 done, with or without what --stop-after left out, 1 a row has no result, because it was wrong, the device "
    "or the library failed, or this device or the "
    "kernel of --attend does not serve it; 2 wrong usage or input.";

static void add_compare(options *o, const char *path, const struct argp_state *state)
{
    const char **grown = realloc(o->compare, (o->num_compare + 1) * sizeof *grown);
    if (!grown) {
        argp_failure(state, EXIT_DEVICE, 0, "host memory exhausted");
        return;
    }
    o->compare = grown;
    o->compare[o->num_compare++] = path;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->device; return 0;
    case KEY_SHAPES: o->shapes = text; return 0;
    case KEY_DATA: o->data = text; return 0;
    case KEY_ATTEND: o->attend = args_choice("attend", text, attend_kernel_names, NUM_ATTEND_KERNELS, state); return 0;
    case KEY_JSON: o->json = text; return 0;
    case KEY_CSV: o->csv = text; return 0;
    case KEY_REPORT: o->report = text; return 0;
    case KEY_COMPARE: add_compare(o, text, state); return 0;
    case KEY_STAGES: o->stages = true; return 0;
    case KEY_NO_BASELINE: o->suite.no_baseline = true; return 0;
    case KEY_REPEAT:
        o->suite.rounds = args_u32("repeat", text, state);
        if (o->suite.rounds < 1 || o->suite.rounds > 1000)
            argp_failure(state, EXIT_INPUT, 0, "--repeat: %u is not 1 to 1000", o->suite.rounds);
        return 0;
    case KEY_SECONDS:
        o->suite.seconds = args_float("seconds", text, state);
        if (!(o->suite.seconds >= 0 && o->suite.seconds <= 600))
            argp_failure(state, EXIT_INPUT, 0, "--seconds: '%s' is not 0 to 600", text);
        return 0;
    case KEY_STOP:
        o->suite.stop_after = args_float("stop-after", text, state);
        if (!(o->suite.stop_after > 0))
            argp_failure(state, EXIT_INPUT, 0, "--stop-after: '%s' is not above 0", text);
        return 0;
    case KEY_BUFFER:
        o->buffer_mib = args_u32("buffer", text, state);
        if (o->buffer_mib < 1 || o->buffer_mib > 1u << 20)
            argp_failure(state, EXIT_INPUT, 0, "--buffer: %u MiB is not 1 to %u", o->buffer_mib, 1u << 20);
        return 0;
    case ARGP_KEY_ARG: argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option", text); return 0;
    case ARGP_KEY_END:
        if (!o->shapes && !(o->report && o->num_compare))
            argp_failure(state, EXIT_INPUT, 0, "--shapes FILE is needed; see --help");
        if (o->num_compare && !o->report)
            argp_failure(state, EXIT_INPUT, 0, "--compare goes with --report");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static bool open_context(const options *o, const device *dev, gear_context **context, host_error *error)
{
    char *programs = args_program_cache(&o->device);
    bool ok = open_library(dev, programs, context, error);
    free(programs);
    return ok;
}

/* Moves what was read to the generator, and onto the device. */
static bool take_data(bench *b, real_data *real, host_error *error)
{
    b->data.real = *real;
    *real = (real_data){0};
    return !b->data.real.layers || real_data_open(&b->data.real, b->dev, error);
}

/* Measures, prints and writes --csv; takes *real over; *document is the one of --json. */
static bool measure(const options *o, const shape_list *shapes, real_data *real, json_t **document, out_file *csv,
                    host_error *error)
{
    device dev;
    bench b = {.kernel = (gear_attend_kernel)o->attend};
    peer_setting peer = {0};
    result_list list = {.items = calloc(4 * shapes->count, sizeof(result))};
    bool ok = list.items || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && open_device(o->device.device, &dev, error);
    if (!ok) {
        free(list.items);
        return false;
    }
    b.dev = &dev;
    if (dev.type & CL_DEVICE_TYPE_CPU)
        peer = (peer_setting){openmp_threads(), wait_policy()};
    ok = open_context(o, &dev, &b.context, error) && generator_open(&b.data, &dev, error) && take_data(&b, real, error) &&
         clocks_open(&b.clocks, &dev, (double)o->suite.seconds, o->suite.rounds, error) &&
         measure_bandwidth(&dev, b.clocks.profiled, (uint64_t)o->buffer_mib << 20, &b.peaks, error) &&
         results_header(stdout, &dev, &b.peaks, error);
    if (ok) {
        suite_run(&b, &o->suite, shapes, &list);
        *document = results_json(list.items, list.count, list.left_out, &dev, &b.peaks, &peer);
        ok = results_print(list.items, list.count, o->stages, error);
        if (csv->stream) /* whatever became of standard output */
            ok = results_csv(list.items, list.count, &dev, csv, error) && ok;
    }
    if (ok && !*document)
        ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    if (ok && list.missing)
        ok = fail(error, EXIT_DEVICE, "%zu of %zu rows have no result", list.missing, list.count);
    clocks_close(&b.clocks);
    generator_close(&b.data);
    gear_context_destroy(b.context);
    close_device(&dev);
    free(list.items);
    return ok;
}

/* This run's document (NULL: none) and those of --compare. */
static bool write_page(const options *o, json_t *own, out_file *file, host_error *error)
{
    size_t count = 0;
    json_t **documents = calloc(o->num_compare + 1, sizeof *documents);
    bool ok = documents || fail(error, EXIT_DEVICE, "host memory exhausted");
    if (ok && own)
        documents[count++] = json_incref(own);
    for (size_t i = 0; ok && i < o->num_compare; ++i) {
        documents[count] = page_read(o->compare[i], error);
        ok = documents[count] != NULL;
        count += ok;
    }
    ok = ok && page_write(documents, count, file->stream, error) && out_commit(file, error);
    for (size_t i = 0; i < count; ++i)
        json_decref(documents[i]);
    free(documents);
    return ok;
}

/* Reads what shapes with data=real need, before anything is measured. */
static bool read_data(const options *o, const shape_list *shapes, real_data *real, host_error *error)
{
    bool needed = false;
    for (size_t i = 0; i < shapes->count; ++i)
        needed = needed || shapes->items[i].real;
    if (needed && !o->data)
        return fail(error, EXIT_INPUT, "%s has shapes with data=real: --data DIR is needed", o->shapes);
    bool ok = !needed || real_data_read(real, o->data, error);
    for (size_t i = 0; ok && i < shapes->count; ++i) {
        uint32_t layer = 0;
        ok = !shapes->items[i].real || real_data_find(real, shapes->items[i].layer, &layer, error);
    }
    return ok;
}

/* What was measured is written also where some of it was wrong: those rows say so. */
static bool run(const options *o, host_error *error)
{
    shape_list shapes = {0};
    real_data real = {0};
    json_t *document = NULL;
    out_file json = {0}, csv = {0}, page = {0};
    bool ok = (!o->shapes || shapes_read(o->shapes, &shapes, error)) && read_data(o, &shapes, &real, error) &&
              (!o->json || out_open(&json, o->json, error)) && (!o->csv || out_open(&csv, o->csv, error)) &&
              (!o->report || out_open(&page, o->report, error));
    ok = ok && (!o->shapes || measure(o, &shapes, &real, &document, &csv, error));
    if (json.stream && document)
        ok = report_write(document, &json, error) && ok;
    if (page.stream && (document || (!o->shapes && ok)))
        ok = write_page(o, document, &page, error) && ok;
    out_discard(&json);
    out_discard(&csv);
    out_discard(&page);
    json_decref(document);
    free(shapes.items);
    real_data_close(&real);
    return ok;
}

int main(int argc, char **argv)
{
    static char program[] = "gear-bench";
    options o = {.suite.seconds = 0.5f, .buffer_mib = 1024};
    host_error error = {0};
    args_setup();
    const struct argp_child children[] = {{&device_argp, 0, NULL, 3}, {0}};
    const struct argp parser = {option_table, parse, NULL, doc, children, NULL, NULL};
    argv[0] = program; /* getopt's messages begin with it */
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    if (o.shapes)
        wait_policy_passive(argv);
    bool ok = run(&o, &error);
    free(o.compare);
    return ok ? 0 : report_failure(program, &error);
}
