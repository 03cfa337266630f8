/* gear-tune: finds how the attend kernels divide their work best on a device, and writes it to the tuning database. */
#include <stdlib.h>
#include <time.h>

#include "../common/command_line.h"
#include "../common/report.h"
#include "outcome.h"

typedef struct options {
    const char *shapes, *json, *write;
    uint32_t head_dim, attend, passes, repeat;
    float seconds, margin;
    bool dry_run;
    command_flags flags;
} options;

enum {
    KEY_SHAPES = 0x600,
    KEY_HEAD_DIM,
    KEY_ATTEND,
    KEY_SECONDS,
    KEY_REPEAT,
    KEY_PASSES,
    KEY_MARGIN,
    KEY_JSON,
    KEY_WRITE,
    KEY_DRY_RUN
};

static const struct argp_option option_table[] = {
    {0, 0, NULL, 0, "What to measure:", 1},
    {"shapes", KEY_SHAPES, "FILE", 0,
     "Shapes as for gear-bench, instead of the built-in ones and the codec flags; those of one head_dim and class of codecs "
     "share a result; none with data=real",
     0},
    {"head-dim", KEY_HEAD_DIM, "N", 0, "Channels of a head: 64, 80, 96, 128 or 256 [64 and 128]", 0},
    {"attend", KEY_ATTEND, "KERNEL", 0, "Only this kernel: portable, cpu or nvidia [auto: every one that runs]", 0},
    {"seconds", KEY_SECONDS, "S", 0, "Time of the clock for each candidate and shape [0.1]", 0},
    {"repeat", KEY_REPEAT, "N", 0, "Rounds of the clock, 1 to 1000 [as many as fit --seconds, at least 5]", 0},
    {"passes", KEY_PASSES, "N", 0, "Times that the fastest meets what the library does now, 1 to 100 [11]", 0},
    {"margin", KEY_MARGIN, "PERCENT", 0, "Time that it must save, 0 to 50 [3]", 0},
    {0, 0, NULL, 0, "General:", 2},
    {"write", KEY_WRITE, "FILE", 0,
     "Write what was decided for this device into this tuning database (src/stage/attend_tuning.def), and leave the rest of it",
     0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "With --write: print the device's part, and leave the file as it is", 0},
    {"json", KEY_JSON, "FILE", 0, "Also write everything here", 0},
    {0}};

static const char doc[] =
    "Searches rows, work-items and work-groups of the attend kernels for the fastest on one device."
    "\v"
    "Without --shapes it measures decoding with few and with many sequences, under one codec of each class; codec flags choose "
    "one codec. A candidate is what the library does not refuse; its result is checked against double precision before it is "
    "timed. Times are the best on the device's clock, merge included. The fastest candidate is then measured in turn with what "
    "the library does now. It is taken if it saves --margin and was faster in all passes but one in ten; else the difference "
    "is noise, and the library's choice stays.\n\n"
    "The file that --write names is read before anything is measured; one that does not exist is made. A library that is built "
    "with it uses the values on this device (docs/tuning.md).\n\n"
    "Exit codes: 0 done, 1 a wrong result, or the device or the library failed, 2 wrong usage or input.";

static uint32_t whole(const char *name, const char *text, uint32_t least, uint32_t most, const struct argp_state *state)
{
    uint32_t value = args_u32(name, text, state);
    if (value < least || value > most)
        argp_failure(state, EXIT_INPUT, 0, "--%s: %u is not %u to %u", name, value, least, most);
    return value;
}

static float real(const char *name, const char *text, double most, const struct argp_state *state)
{
    float value = args_float(name, text, state);
    if (!(value >= 0 && (double)value <= most))
        argp_failure(state, EXIT_INPUT, 0, "--%s: '%s' is not 0 to %g", name, text, most);
    return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_SHAPES: o->shapes = text; return 0;
    case KEY_HEAD_DIM: o->head_dim = args_u32("head-dim", text, state); return 0;
    case KEY_ATTEND: o->attend = args_choice("attend", text, attend_kernel_names, NUM_ATTEND_KERNELS, state); return 0;
    case KEY_SECONDS: o->seconds = real("seconds", text, 600, state); return 0;
    case KEY_REPEAT: o->repeat = whole("repeat", text, 1, 1000, state); return 0;
    case KEY_PASSES: o->passes = whole("passes", text, 1, 100, state); return 0;
    case KEY_MARGIN: o->margin = real("margin", text, 50, state); return 0;
    case KEY_WRITE: o->write = text; return 0;
    case KEY_DRY_RUN: o->dry_run = true; return 0;
    case KEY_JSON: o->json = text; return 0;
    case ARGP_KEY_ARG: argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option", text); return 0;
    case ARGP_KEY_END:
        if (o->dry_run && !o->write)
            argp_failure(state, EXIT_INPUT, 0, "--dry-run goes with --write");
        if (o->shapes && (o->head_dim || codec_flags_any(&o->flags.codec)))
            argp_failure(state, EXIT_INPUT, 0, "--shapes excludes --head-dim and codec flags");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Reads --shapes, before anything is opened. How attend divides its work does not depend on the values. */
static bool read_shapes(const char *path, shape_list *out, host_error *error)
{
    if (!shapes_read(path, out, error))
        return false;
    for (size_t i = 0; i < out->count; ++i)
        if (out->items[i].real)
            return fail(error, EXIT_INPUT, "%s: gear-tune takes no shapes with data=real", path);
    return true;
}

static bool make_work(const options *o, const tuner *t, const shape_list *shapes, work_list *list, host_error *error)
{
    if (o->shapes)
        return work_of_shapes(t->context, shapes, list, error);
    recipe only;
    bool one = codec_flags_any(&o->flags.codec);
    if (one && !codec_flags_recipe(&o->flags.codec, o->head_dim ? o->head_dim : 128, &only, error))
        return false;
    return work_default(t->context, t->dev, o->head_dim, one ? &only : NULL, list, error);
}

static void today(char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm *utc = gmtime(&now);
    if (!utc || !strftime(out, size, "%Y-%m-%d", utc))
        out[0] = 0;
}

/* Puts the records of all outcomes into the database, or shows what would be put. */
static bool store(const options *o, const device *dev, const outcome *outcomes, size_t count, database *d, host_error *error)
{
    char with[320], date[32];
    today(date, sizeof date);
    snprintf(with, sizeof with, "%s, driver %s, gear %s, %s", dev->platform_name, dev->driver, gear_version(), date);
    bool ok = database_update(d, dev->name, with, NULL, 0, error);
    for (size_t i = 0; ok && i < count; ++i) {
        database_record records[OUTCOME_RECORDS];
        size_t n = outcome_records(&outcomes[i], records);
        ok = database_update(d, dev->name, with, records, n, error);
    }
    ok = ok && (o->dry_run || database_write(d, o->write, error));
    if (ok) {
        printf("\n%s %s\n", o->write, o->dry_run ? "would say" : "now says");
        database_print(d, dev->name, stdout);
    }
    return ok && stdout_ok(error);
}

static json_t *document(const device *dev, const outcome *outcomes, size_t count)
{
    char date[32];
    json_t *list = json_array();
    today(date, sizeof date);
    for (size_t i = 0; list && i < count; ++i)
        if (json_array_append_new(list, outcome_json(&outcomes[i]))) {
            json_decref(list);
            list = NULL;
        }
    return json_pack("{ss ss ss so so}", "program", "gear-tune", "version", gear_version(), "date", date, "device",
                     report_device(dev), "tuned", list);
}

/* Tunes and shows all work; *out is what was found. */
static bool tune(const options *o, tuner *t, work_list *list, outcome *outcomes, host_error *error)
{
    bool wrong = false;
    for (size_t i = 0; i < list->count; ++i) {
        outcome_run(t, &list->items[i], (gear_attend_kernel)o->attend, &outcomes[i]);
        if (!outcome_print(&outcomes[i], error))
            return false;
        wrong |= outcomes[i].wrong;
    }
    return !wrong || fail(error, EXIT_DEVICE, "not everything could be measured");
}

/* What was found is kept also where some of it failed: that part decides nothing. */
static bool run_on(const options *o, tuner *t, const shape_list *shapes, database *d, out_file *json, host_error *error)
{
    work_list list = {0};
    outcome *outcomes = NULL;
    bool ok = make_work(o, t, shapes, &list, error);
    if (ok && !(outcomes = calloc(list.count, sizeof *outcomes)))
        ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    if (ok) {
        printf("%s on %s, driver %s; times in microseconds on the device, best of many\n", t->dev->name, t->dev->platform_name,
               t->dev->driver);
        ok = tune(o, t, &list, outcomes, error);
        if (o->write)
            ok = store(o, t->dev, outcomes, list.count, d, error) && ok;
    }
    if (json->stream && outcomes) {
        json_t *root = document(t->dev, outcomes, list.count);
        ok = report_write(root, json, error) && ok;
        json_decref(root);
    }
    free(outcomes);
    work_free(&list);
    return ok;
}

static bool run(const options *o, host_error *error)
{
    device dev;
    database d = {0};
    shape_list shapes = {0};
    out_file json = {0};
    tuner t = {.dev = &dev, .passes = o->passes, .margin = (double)o->margin / 100};
    if ((o->shapes && !read_shapes(o->shapes, &shapes, error)) || (o->write && !database_read(o->write, &d, error)) ||
        (o->write && !o->dry_run && !database_writable(o->write, error)) || (o->json && !out_open(&json, o->json, error)) ||
        !open_device(o->flags.device.device, &dev, error)) {
        database_free(&d);
        out_discard(&json);
        free(shapes.items);
        return false;
    }
    char *programs = args_program_cache(&o->flags.device);
    bool ok = open_library(&dev, programs, &t.context, error) && generator_open(&t.data, &dev, error) &&
              clocks_open(&t.clocks, &dev, (double)o->seconds, o->repeat, error);
    t.clocks.device_only = true;
    if (ok)
        ok = run_on(o, &t, &shapes, &d, &json, error);
    out_discard(&json);
    clocks_close(&t.clocks);
    generator_close(&t.data);
    gear_context_destroy(t.context);
    close_device(&dev);
    free(programs);
    free(shapes.items);
    database_free(&d);
    return ok;
}

int main(int argc, char **argv)
{
    static char program[] = "gear-tune";
    options o = {.seconds = 0.1f, .passes = 11, .margin = 3};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, false};
    command_line(&command, argc, argv, &o, &o.flags);
    return run(&o, &error) ? 0 : report_failure(program, &error);
}
