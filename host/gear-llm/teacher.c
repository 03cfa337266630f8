/* teacher.c: teacher-forced scores, see teacher.h. */
#include "teacher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of logits of one call, as bytes: more texts or tokens are fed in several calls. */
#define LOGITS_BYTES ((size_t)128 << 20)

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static bool create_run(teacher *t, const kv_spec *spec, teacher_run *run, host_error *error)
{
    const teacher_limits *l = &t->limits;
    const bool spare = l->spare_tokens > 0;
    const kv_size size = {l->group * (spare ? 2 : 1), most(l->longest, l->spare_tokens), TEACHER_CHUNK};
    run->sequences = calloc(l->group, sizeof *run->sequences);
    run->spare = spare ? calloc(l->group, sizeof *run->spare) : NULL;
    if (!run->sequences || (spare && !run->spare))
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    return kv_cache_create(t->e->context, &t->e->m, spec, &size, &run->kv, error);
}

/* At least one for each text, for the rows behind prompts and those of greedy decoding. */
static uint32_t rows_of(const engine *e, const teacher_limits *limits)
{
    const uint64_t all = (uint64_t)limits->group * limits->chunk, room = LOGITS_BYTES / (4 * (uint64_t)e->m.vocabulary);
    return most(limits->group, (uint32_t)(all < room ? all : room));
}

static bool create_memory(teacher *t, uint32_t rows, host_error *error)
{
    const size_t vocabulary = t->e->m.vocabulary;
    t->runs = calloc(t->e->specs.count + 1, sizeof *t->runs);
    t->logits = malloc(rows * vocabulary * sizeof *t->logits);
    t->expected = malloc(rows * vocabulary * sizeof *t->expected);
    t->log_sums = malloc(rows * sizeof *t->log_sums);
    t->next = malloc(t->limits.group * sizeof *t->next);
    t->run_of = calloc(t->e->specs.count, sizeof *t->run_of);
    return (t->runs && t->run_of && t->logits && t->expected && t->log_sums && t->next) ||
           fail(error, EXIT_DEVICE, "host memory exhausted");
}

bool teacher_create(engine *e, const teacher_limits *limits, teacher *out, host_error *error)
{
    *out = (teacher){.e = e, .limits = *limits};
    const uint32_t rows = rows_of(e, limits);
    out->rows = rows;
    const codec_flags none = {0};
    const forward_limits most_of = {most(limits->prompt, rows), limits->group, rows,
                                    most(limits->longest, limits->spare_tokens)};
    if (!create_memory(out, rows, error) ||
        !kv_spec_parse_list("16", &none, e->m.layers, e->m.head_dim, &out->reference, error) ||
        !forward_create(&e->dev, e->k, &e->m, &e->w, &most_of, &out->f, error))
        return false;
    out->num_runs = 1;
    if (!create_run(out, &out->reference.items[0], &out->runs[0], error))
        return false;
    for (size_t i = 0; i < e->specs.count; ++i) {
        if (kv_spec_is_exact(&e->specs.items[i]))
            continue;
        out->run_of[i] = out->num_runs++;
        if (!create_run(out, &e->specs.items[i], &out->runs[out->run_of[i]], error))
            return false;
    }
    return true;
}

void teacher_free(teacher *t)
{
    for (size_t i = 0; i < t->num_runs; ++i) {
        kv_cache_free(&t->runs[i].kv);
        score_free(&t->runs[i].scores);
        free(t->runs[i].sequences);
        free(t->runs[i].spare);
    }
    forward_destroy(t->f);
    kv_spec_list_free(&t->reference);
    free(t->runs);
    free(t->run_of);
    free(t->logits);
    free(t->expected);
    free(t->log_sums);
    free(t->next);
    *t = (teacher){0};
}

static bool add_sequences(teacher *t, uint32_t count, host_error *error)
{
    for (size_t r = 0; r < t->num_runs; ++r)
        for (uint32_t i = 0; i < count; ++i)
            if (!kv_cache_add(&t->runs[r].kv, &t->runs[r].sequences[i], error) ||
                (t->runs[r].spare && !kv_cache_add(&t->runs[r].kv, &t->runs[r].spare[i], error)))
                return false;
    return true;
}

/* Every cache's sequences of the texts from `first` on, spare ones behind them. NULL where memory is exhausted. */
static forward_target *make_targets(const teacher *t, uint32_t first, uint32_t *count)
{
    forward_target *targets = calloc(2 * t->num_runs, sizeof *targets);
    *count = 0;
    for (size_t r = 0; targets && r < t->num_runs; ++r) {
        const teacher_run *run = &t->runs[r];
        targets[(*count)++] = (forward_target){&run->kv, run->sequences + first};
        if (run->spare)
            targets[(*count)++] = (forward_target){&run->kv, run->spare + first};
    }
    return targets;
}

/* Of a row of run `run`; one that is no number would make every score of it one. */
static bool log_sum(const teacher *t, size_t run, const float *logits, double *sum, host_error *error)
{
    *sum = score_log_sum(logits, t->e->m.vocabulary);
    return isfinite(*sum) ||
           fail(error, EXIT_INPUT, "%s: the model's logits are not finite numbers", t->runs[run].kv.spec->name);
}

/* The prompts of texts[count] in one call; they are sequences first .. first + count - 1. */
static bool prompt_call(teacher *t, const teacher_text *texts, uint32_t first, uint32_t count, uint32_t rows, host_error *error)
{
    uint32_t num_targets = 0, row = 0;
    forward_target *targets = make_targets(t, first, &num_targets);
    uint32_t *words = malloc(((size_t)rows + 2 * count) * sizeof *words), *tokens = words + rows, *wanted = tokens + count;
    bool ok = (targets && words) || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = 0; ok && i < count; ++i) {
        memcpy(words + row, texts[i].ids, texts[i].prompt * sizeof *words);
        row += tokens[i] = texts[i].prompt;
        wanted[i] = row - 1;
    }
    const forward_batch batch = {count, tokens, NULL, words, wanted, count};
    ok = ok && forward_prompt(t->f, targets, num_targets, &batch, error) && forward_top1(t->f, t->next + first, error);
    ok = ok && (!t->limits.prompt_row || forward_logits(t->f, t->expected, error));
    for (uint32_t i = 0; ok && t->limits.prompt_row && i < count; ++i) {
        const float *logits = t->expected + (size_t)i * t->e->m.vocabulary;
        double sum;
        if (!log_sum(t, 0, logits, &sum, error)) {
            ok = false;
            break;
        }
        const score_token s = score_row(logits, sum, logits, sum, t->e->m.vocabulary, texts[i].ids[texts[i].prompt]);
        for (size_t r = 0; ok && r < t->num_runs; ++r)
            ok = score_add(&t->runs[r].scores, &s, 0, error);
    }
    free(targets);
    free(words);
    return ok;
}

bool teacher_prompt(teacher *t, const teacher_text *texts, uint32_t count, progress *bar, host_error *error)
{
    if (!add_sequences(t, count, error))
        return false;
    for (uint32_t first = 0, end = 0; first < count; first = end) {
        uint32_t rows = 0;
        while (end < count && rows + texts[end].prompt <= t->limits.prompt)
            rows += texts[end++].prompt;
        if (end == first)
            return fail(error, EXIT_DEVICE, "a prompt of %u tokens is beyond what was asked for at the start",
                        texts[first].prompt);
        progress_add(bar, 0, "prompts");
        if (!prompt_call(t, texts + first, first, end - first, rows, error))
            return false;
        progress_add(bar, rows, "prompts");
    }
    return true;
}

/* One chunk: which tokens of which texts. */
typedef struct chunk {
    uint32_t count, rows;
    uint32_t *text;                           /* [count]: index in the group */
    uint32_t *tokens, *first;                 /* [count] */
    uint32_t *ids, *targets, *wanted, *steps; /* [rows] */
    uint32_t *done;                           /* [group]: tokens fed so far */
    uint32_t *memory;
} chunk;

static bool chunk_create(const teacher *t, chunk *c, host_error *error)
{
    const size_t group = t->limits.group, rows = t->rows;
    *c = (chunk){.memory = calloc(4 * group + 4 * rows, sizeof *c->memory)};
    if (!c->memory)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    c->text = c->memory;
    c->tokens = c->text + group;
    c->first = c->tokens + group;
    c->done = c->first + group;
    c->ids = c->done + group;
    c->targets = c->ids + rows;
    c->wanted = c->targets + rows;
    c->steps = c->wanted + rows;
    return true;
}

/* Tokens that every cache takes of this text as it would one by one. */
static bool room_of(const teacher *t, uint32_t text, uint32_t *tokens, host_error *error)
{
    *tokens = t->limits.chunk;
    for (size_t r = 0; r < t->num_runs; ++r) {
        uint64_t room;
        if (!kv_cache_room(&t->runs[r].kv, t->runs[r].sequences[text], &room, error))
            return false;
        *tokens = room < *tokens ? (uint32_t)room : *tokens;
    }
    return true;
}

static bool next_chunk(const teacher *t, const teacher_text *texts, uint32_t count, chunk *c, host_error *error)
{
    c->count = c->rows = 0;
    for (uint32_t i = 0; i < count && c->rows < t->rows; ++i) {
        uint32_t room;
        if (c->done[i] == texts[i].fed)
            continue;
        if (!room_of(t, i, &room, error))
            return false;
        const uint32_t tokens = least(least(room, texts[i].fed - c->done[i]), t->rows - c->rows),
                       first = texts[i].prompt + c->done[i];
        c->text[c->count] = i;
        c->tokens[c->count] = tokens;
        c->first[c->count++] = first;
        for (uint32_t j = 0; j < tokens; ++j, ++c->rows) {
            c->ids[c->rows] = texts[i].ids[first + j];
            c->targets[c->rows] = texts[i].ids[first + j + 1];
            c->wanted[c->rows] = c->rows;
            c->steps[c->rows] = c->done[i] + j + t->limits.prompt_row;
        }
        c->done[i] += tokens;
    }
    return true;
}

static bool feed_run(teacher *t, size_t index, const chunk *c, gear_sequence *sequences, host_error *error)
{
    teacher_run *run = &t->runs[index];
    const uint32_t vocabulary = t->e->m.vocabulary;
    const forward_batch batch = {c->count, c->tokens, c->first, c->ids, c->wanted, c->rows};
    float *logits = index ? t->logits : t->expected;
    for (uint32_t i = 0; i < c->count; ++i)
        sequences[i] = run->sequences[c->text[i]];
    if (!forward_step(t->f, &run->kv, sequences, &batch, error) || !forward_logits(t->f, logits, error))
        return false;
    for (uint32_t row = 0; row < c->rows; ++row) {
        const size_t at = (size_t)row * vocabulary;
        double sum;
        if (!log_sum(t, index, logits + at, &sum, error))
            return false;
        if (!index)
            t->log_sums[row] = sum;
        const score_token s = score_row(logits + at, sum, t->expected + at, t->log_sums[row], vocabulary, c->targets[row]);
        if (!score_add(&run->scores, &s, c->steps[row], error))
            return false;
    }
    return true;
}

bool teacher_feed(teacher *t, const teacher_text *texts, uint32_t count, progress *bar, host_error *error)
{
    chunk c;
    if (!chunk_create(t, &c, error))
        return false;
    gear_sequence *sequences = calloc(t->limits.group, sizeof *sequences);
    bool ok = sequences || fail(error, EXIT_DEVICE, "host memory exhausted");
    while (ok && (ok = next_chunk(t, texts, count, &c, error)) && c.rows)
        for (size_t r = 0; ok && r < t->num_runs; ++r) {
            ok = feed_run(t, r, &c, sequences, error);
            progress_add(bar, c.rows, t->runs[r].kv.spec->name);
        }
    free(sequences);
    free(c.memory);
    return ok;
}

bool teacher_finish(teacher *t, uint32_t count, host_error *error)
{
    for (size_t r = 0; r < t->num_runs; ++r) {
        teacher_run *run = &t->runs[r];
        kv_usage usage;
        for (uint32_t i = 0; run->spare && i < count; ++i)
            if (!kv_cache_remove(&run->kv, run->spare[i], error))
                return false;
        if (!kv_cache_usage(&run->kv, run->sequences, count, &usage, error))
            return false;
        run->tokens += usage.tokens;
        run->compressed += usage.compressed;
        run->compressed_bits += usage.compressed ? usage.bits_per_value * (double)usage.compressed : 0;
        run->all_bits += usage.bits_with_window * (double)usage.tokens;
        for (uint32_t i = 0; i < count; ++i)
            if (!kv_cache_remove(&run->kv, run->sequences[i], error))
                return false;
    }
    return true;
}

bool teacher_shows(const teacher *t, size_t run)
{
    for (size_t i = 0; i < t->e->specs.count; ++i)
        if (t->run_of[i] == run)
            return true;
    return false;
}

double teacher_bits(const teacher_run *run, bool with_window)
{
    const uint64_t tokens = with_window ? run->tokens : run->compressed;
    return tokens ? (with_window ? run->all_bits : run->compressed_bits) / (double)tokens : NAN;
}
