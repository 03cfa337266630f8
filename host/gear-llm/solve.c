/* solve.c: gear-llm solve: how many problems are answered right from compressed caches. */
#include <stdlib.h>
#include <string.h>

#include "comparison.h"
#include "greedy.h"
#include "modes.h"
#include "problems.h"

typedef struct options {
    engine_flags engine;
    const char *problems;
    uint32_t limit, tokens, batch;
} options;

enum { KEY_PROBLEMS = 0x800, KEY_LIMIT, KEY_TOKENS, KEY_BATCH };

static const struct argp_option option_table[] = {
    ENGINE_OPTIONS,
    {"problems", KEY_PROBLEMS, "FILE", 0, "A problem a line: prompt, tabulator, expected completion", 3},
    {"limit", KEY_LIMIT, "N", 0, "Only the first N problems", 0},
    {"tokens", KEY_TOKENS, "N", 0, "Tokens of a completion at most [32 more than the longest expected]", 0},
    {"batch", KEY_BATCH, "N", 0, "Problems at a time [50]", 0},
    {0}};

static const char doc[] =
    "Answers problems by greedy decoding from compressed caches, beside the 16-bit cache."
    "\v"
    "The prompts are computed exactly and compressed; the completions are then decoded token by token, many at a time. A "
    "completion is exact when all of its text is the expected one, an answer when it ends with the expected text from its last "
    "'#' on (all of it where there is none). KL is the mean divergence from the predictions of the 16-bit cache, in nats a "
    "token, "
    "along the expected completions (teacher-forced).\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_PROBLEMS: o->problems = text; return 0;
    case KEY_LIMIT: o->limit = args_u32("limit", text, state); return 0;
    case KEY_TOKENS: o->tokens = args_u32("tokens", text, state); return 0;
    case KEY_BATCH: o->batch = args_u32("batch", text, state); return 0;
    case ARGP_KEY_END:
        if (!o->problems)
            argp_failure(state, EXIT_INPUT, 0, "--problems FILE is needed; see --help");
        if (!o->batch)
            argp_failure(state, EXIT_INPUT, 0, "--batch: 0 problems at a time are none");
        return engine_parse(&o->engine, key, text, state);
    default: return engine_parse(&o->engine, key, text, state);
    }
}

/* Right answers of each run of the teacher. */
typedef struct tally {
    size_t answers, completions;
} tally;

/* The text of a completion, without its last token where `whole` is false; the caller frees. */
static char *text_of(const engine *e, const token_list *list, bool whole)
{
    size_t size = 0, count = list->count - (whole || !list->count ? 0 : 1), used = 0;
    for (size_t i = 0; i < count; ++i) {
        size_t piece;
        (void)tokenizer_piece(e->tokens, list->ids[i], &piece);
        size += piece;
    }
    char *text = malloc(size + 1);
    for (size_t i = 0; text && i < count; ++i) {
        size_t piece;
        const char *bytes = tokenizer_piece(e->tokens, list->ids[i], &piece);
        memcpy(text + used, bytes, piece);
        used += piece;
    }
    if (text)
        text[size] = 0;
    return text;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

/* The token that ends a text is part of it where the expected completion has it too; a text that was cut at the most tokens
 * has no such token. */
static bool judge(const engine *e, const problem *p, const token_list *list, tally *counts, host_error *error)
{
    bool answer = false, completion = false;
    const bool ended = list->count && tokenizer_is_end(e->tokens, list->ids[list->count - 1]);
    for (int whole = ended ? 0 : 1; whole < 2; ++whole) {
        char *text = text_of(e, list, whole);
        if (!text)
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        answer = answer || ends_with(text, problem_answer(p->expected));
        completion = completion || !strcmp(text, p->expected);
        free(text);
    }
    counts->answers += answer;
    counts->completions += completion;
    return true;
}

static bool decode_run(teacher *t, teacher_run *run, const problem *problems, const greedy_batch *batch, tally *counts,
                       host_error *error)
{
    token_list *lists = calloc(batch->count, sizeof *lists);
    if (!lists)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    greedy_batch b = *batch;
    b.kv = &run->kv;
    b.sequences = run->spare;
    bool ok = greedy_decode(t->e, t->f, &b, lists, error);
    for (uint32_t i = 0; ok && i < batch->count; ++i)
        ok = judge(t->e, &problems[i], &lists[i], counts, error);
    for (uint32_t i = 0; i < batch->count; ++i)
        token_list_free(&lists[i]);
    free(lists);
    return ok;
}

static bool solve_group(const options *o, teacher *t, const problem *problems, uint32_t count, tally *counts, progress *bar,
                        host_error *error)
{
    teacher_text *texts = malloc(count * sizeof *texts);
    uint32_t *positions = malloc(count * sizeof *positions);
    bool ok = (texts && positions) || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = 0; ok && i < count; ++i) {
        const problem *p = &problems[i];
        positions[i] = p->prompt;
        texts[i] = (teacher_text){p->ids.ids, p->prompt, (uint32_t)p->ids.count - p->prompt - 1};
    }
    const greedy_batch batch = {
        .positions = positions, .next = t->next, .count = count, .most = o->tokens, .last = t->limits.spare_tokens};
    ok = ok && teacher_prompt(t, texts, count, bar, error) && teacher_feed(t, texts, count, bar, error);
    for (size_t r = 0; ok && r < t->num_runs; ++r) {
        if (!teacher_shows(t, r))
            continue;
        ok = decode_run(t, &t->runs[r], problems, &batch, &counts[r], error);
        progress_add(bar, count * (size_t)o->tokens, t->runs[r].kv.spec->name);
    }
    free(texts);
    free(positions);
    return ok && teacher_finish(t, count, error);
}

static size_t work_of(const options *o, const teacher *t, const problem_list *list)
{
    size_t sum = 0;
    for (size_t i = 0; i < list->count; ++i)
        sum += list->items[i].prompt + t->num_runs * (list->items[i].ids.count - list->items[i].prompt + o->tokens);
    return sum;
}

static bool solve_all(const options *o, teacher *t, const problem_list *list, tally *counts, host_error *error)
{
    progress bar = progress_start(work_of(o, t, list));
    bool ok = true;
    for (size_t first = 0; ok && first < list->count; first += t->limits.group) {
        const size_t left = list->count - first;
        ok = solve_group(o, t, list->items + first, left < t->limits.group ? (uint32_t)left : t->limits.group, counts, &bar,
                         error);
    }
    progress_end(&bar);
    return ok;
}

static bool add_row(report_table *table, json_t *rows, const teacher_run *run, const tally *counts, size_t problems,
                    host_error *error)
{
    score_summary s;
    char cells[4][24];
    const double answers = (double)counts->answers / (double)problems;
    const double completions = (double)counts->completions / (double)problems;
    if (!score_summarize(&run->scores, &s, error))
        return false;
    report_number(teacher_bits(run, false), 3, cells[0], sizeof cells[0]);
    report_number(answers, 4, cells[1], sizeof cells[1]);
    report_number(completions, 4, cells[2], sizeof cells[2]);
    report_number(s.kl, 5, cells[3], sizeof cells[3]);
    json_t *row = comparison_json(run, &s);
    json_object_set_new(row, "accuracy", report_real(answers));
    json_object_set_new(row, "exact_completion", report_real(completions));
    json_array_append_new(rows, row);
    return table_add(table, 5, (const char *const[]){run->kv.spec->name, cells[0], cells[1], cells[2], cells[3]}, error);
}

static bool report(const options *o, const teacher *t, const problem_list *list, const tally *counts, out_file *json,
                   host_error *error)
{
    report_table table = {0};
    json_t *rows = json_array();
    bool ok = table_add(&table, 5, (const char *const[]){"cache", "bits/value", "answers", "completions", "KL"}, error);
    for (size_t i = 0; ok && i < t->e->specs.count; ++i)
        ok = add_row(&table, rows, &t->runs[t->run_of[i]], &counts[t->run_of[i]], list->count, error);
    if (ok) {
        printf("%zu problems on %s\n", list->count, t->e->dev.name);
        table_print(&table, stdout);
        ok = stdout_ok(error);
    }
    table_free(&table);
    if (ok && json->stream) {
        json_t *root = json_pack("{so so sI sO}", "device", report_device(&t->e->dev), "model", engine_json(t->e, &o->engine),
                                 "problems", (json_int_t)list->count, "rows", rows);
        ok = report_write(root, json, error);
        json_decref(root);
    }
    json_decref(rows);
    return ok;
}

/* As many new tokens as fit the model behind the longest prompt. */
static teacher_limits limits_of(options *o, const engine *e, const problem_list *list)
{
    const uint32_t room = e->m.context - list->longest_prompt;
    o->tokens = o->tokens ? o->tokens : list->longest_completion + 32;
    const uint32_t spare = list->longest_prompt + (o->tokens < room ? o->tokens : room);
    const uint32_t rows = list->longest_prompt > 1024 ? list->longest_prompt : 1024;
    return (teacher_limits){.group = list->count < o->batch ? (uint32_t)list->count : o->batch,
                            .longest = list->longest,
                            .prompt = rows,
                            .spare_tokens = spare,
                            .chunk = TEACHER_CHUNK,
                            .prompt_row = true};
}

int mode_solve(int argc, char **argv)
{
    static char program[] = "gear-llm solve";
    options o = {.engine.seed = 1, .batch = 50};
    engine e = {0};
    teacher t = {0};
    problem_list list = {0};
    tally *counts = NULL;
    out_file json = {0};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, true};
    command_line(&command, argc, argv, &o, &o.engine.command);
    bool ok = engine_open(&o.engine, "16," GEAR_PRESET_DEFAULT, &e, &error) &&
              problems_read(o.problems, &e, o.limit, &list, &error) &&
              (!o.engine.json || out_open(&json, o.engine.json, &error));
    if (ok) {
        const teacher_limits limits = limits_of(&o, &e, &list);
        counts = calloc(e.specs.count + 1, sizeof *counts);
        ok = (counts || fail(&error, EXIT_DEVICE, "host memory exhausted")) && teacher_create(&e, &limits, &t, &error) &&
             solve_all(&o, &t, &list, counts, &error) && report(&o, &t, &list, counts, &json, &error);
    }
    out_discard(&json);
    free(counts);
    teacher_free(&t);
    problems_free(&list);
    engine_close(&e);
    return ok ? 0 : report_failure(program, &error);
}
