/* gear-plan: chooses a codec for every layer of a model, for the least error under a budget of bits. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "layer_files.h"
#include "plan.h"

enum { MAX_BUDGETS = 64, RECENT = 64 };

typedef struct options {
    layer_files files;
    const char *model, *out, *measured, *json;
    windows_flags windows;
    double budgets[MAX_BUDGETS];
    size_t num_budgets;
    bool frontier, quick;
    exact_choices exact;
    device_flags device;
} options;

enum { KEY_MODEL = 0x600, KEY_BITS, KEY_FRONTIER, KEY_OUT, KEY_MEASURED, KEY_QUICK, KEY_EXACT, KEY_RECENT, KEY_JSON };

static const struct argp_option option_table[] = {
    LAYER_FILES_OPTIONS,
    {"model", KEY_MODEL, "FILE", 0, "Or: a model of the Llama architecture, GGUF, that reads --text", 2},
    WINDOWS_OPTIONS,
    {"bits", KEY_BITS, "B", 0, "Budget: bits a value, all that compressed tokens occupy counted", 4},
    {"frontier", KEY_FRONTIER, "B,B,...", 0, "Several budgets, a plan for each", 0},
    {"out", KEY_OUT, "FILE.json", 0, "Codec file to write; with --frontier FILE-B.json", 0},
    {"measured", KEY_MEASURED, "FILE", 0, "Keep what was measured here, and take it from here if the file is there", 0},
    {"exact-first", KEY_EXACT, "N,...", 0,
     "First tokens that stay exact, 0 to 64 or auto; of several the best on the windows [auto]", 0},
    {"recent", KEY_RECENT, "N", 0, "Recent tokens that stay in 16 bits, of plans and presets [64; presets: their own]", 0},
    {"quick", KEY_QUICK, NULL, 0, "Choose among the codecs of the presets alone: fewer kernels to compile", 0},
    {"json", KEY_JSON, "FILE", 0, "Also write the table here", 0},
    {0}};

static const char doc[] =
    "Chooses how each layer of a model is compressed, for the least error under a budget of bits a value."
    "\v"
    "From --k, --v and --q of every layer, or from a --model that reads windows of --text, it measures what every candidate "
    "codec "
    "costs, and the error of attention that it causes in every layer, keys and values apart. With a model it measures how much "
    "a "
    "layer matters too: the divergence of the predictions when that layer alone is compressed. Then it shares the budget among "
    "the layers' keys and values, and keeps the plan, or preset, that has the least divergence on the windows (without a "
    "model: "
    "the least error of attention).\n\n"
    "The file is one that gear-llm --kv and gear-pack --codec take.\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static void parse_budgets(options *o, const char *name, char *text, const struct argp_state *state)
{
    char *rest = NULL;
    o->num_budgets = 0;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        const float bits = args_float(name, word, state);
        if (!(bits > 0 && bits <= 32) || o->num_budgets == MAX_BUDGETS)
            argp_failure(state, EXIT_INPUT, 0, "--%s: '%s' is not above 0 and at most 32, or one of more than %d", name, word,
                         MAX_BUDGETS);
        else
            o->budgets[o->num_budgets++] = strtod(word, NULL);
    }
}

static void parse_exact(exact_choices *exact, char *text, const struct argp_state *state)
{
    char *rest = NULL;
    exact->count = 0;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        const uint32_t first = strcmp(word, "auto") ? args_u32("exact-first", word, state) : GEAR_EXACT_AUTO;
        if (exact->count == MAX_EXACT || (first > 64 && first != GEAR_EXACT_AUTO))
            argp_failure(state, EXIT_INPUT, 0, "--exact-first: '%s' is beyond 64, or one of more than %d", word, MAX_EXACT);
        else
            exact->first[exact->count++] = first;
    }
    if (!exact->count)
        argp_failure(state, EXIT_INPUT, 0, "--exact-first: no number");
}

static void check(const options *o, const struct argp_state *state)
{
    if (!o->model == !o->files.k.count)
        argp_failure(state, EXIT_INPUT, 0, "one of --model FILE and --k FILE is needed; see --help");
    layer_files_check(&o->files, 0, state);
    if (o->files.k.count > 4096)
        argp_failure(state, EXIT_INPUT, 0, "more than 4096 layers");
    if (o->windows.num_texts && !o->model)
        argp_failure(state, EXIT_INPUT, 0, "--text needs --model");
    if (!o->num_budgets || !o->out)
        argp_failure(state, EXIT_INPUT, 0, "%s is needed; see --help",
                     o->out ? "--bits B or --frontier B,B" : "--out FILE.json");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->device; return 0;
    case KEY_MODEL: o->model = text; return 0;
    case KEY_BITS: parse_budgets(o, "bits", text, state); return 0;
    case KEY_FRONTIER:
        parse_budgets(o, "frontier", text, state);
        o->frontier = true;
        return 0;
    case KEY_EXACT: parse_exact(&o->exact, text, state); return 0;
    case KEY_RECENT:
        o->exact.recent = args_u32("recent", text, state);
        o->exact.presets_too = true;
        return 0;
    case KEY_QUICK: o->quick = true; return 0;
    case KEY_OUT: o->out = text; return 0;
    case KEY_MEASURED: o->measured = text; return 0;
    case KEY_JSON: o->json = text; return 0;
    case ARGP_KEY_ARG: argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option", text); return 0;
    case ARGP_KEY_END: check(o, state); return o->model ? windows_parse(&o->windows, key, text, state) : 0;
    default: {
        const error_t code = layer_files_parse(&o->files, key, text, state);
        return code == ARGP_ERR_UNKNOWN ? windows_parse(&o->windows, key, text, state) : code;
    }
    }
}

/* All that a run holds. */
typedef struct session {
    engine e; /* without a model: device and context alone */
    windows w;
    capture captured;
    measured m;
    plan_list plans;
    char *paths[MAX_BUDGETS]; /* owned: the codec files */
    out_file files[MAX_BUDGETS];
} session;

static bool open_inputs(const options *o, session *s, host_error *error)
{
    if (o->model) {
        const engine_flags flags = {.model = o->model, .seed = 1, .command.device = o->device};
        return engine_open(&flags, "16", &s->e, error) && windows_make(&o->windows, &s->e, &s->w, error) &&
               capture_model(&s->e, &s->w, &s->captured, error);
    }
    char *programs = args_program_cache(&o->device);
    const bool ok = open_device(o->device.device, &s->e.dev, error) &&
                    open_library(&s->e.dev, programs, &s->e.context, error) &&
                    capture_files(o->files.k.items, o->files.v.items, o->files.q.items, (uint32_t)o->files.k.count,
                                  o->files.scale, &s->e.dev, &s->captured, error);
    free(programs);
    for (size_t i = 0; ok && i < o->files.k.count; ++i)
        if (!input_first_half(&s->captured.inputs[i]))
            return fail(error, EXIT_INPUT, "%s: two queries or more are needed", o->files.q.items[i]);
    return ok;
}

static bool open_measured(const options *o, out_file *file, host_error *error)
{
    return !o->measured || out_open(file, o->measured, error);
}

static bool write_measured(const options *o, const measured *m, out_file *file, host_error *error)
{
    return !o->measured || measured_write(m, file, error);
}

/* Losses are kept before layers are weighed, so that a run which is cut there goes on from them. */
static bool fill_measured(const options *o, session *s, host_error *error)
{
    out_file file = {0};
    if (!measured_create(&s->captured, &o->exact, o->quick, &s->m, error))
        return false;
    const bool known = o->measured && !access(o->measured, F_OK);
    if (known && !measured_read(o->measured, &s->m, error))
        return false;
    if (known && (s->m.weighed || !o->model))
        return true;
    bool ok = open_measured(o, &file, error);
    if (ok && !known)
        ok = capture_exact(&s->captured, error) && measure_candidates(&s->captured, &s->e.dev, s->e.context, &s->m, error) &&
             write_measured(o, &s->m, &file, error) && (!o->model || open_measured(o, &file, error));
    if (ok && o->model)
        ok = weigh_layers(&s->e, &s->w, &s->m, error) && write_measured(o, &s->m, &file, error);
    out_discard(&file);
    return ok;
}

/* The file of a budget: FILE.json, or FILE-2.5.json. The caller frees it. */
static char *file_of(const options *o, double budget)
{
    const size_t length = strlen(o->out), size = length + 32;
    const size_t stem = length > 5 && !strcmp(o->out + length - 5, ".json") ? length - 5 : length;
    char *path = malloc(size);
    if (path && o->frontier)
        snprintf(path, size, "%.*s-%g%s", (int)stem, o->out, budget, o->out + stem);
    else if (path)
        snprintf(path, size, "%s", o->out);
    return path;
}

/* Opens the codec files, before there is work to lose. */
static bool open_files(const options *o, session *s, host_error *error)
{
    for (size_t i = 0; i < o->num_budgets; ++i) {
        s->paths[i] = file_of(o, o->budgets[i]);
        if (!s->paths[i])
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        for (size_t j = 0; j < i; ++j)
            if (!strcmp(s->paths[i], s->paths[j]))
                return fail(error, EXIT_INPUT, "%s: the file of two budgets", s->paths[i]);
        if (!out_open(&s->files[i], s->paths[i], error))
            return false;
    }
    return true;
}

static json_t *row_json(const plan *p, const plan *preset, double budget)
{
    return json_pack("{so ss sb so so so ss? so}", "budget", report_real(budget), "plan", p->name, "per_layer",
                     p->codecs.count != 1, "bits_per_value", report_real(p->bits), "kl", report_real(p->kl), "rel_attention",
                     report_real(p->attention), "best_preset", preset ? preset->name : NULL, "best_preset_kl",
                     report_real(preset ? preset->kl : (double)NAN));
}

static bool finish_budget(const options *o, session *s, size_t index, report_table *table, json_t *rows, host_error *error)
{
    const double budget = o->budgets[index];
    plan *p = plans_best(&s->plans, budget, false);
    const plan *preset = plans_best(&s->plans, budget, true);
    if (!p)
        return fail(error, EXIT_INPUT, "%.3f bits a value: no plan is that small", budget);
    char cells[5][24];
    bool ok = codec_file_write(&p->codecs, &s->files[index], error);
    const double numbers[] = {budget, p->bits, p->kl, p->attention, preset ? (o->model ? preset->kl : preset->attention) : NAN};
    for (int i = 0; i < 5; ++i)
        report_number(numbers[i], i < 2 ? 3 : 5, cells[i], sizeof cells[i]);
    ok = ok &&
         table_add(table, 8,
                   (const char *const[]){s->paths[index], cells[0], cells[1], cells[2], cells[3],
                                         p->codecs.count == 1 ? p->name : "per layer", preset ? preset->name : "-", cells[4]},
                   error);
    if (ok)
        json_array_append_new(rows, row_json(p, preset, budget));
    return ok;
}

static bool make_plans(const options *o, session *s, report_table *table, json_t *rows, host_error *error)
{
    const workshop shop = {&s->e.dev, s->e.context, &s->captured, &s->m, o->model ? &s->e : NULL, o->model ? &s->w : NULL};
    double most = 0;
    for (size_t i = 0; i < o->num_budgets; ++i)
        most = fmax(most, o->budgets[i]);
    bool ok = plans_add_presets(&shop, most, &s->plans, error);
    for (size_t i = 0; ok && i < o->num_budgets; ++i)
        ok = plans_add_budget(&shop, o->budgets[i], &s->plans, error);
    ok = ok && plans_measure(&shop, &s->plans, error);
    for (size_t i = 0; ok && i < o->num_budgets; ++i)
        ok = finish_budget(o, s, i, table, rows, error);
    return ok;
}

static bool run(const options *o, host_error *error)
{
    session s = {0};
    out_file json = {0};
    report_table table = {0};
    json_t *rows = json_array();
    bool ok = (!o->json || out_open(&json, o->json, error)) && open_files(o, &s, error) && open_inputs(o, &s, error) &&
              fill_measured(o, &s, error) &&
              table_add(&table, 8,
                        (const char *const[]){"codec file", "budget", "bits/value", "KL", "attention", "is", "best preset",
                                              o->model ? "its KL" : "its attention"},
                        error) &&
              make_plans(o, &s, &table, rows, error);
    if (ok) {
        table_print(&table, stdout);
        ok = stdout_ok(error);
    }
    if (ok && json.stream) {
        json_t *root = json_pack("{so sO}", "device", report_device(&s.e.dev), "rows", rows);
        ok = report_write(root, &json, error);
        json_decref(root);
    }
    json_decref(rows);
    out_discard(&json);
    for (size_t i = 0; i < o->num_budgets; ++i) {
        out_discard(&s.files[i]);
        free(s.paths[i]);
    }
    table_free(&table);
    plans_free(&s.plans);
    measured_free(&s.m);
    capture_free(&s.captured);
    windows_free(&s.w);
    engine_close(&s.e);
    return ok;
}

int main(int argc, char **argv)
{
    static char program[] = "gear-plan";
    options o = {.windows = WINDOWS_DEFAULT, .exact = {{GEAR_EXACT_AUTO}, 1, RECENT, false}};
    host_error error = {0};
    const struct argp_child children[] = {{&device_argp, 0, NULL, 5}, {0}};
    const struct argp parser = {option_table, parse, NULL, doc, children, NULL, NULL};
    args_setup();
    argv[0] = program; /* getopt's messages begin with it */
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    const bool ok = run(&o, &error);
    layer_files_free(&o.files);
    return ok ? 0 : report_failure(program, &error);
}
