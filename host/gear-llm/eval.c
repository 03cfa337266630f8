/* eval.c: gear-llm eval: perplexity and divergence from the 16-bit cache over windows of texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "comparison.h"
#include "modes.h"
#include "windows.h"

typedef struct options {
    engine_flags engine;
    windows_flags windows;
    uint32_t chunk, batch;
} options;

enum { KEY_CHUNK = 0x800, KEY_BATCH };

static const struct argp_option option_table[] = {
    ENGINE_OPTIONS,
    WINDOWS_OPTIONS,
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
    case KEY_BATCH: o->batch = args_u32("batch", text, state); return 0;
    case KEY_CHUNK:
        o->chunk = args_u32("chunk", text, state);
        if (o->chunk < 1 || o->chunk > TEACHER_CHUNK)
            argp_failure(state, EXIT_INPUT, 0, "--chunk: %u is not 1 to %d", o->chunk, TEACHER_CHUNK);
        return 0;
    case ARGP_KEY_END:
        if (!o->batch)
            argp_failure(state, EXIT_INPUT, 0, "--batch is at least 1");
        windows_parse(&o->windows, key, text, state);
        return engine_parse(&o->engine, key, text, state);
    default: {
        const error_t code = windows_parse(&o->windows, key, text, state);
        return code == ARGP_ERR_UNKNOWN ? engine_parse(&o->engine, key, text, state) : code;
    }
    }
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
        printf("%u windows of %u + %u tokens on %s\n", count, o->windows.prefill, o->windows.decode, t->e->dev.name);
        table_print(&table, stdout);
        ok = stdout_ok(error);
    }
    table_free(&table);
    if (ok && json->stream) {
        json_t *root = json_pack("{so so sI sI sI sO}", "device", report_device(&t->e->dev), "model",
                                 engine_json(t->e, &o->engine), "windows", (json_int_t)count, "prefill",
                                 (json_int_t)o->windows.prefill, "decode", (json_int_t)o->windows.decode, "rows", rows);
        ok = report_write(root, json, error);
        json_decref(root);
    }
    json_decref(rows);
    return ok;
}

int mode_eval(int argc, char **argv)
{
    static char program[] = "gear-llm eval";
    options o = {.engine.seed = 1, .windows = WINDOWS_DEFAULT, .chunk = TEACHER_CHUNK, .batch = 4};
    engine e = {0};
    teacher t = {0};
    windows w = {0};
    out_file json = {0};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, true};
    command_line(&command, argc, argv, &o, &o.engine.command);
    bool ok = engine_open(&o.engine, "16," GEAR_PRESET_DEFAULT, &e, &error) && windows_make(&o.windows, &e, &w, &error) &&
              (!o.engine.json || out_open(&json, o.engine.json, &error));
    if (ok) {
        const teacher_limits limits = {.group = w.count < o.batch ? w.count : o.batch,
                                       .longest = o.windows.prefill + o.windows.decode,
                                       .prompt = o.windows.prefill,
                                       .chunk = o.chunk};
        ok = teacher_create(&e, &limits, &t, &error) && windows_run(&w, &t, &error) && report(&o, &t, w.count, &json, &error);
    }
    out_discard(&json);
    teacher_free(&t);
    windows_free(&w);
    engine_close(&e);
    return ok ? 0 : report_failure(program, &error);
}
