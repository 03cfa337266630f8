/* eval.c: gear-llm eval: perplexity and divergence from the 16-bit cache over windows of texts. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comparison.h"
#include "modes.h"

enum { MAX_TEXTS = 64 };

typedef struct options {
    engine_flags engine;
    const char *texts[MAX_TEXTS];
    uint32_t num_texts, prefill, decode, windows, chunk, batch;
} options;

enum { KEY_TEXT = 0x800, KEY_PREFILL, KEY_DECODE, KEY_WINDOWS, KEY_CHUNK, KEY_BATCH };

static const struct argp_option option_table[] = {
    ENGINE_OPTIONS,
    {"text", KEY_TEXT, "FILE[@TOKEN]", 0, "Text, and the token that its first window begins at [0]; may be repeated", 3},
    {"prefill", KEY_PREFILL, "N", 0, "Tokens of a window that are computed exactly and then compressed [1024]", 0},
    {"decode", KEY_DECODE, "N", 0, "Tokens behind them that are fed and scored [512]", 0},
    {"windows", KEY_WINDOWS, "N", 0, "Windows of each text, one behind the other [1]", 0},
    {"chunk", KEY_CHUNK, "N", 0, "Feed at most so many tokens in one call, 1 to 64; the results are the same [64]", 0},
    {"batch", KEY_BATCH, "N", 0, "Windows at a time [4]", 0},
    {0}};

static const char doc[] =
    "Scores how well text is predicted from compressed caches, beside the 16-bit cache."
    "\v"
    "Teacher-forced: each window's first --prefill tokens are computed exactly and compressed, then --decode tokens of the "
    "text are "
    "appended and attended to through the cache. KL is the divergence from the predictions of the 16-bit cache, in nats a "
    "token; "
    "top-1 the share of tokens whose likeliest successor is the same.\n\n"
    "A chunk of tokens ends where a segment is compressed, so that it equals as many single steps up to the rounding of sums; "
    "--chunk 1 takes single steps.\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_TEXT:
        if (o->num_texts == MAX_TEXTS)
            argp_failure(state, EXIT_INPUT, 0, "--text: more than %d", MAX_TEXTS);
        else
            o->texts[o->num_texts++] = text;
        return 0;
    case KEY_PREFILL: o->prefill = args_u32("prefill", text, state); return 0;
    case KEY_DECODE: o->decode = args_u32("decode", text, state); return 0;
    case KEY_WINDOWS: o->windows = args_u32("windows", text, state); return 0;
    case KEY_BATCH: o->batch = args_u32("batch", text, state); return 0;
    case KEY_CHUNK:
        o->chunk = args_u32("chunk", text, state);
        if (o->chunk < 1 || o->chunk > TEACHER_CHUNK)
            argp_failure(state, EXIT_INPUT, 0, "--chunk: %u is not 1 to %d", o->chunk, TEACHER_CHUNK);
        return 0;
    case ARGP_KEY_END:
        if (!o->num_texts)
            argp_failure(state, EXIT_INPUT, 0, "--text FILE is needed; see --help");
        if (!o->prefill || !o->decode || !o->windows || !o->batch)
            argp_failure(state, EXIT_INPUT, 0, "--prefill, --decode, --windows and --batch are at least 1");
        return engine_parse(&o->engine, key, text, state);
    default: return engine_parse(&o->engine, key, text, state);
    }
}

/* The windows, and the tokens of the texts that they point into. */
typedef struct windows {
    token_list *texts;     /* owned: [num_texts] */
    teacher_text *windows; /* owned: [count] */
    uint32_t count;
} windows;

/* Cuts "FILE@TOKEN"; `path` is the caller's to free. */
static bool split(const char *text, char **path, uint64_t *first, host_error *error)
{
    const char *at = strrchr(text, '@');
    char *end = NULL;
    *first = at && at[1] >= '0' && at[1] <= '9' ? strtoull(at + 1, &end, 10) : 0;
    bool cut = end && !*end;
    *path = strndup(text, cut ? (size_t)(at - text) : strlen(text));
    *first = cut ? *first : 0;
    return *path || fail(error, EXIT_DEVICE, "host memory exhausted");
}

static bool read_text(const options *o, const engine *e, windows *w, uint32_t index, host_error *error)
{
    char *path = NULL, *text = NULL;
    size_t size = 0;
    uint64_t first = 0;
    token_list *list = &w->texts[index];
    bool ok = split(o->texts[index], &path, &first, error) && engine_read_file(path, &text, &size, error) &&
              (e->tokens ? tokenizer_encode(e->tokens, text, size, false, list, error)
                         : engine_encode(e, text, size, false, list, error));
    const uint64_t length = (uint64_t)o->prefill + o->decode, need = first + length * o->windows + 1;
    if (ok && need > list->count)
        ok = fail(error, EXIT_INPUT, "%s: %zu tokens; %u windows of %u + %u tokens from %llu on need %llu", path, list->count,
                  o->windows, o->prefill, o->decode, (unsigned long long)first, (unsigned long long)need);
    for (uint32_t i = 0; ok && i < o->windows; ++i)
        w->windows[w->count++] = (teacher_text){list->ids + first + i * length, o->prefill, o->decode};
    free(path);
    free(text);
    return ok;
}

static bool make_windows(const options *o, const engine *e, windows *w, host_error *error)
{
    if ((uint64_t)o->prefill + o->decode > e->m.context)
        return fail(error, EXIT_INPUT, "%u + %u tokens are more than the model's context of %u", o->prefill, o->decode,
                    e->m.context);
    w->texts = calloc(o->num_texts, sizeof *w->texts);
    w->windows = calloc((size_t)o->num_texts * o->windows, sizeof *w->windows);
    if (!w->texts || !w->windows)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = 0; i < o->num_texts; ++i)
        if (!read_text(o, e, w, i, error))
            return false;
    return true;
}

static void free_windows(const options *o, windows *w)
{
    for (uint32_t i = 0; w->texts && i < o->num_texts; ++i)
        token_list_free(&w->texts[i]);
    free(w->texts);
    free(w->windows);
}

static bool run_windows(teacher *t, const windows *w, host_error *error)
{
    const size_t per_window = w->windows[0].prompt + t->num_runs * (size_t)w->windows[0].fed;
    progress bar = progress_start(w->count * per_window);
    bool ok = true;
    for (uint32_t first = 0; ok && first < w->count; first += t->limits.group) {
        const uint32_t left = w->count - first, count = left < t->limits.group ? left : t->limits.group;
        ok = teacher_prompt(t, w->windows + first, count, &bar, error) &&
             teacher_feed(t, w->windows + first, count, &bar, error) && teacher_finish(t, count, error);
    }
    progress_end(&bar);
    return ok;
}

static bool add_row(report_table *table, json_t *rows, const teacher_run *run, host_error *error)
{
    score_summary s;
    char cells[6][24];
    if (!score_summarize(&run->scores, &s, error))
        return false;
    report_number(teacher_bits(run, false), 3, cells[0], sizeof cells[0]);
    report_number(s.perplexity, 3, cells[1], sizeof cells[1]);
    report_number(s.kl, 5, cells[2], sizeof cells[2]);
    report_number(s.kl_median, 5, cells[3], sizeof cells[3]);
    report_number(s.kl_99, 4, cells[4], sizeof cells[4]);
    report_number(s.agreement, 4, cells[5], sizeof cells[5]);
    json_array_append_new(rows, comparison_json(run, &s));
    return table_add(
        table, 7, (const char *const[]){run->kv.spec->name, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]}, error);
}

static bool report(const options *o, const teacher *t, uint32_t count, out_file *json, host_error *error)
{
    report_table table = {0};
    json_t *rows = json_array();
    bool ok = table_add(&table, 7, (const char *const[]){"cache", "bits/value", "perplexity", "KL", "median", "99 %", "top-1"},
                        error);
    for (size_t i = 0; ok && i < t->e->specs.count; ++i)
        ok = add_row(&table, rows, &t->runs[t->run_of[i]], error);
    if (ok) {
        printf("%u windows of %u + %u tokens on %s\n", count, o->prefill, o->decode, t->e->dev.name);
        table_print(&table, stdout);
        ok = stdout_ok(error);
    }
    table_free(&table);
    if (ok && json->stream) {
        json_t *root = json_pack("{so so sI sI sI sO}", "device", report_device(&t->e->dev), "model",
                                 engine_json(t->e, &o->engine), "windows", (json_int_t)count, "prefill", (json_int_t)o->prefill,
                                 "decode", (json_int_t)o->decode, "rows", rows);
        ok = report_write(root, json, error);
        json_decref(root);
    }
    json_decref(rows);
    return ok;
}

int mode_eval(int argc, char **argv)
{
    static char program[] = "gear-llm eval";
    options o = {.engine.seed = 1, .prefill = 1024, .decode = 512, .windows = 1, .chunk = TEACHER_CHUNK, .batch = 4};
    engine e = {0};
    teacher t = {0};
    windows w = {0};
    out_file json = {0};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, true};
    command_line(&command, argc, argv, &o, &o.engine.command);
    bool ok = engine_open(&o.engine, "16," GEAR_PRESET_DEFAULT, &e, &error) && make_windows(&o, &e, &w, &error) &&
              (!o.engine.json || out_open(&json, o.engine.json, &error));
    if (ok) {
        const teacher_limits limits = {.group = w.count < o.batch ? w.count : o.batch,
                                       .longest = o.prefill + o.decode,
                                       .prompt = o.prefill,
                                       .chunk = o.chunk};
        ok = teacher_create(&e, &limits, &t, &error) && run_windows(&t, &w, &error) && report(&o, &t, w.count, &json, &error);
    }
    out_discard(&json);
    teacher_free(&t);
    free_windows(&o, &w);
    engine_close(&e);
    return ok ? 0 : report_failure(program, &error);
}
