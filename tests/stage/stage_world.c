/* stage_world.c: see the header. Records are handed out one after the other and never given back. */
#include "stage_world.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/kit.h"

static const uint32_t slots[STAGE_SEQS] = {2, 0, 1};
/* New tokens by round and sequence; 0: not in the batch. */
static const uint32_t counts_full[][STAGE_SEQS] = {{150, 7, 70}, {42, 57, 0}, {70, 3, 200}, {1, 61, 1}};
static const uint32_t counts_tiny[][STAGE_SEQS] = {{66, 24, 0}, {0, 1, 1}};

static const uint32_t *counts_of(const stage_bench *bench, uint32_t round)
{
    const uint32_t full = sizeof counts_full / sizeof *counts_full, tiny = sizeof counts_tiny / sizeof *counts_tiny;
    const uint32_t(*counts)[STAGE_SEQS] = bench->counts ? bench->counts : stage_tiny() ? counts_tiny : counts_full;
    return round < (bench->counts ? bench->rounds : stage_tiny() ? tiny : full) ? counts[round] : NULL;
}

uint32_t *stage_words(const stage_buffer *buffer)
{
    return (uint32_t *)(void *)buffer->host;
}

static uint32_t take(stage_world *w, uint64_t granules)
{
    uint32_t at = w->granules;
    w->granules += (uint32_t)granules;
    return at;
}

static uint32_t exact_in(const stage_seq *seq, uint32_t first, uint32_t tokens)
{
    uint32_t exact = seq->exact > first ? seq->exact - first : 0;
    return exact < tokens ? exact : tokens;
}

/* Places the records of one segment. Without a job (the dry run that sizes the pool) it only counts. */
static void place_segment(stage_world *w, stage_seq *seq, uint32_t entry, const gear__plan_segment *s, uint32_t *job,
                          uint32_t *row)
{
    const gear__shape *shape = &w->shape;
    uint32_t blocks = (s->tokens + 63) / 64, exact;
    if (!seq->blocks && shape->exact_max) {
        seq->record = take(w, (shape->exact_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE);
        seq->exact = shape->exact_max;
    }
    if (!seq->blocks && shape->order_bytes) {
        seq->order = take(w, (shape->order_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE);
    }
    exact = exact_in(seq, s->first, s->tokens);
    uint64_t k = gear__outlier_entries(shape, &shape->side[0], s->tokens, exact);
    uint64_t v = gear__outlier_entries(shape, &shape->side[1], s->tokens, exact);
    uint32_t segment = take(w, gear__segment_granules(shape, s->cls, k, v));
    if (job) {
        memset(job, 0, GEAR__JOB_WORDS * sizeof *job);
        job[GEAR__JOB_SEGMENT] = segment;
        job[GEAR__JOB_TABLE] = seq->slot * w->table_row + 1 + seq->blocks;
        job[GEAR__JOB_BLOCKS] = blocks;
        job[GEAR__JOB_TOKENS] = s->tokens;
        job[GEAR__JOB_ROW] = *row;
        job[GEAR__JOB_FIRST] = s->first;
        job[GEAR__JOB_ENTRY] = entry;
        job[GEAR__JOB_CLASS] = s->cls;
        for (uint32_t side = 0; side < 2; side++) {
            double share = shape->side[side].outlier_fraction;
            job[GEAR__JOB_PER_END] |= GEAR__PER_END_AS(gear__outlier_per_end(share, s->tokens, s->tokens - exact), side);
            for (uint32_t part = 0; part < 2; part++) {
                job[GEAR__JOB_PARTS + 2 * side + part] =
                    (uint32_t)gear__outlier_part(shape, s->cls, k, v, (int)(2 * side + part));
            }
        }
        uint32_t *header = stage_words(&w->table) + (size_t)seq->slot * w->table_row * GEAR__BLOCK_WORDS;
        memcpy(header, (uint32_t[4]){seq->record, seq->exact, seq->order, 0}, 16);
    }
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t rest = s->tokens - 64 * b, info = (rest < 64 ? rest : 64) | s->cls << 8 | b << 16;
        uint32_t at = take(w, gear__block_granules(shape, s->cls));
        if (job) {
            uint32_t *word = stage_words(&w->table) + ((size_t)job[GEAR__JOB_TABLE] + b) * GEAR__BLOCK_WORDS;
            memcpy(word, (uint32_t[4]){at, segment, s->first + 64 * b, info}, 16);
        }
    }
    seq->blocks += blocks;
    *row += 64 * blocks;
}

/* Plans the round of `counts`, for the work list `jobs` or (NULL) to count. Leaves `seq->first` after the round; returns the
 * jobs. */
static uint32_t plan_round(stage_world *w, const uint32_t *counts, uint32_t *jobs, uint32_t *rows)
{
    uint32_t n = 0, entry = 0;
    *rows = 0;
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        stage_seq *seq = &w->seqs[i];
        gear__plan plan;
        gear__plan_segment segment;
        gear__plan_begin(&plan, seq->first, seq->length, counts[i]);
        while (counts[i] && gear__plan_next(&plan, &w->rules, &segment)) {
            place_segment(w, seq, entry, &segment, jobs ? jobs + n * GEAR__JOB_WORDS : NULL, rows);
            seq->first = segment.first + segment.tokens;
            n++;
        }
        entry += counts[i] != 0;
    }
    return n;
}

static void begin_again(stage_world *w)
{
    w->granules = 1; /* granule 0 belongs to nobody */
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        w->seqs[i] = (stage_seq){.slot = slots[i]};
    }
}

/* Sizes of pool and table. */
static void dry_run(stage_world *w)
{
    const uint32_t *counts = NULL;
    uint32_t rows = 0;
    begin_again(w);
    for (uint32_t round = 0; (counts = counts_of(w->bench, round)); round++) {
        (void)plan_round(w, counts, NULL, &rows);
        for (uint32_t i = 0; i < STAGE_SEQS; i++) {
            w->seqs[i].length += counts[i];
        }
    }
    w->table_row = 1;
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        w->table_row = w->seqs[i].blocks + 1 > w->table_row ? w->seqs[i].blocks + 1 : w->table_row;
    }
}

/* This host is little-endian, as layout.h's words are. */
void stage_world_write_health(stage_world *w)
{
    memcpy(w->health.host + GEAR__HEALTH_NAN * 4, &w->counted[0], 8);
    memcpy(w->health.host + GEAR__HEALTH_INF * 4, &w->counted[1], 8);
}

void stage_world_count(stage_world *w, uint64_t start)
{
    w->counted[0] = w->counted[1] = start;
    stage_world_write_health(w);
}

void stage_shape(const stage_case *c, gear__shape *shape)
{
    gear_cache_desc desc;
    gear_codec_pair pair = {c->k, c->v};
    gear_cache_desc_init(&desc);
    desc.num_kv_heads = c->kv_heads;
    desc.num_query_heads = c->kv_heads * c->group;
    desc.head_dim = c->head_dim;
    desc.window = c->window;
    desc.recent = c->recent;
    desc.exact_first = c->exact;
    gear__shape_init(shape, &desc, &pair);
}

void stage_world_open(stage_world *w, stage_bench *bench, const stage_case *c, stage_data data, uint64_t kernels)
{
    *w = (stage_world){.bench = bench, .c = c, .data = data};
    stage_shape(c, &w->shape);
    w->rules = (gear__plan_rules){c->window, c->recent, w->shape.window_tokens, bench->max_segment ? bench->max_segment : 128};
    dry_run(w);
    stage_buffer_make(bench, &w->pool, (size_t)w->granules * GEAR__GRANULE);
    stage_buffer_make(bench, &w->table, STAGE_SEQS * (size_t)w->table_row * GEAR__BLOCK_WORDS * 4);
    stage_buffer_make(bench, &w->window, STAGE_SEQS * 2ull * c->kv_heads * w->shape.window_tokens * c->head_dim * 2);
    stage_buffer_make(bench, &w->health, GEAR__HEALTH_WORDS * 4);
    stage_world_count(w, 0);
    begin_again(w);
    for (uint32_t i = 0; i < STAGE_SEQS; i++) { /* no block yet: no exact tokens */
        memset(w->table.host + (size_t)i * w->table_row * GEAR__BLOCK_WORDS * 4, 0, 16);
    }
    stage_variant_open(bench, &w->variant, &w->shape, w->table_row, c->group * c->max_queries, kernels, GEAR_ATTEND_PORTABLE);
    w->layer = (gear__layer_memory){&w->variant, w->pool.mem, w->table.mem, w->window.mem};
}

static void close_round(stage_world *w)
{
    stage_buffer *buffers[] = {&w->counters, &w->list, &w->jobs, &w->row_jobs, &w->places,   &w->x,       &w->mask,
                               &w->r,        &w->a,    &w->sums, &w->weights,  &w->input[0], &w->input[1]};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        stage_buffer_free(buffers[i]);
    }
}

void stage_world_close(stage_world *w)
{
    close_round(w);
    stage_buffer_free(&w->pool);
    stage_buffer_free(&w->table);
    stage_buffer_free(&w->window);
    stage_buffer_free(&w->health);
    gear__variant_close(&w->variant);
}

static void make_list(stage_world *w, const uint32_t *counts)
{
    uint32_t row = 0;
    stage_buffer_make(w->bench, &w->list, STAGE_SEQS * GEAR__SEQ_WORDS * 4);
    w->entries = w->longest = 0;
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        const stage_seq *seq = &w->seqs[i];
        if (counts[i]) {
            uint32_t words[GEAR__SEQ_WORDS] = {seq->slot, seq->length, counts[i], row, seq->first, 0, 0, 0};
            memcpy(w->list.host + w->entries * sizeof words, words, sizeof words);
            w->entries++;
            row += counts[i];
            w->longest = counts[i] > w->longest ? counts[i] : w->longest;
        }
    }
}

/* The caller's tensor of one side: K head by head, V token by token; packed, or with gaps and an offset. */
static void make_input(stage_world *w, const uint32_t *counts, uint32_t is_v)
{
    const stage_case *c = w->c;
    uint64_t d = c->head_dim + (c->strided ? 3u : 0u), heads = c->kv_heads, element = stage_element(c->type), total = 0,
             entry = 0;
    gear__tensor *t = &w->tensor[is_v];
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        total += counts[i];
    }
    uint64_t tokens = c->strided ? w->longest : total;
    t->offset = c->strided ? 5 * element : 0;
    t->stride_token = is_v ? heads * d : d;
    t->stride_head = is_v ? d : tokens * d;
    t->stride_seq = c->strided ? heads * tokens * d + 7 : 0;
    t->type = (cl_uint)c->type;
    uint64_t elements = c->strided ? w->entries * t->stride_seq : heads * total * d;
    stage_buffer_make(w->bench, &w->input[is_v], (size_t)(t->offset + elements * element));
    t->mem = w->input[is_v].mem;
    uint64_t row = 0;
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        uint64_t start = t->stride_seq ? entry * t->stride_seq : row * t->stride_token;
        for (uint32_t n = 0; n < counts[i] * c->kv_heads * c->head_dim; n++) {
            uint32_t channel = n % c->head_dim, head = n / c->head_dim % c->kv_heads, token = n / c->head_dim / c->kv_heads;
            float value = stage_value(w->data, i, is_v, head, w->seqs[i].length + token, channel);
            stage_store(w->input[is_v].host + t->offset, start + token * t->stride_token + head * t->stride_head + channel,
                        c->type, value);
        }
        row += counts[i];
        entry += counts[i] != 0;
    }
    w->source[is_v] = (gear__ref_source){
        .seqs = stage_words(&w->list),
        .num_seqs = w->entries,
        .table_row_entries = w->table_row,
        .window = (uint16_t *)(void *)w->window.host,
        .input = w->input[is_v].host + t->offset,
        .stride_seq = (size_t)t->stride_seq,
        .stride_head = (size_t)t->stride_head,
        .stride_token = (size_t)t->stride_token,
        .type = c->type,
        .health = w->counted,
    };
}

/* Every second round has weights; one of them is no number. */
static void make_weights(stage_world *w)
{
    uint32_t count = w->entries * w->c->kv_heads * w->c->head_dim, offset = 3;
    stage_buffer_make(w->bench, &w->weights, (offset + count) * sizeof(float));
    float *weights = (float *)(void *)w->weights.host + offset;
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = i == 5 ? NAN : i % 7 == 6 ? 0 : fabsf(stage_normal(stage_hash(i, w->round_number, 9)));
    }
    w->round.weights = w->weights.mem;
    w->round.weights_offset = offset;
    w->round.has_weights = w->round_number % 2 == 0;
    w->ref.weights = w->round.has_weights ? weights : NULL;
}

void stage_make_counters(stage_world *w, uint32_t rows)
{
    stage_buffer_make(w->bench, &w->counters, (GEAR__FIT_NV_COUNTERS * w->shape.kv_heads * rows / GEAR__BLOCK + 1) * 4);
    memset(w->counters.host, 0, w->counters.bytes);
}

uint32_t stage_fit_slot(const stage_world *w, const uint32_t *jobs, uint32_t count)
{
    uint32_t most = 0;
    for (uint32_t j = 0; j < count; j++) {
        const uint32_t *job = jobs + (size_t)j * GEAR__JOB_WORDS;
        const uint32_t own = gear__lowrank_slot(&w->bench->append, &w->shape, job[GEAR__JOB_CLASS], job[GEAR__JOB_BLOCKS]);
        most = own > most ? own : most;
    }
    return most;
}

size_t stage_fit_bytes(const stage_world *w, uint32_t rows, uint32_t slot)
{
    const size_t floats = rows * GEAR__MAX_RANK + (size_t)rows / GEAR__BLOCK * slot;
    return w->shape.kv_heads * floats * sizeof(float);
}

/* What append_block is told of block `b` of a job; the record of every other block stands in the page table alone. */
static void put_place(stage_world *w, const uint32_t *job, uint32_t b)
{
    const uint32_t *seq = stage_words(&w->list) + job[GEAR__JOB_ENTRY] * GEAR__SEQ_WORDS, at = job[GEAR__JOB_TABLE] + b;
    const uint32_t *entry = stage_words(&w->table) + at * GEAR__BLOCK_WORDS;
    const uint32_t *header = stage_words(&w->table) + seq[GEAR__SEQ_SLOT] * w->table_row * GEAR__BLOCK_WORDS;
    const uint32_t words[GEAR__PLACE_WORDS] = {[GEAR__PLACE_ENTRY] = job[GEAR__JOB_ENTRY],
                                               [GEAR__PLACE_FIRST] = job[GEAR__JOB_FIRST],
                                               [GEAR__PLACE_TOKENS] = job[GEAR__JOB_TOKENS],
                                               [GEAR__PLACE_SLOT] = seq[GEAR__SEQ_SLOT],
                                               [GEAR__PLACE_LENGTH] = seq[GEAR__SEQ_LENGTH],
                                               [GEAR__PLACE_ROW] = seq[GEAR__SEQ_ROW],
                                               [GEAR__PLACE_INFO] = job[GEAR__JOB_CLASS] | b << 16,
                                               [GEAR__PLACE_OFFSET] = b % 2 ? GEAR__NO_STEP : entry[GEAR__BLOCK_OFFSET],
                                               [GEAR__PLACE_SEGMENT] = job[GEAR__JOB_SEGMENT],
                                               [GEAR__PLACE_TABLE] = at,
                                               [GEAR__PLACE_HEADER] = header[0],
                                               [GEAR__PLACE_HEADER + 1] = header[1],
                                               [GEAR__PLACE_HEADER + 2] = header[2]};
    memcpy(stage_words(&w->places) + (job[GEAR__JOB_ROW] / 64 + b) * GEAR__PLACE_WORDS, words, sizeof words);
}

static void make_round(stage_world *w, const uint32_t *counts)
{
    uint32_t jobs[64 * GEAR__JOB_WORDS], rows, opens = 0;
    size_t values;
    w->jobs_count = plan_round(w, counts, jobs, &rows);
    const uint32_t slot = stage_fit_slot(w, jobs, w->jobs_count);
    cr_assert_leq(w->jobs_count, 64);
    values = (size_t)w->c->kv_heads * rows * w->c->head_dim;
    make_list(w, counts);
    make_input(w, counts, 0);
    make_input(w, counts, 1);
    stage_buffer_make(w->bench, &w->jobs, w->jobs_count * GEAR__JOB_WORDS * 4);
    memcpy(w->jobs.host, jobs, w->jobs_count * GEAR__JOB_WORDS * 4);
    stage_buffer_make(w->bench, &w->row_jobs, rows / 64 * 4);
    stage_buffer_make(w->bench, &w->places, rows / 64 * GEAR__PLACE_WORDS * 4);
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        const uint32_t *job = jobs + j * GEAR__JOB_WORDS;
        for (uint32_t b = 0; b < job[GEAR__JOB_BLOCKS]; b++) {
            stage_words(&w->row_jobs)[job[GEAR__JOB_ROW] / 64 + b] = j;
            put_place(w, job, b);
        }
        opens = job[GEAR__JOB_FIRST] ? opens : job[GEAR__JOB_ROW] / 64 + job[GEAR__JOB_BLOCKS];
    }
    stage_buffer_make(w->bench, &w->x, values * 2);
    stage_buffer_make(w->bench, &w->mask, values);
    stage_buffer_make(w->bench, &w->r, values * (w->shape.side[0].weighted ? 4 : 2)); /* as sizes.c */
    stage_buffer_make(w->bench, &w->a, stage_fit_bytes(w, rows, slot));
    stage_make_counters(w, rows);
    stage_buffer_make(w->bench, &w->sums, values / 64 * 8);
    w->round = (gear__round){.layer = &w->layer,
                             .seqs = w->list.mem,
                             .jobs = w->jobs.mem,
                             .row_jobs = w->row_jobs.mem,
                             .places = w->places.mem,
                             .x = w->x.mem,
                             .mask = w->mask.mem,
                             .r = w->r.mem,
                             .a = w->a.mem,
                             .counters = w->counters.mem,
                             .sums = w->sums.mem,
                             .health = w->health.mem,
                             .opens = opens,
                             .num_jobs = w->jobs_count,
                             .num_rows = rows,
                             .shortest = UINT32_MAX,
                             .slot = slot};
    w->ref = (gear__ref_round){.shape = &w->shape,
                               .jobs = stage_words(&w->jobs),
                               .num_jobs = w->jobs_count,
                               .row_jobs = stage_words(&w->row_jobs),
                               .num_rows = rows,
                               .table = stage_words(&w->table),
                               .pool = w->pool.host,
                               .x = (uint16_t *)(void *)w->x.host,
                               .mask = w->mask.host,
                               .r = (uint16_t *)(void *)w->r.host};
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        uint32_t *job = stage_words(&w->jobs) + j * GEAR__JOB_WORDS;
        job[GEAR__JOB_FIT] = w->round.fit_parts;
        w->round.fit_parts += GEAR__FIT_NV_PARTS(job[GEAR__JOB_BLOCKS]);
        w->round.longest = job[GEAR__JOB_BLOCKS] > w->round.longest ? job[GEAR__JOB_BLOCKS] : w->round.longest;
        w->round.shortest = job[GEAR__JOB_BLOCKS] < w->round.shortest ? job[GEAR__JOB_BLOCKS] : w->round.shortest;
    }
    make_weights(w);
}

void stage_world_put(const stage_world *w)
{
    const stage_buffer *buffers[] = {&w->pool,   &w->table,   &w->window, &w->list,     &w->jobs,    &w->row_jobs,
                                     &w->places, &w->x,       &w->mask,   &w->r,        &w->a,       &w->counters,
                                     &w->sums,   &w->weights, &w->health, &w->input[0], &w->input[1]};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        if (buffers[i]->mem) {
            stage_put(w->bench, buffers[i]);
        }
    }
}

void stage_world_same(const stage_world *w, const char *what)
{
    static const char *const kind[] = {"smooth", "ties", "extreme", "finely tied", "large channel"};
    const struct {
        const stage_buffer *buffer;
        const char *name;
    } parts[] = {{&w->x, "x"},
                 {&w->mask, "mask"},
                 {&w->r, "r"},
                 {&w->pool, "pool"},
                 {&w->window, "window"},
                 {&w->health, "health"},
                 {&w->table, "table"},
                 {&w->list, "list"},
                 {&w->jobs, "jobs"},
                 {&w->row_jobs, "row jobs"},
                 {&w->places, "places"},
                 {&w->a, "scratch"},
                 {&w->sums, "sums"},
                 {&w->weights, "weights"},
                 {&w->input[0], "input of K"},
                 {&w->input[1], "input of V"}};
    char text[160];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        (void)snprintf(text, sizeof text, "%s, %s, %s data, round %u: %s", w->c->name, what, kind[w->data], w->round_number,
                       parts[i].name);
        if (parts[i].buffer->mem) {
            stage_same(w->bench, parts[i].buffer, text);
        }
    }
}

void stage_world_run(stage_world *w, stage_step step, stage_check check)
{
    const uint32_t *counts;
    for (; (counts = counts_of(w->bench, w->round_number)); w->round_number++) {
        make_round(w, counts);
        if (w->jobs_count && (step == STAGE_ROUND || step == STAGE_BLOCK)) {
            check(w, 0);
        } else if (w->jobs_count) {
            stage_compress_side(w, 0, step, check);
            stage_compress_side(w, 1, step, check);
        }
        if (step == STAGE_WINDOW) {
            check(w, 0);
        } else {
            stage_ref_step(w, 0, STAGE_WINDOW);
            stage_ref_step(w, 1, STAGE_WINDOW);
        }
        for (uint32_t i = 0; i < STAGE_SEQS; i++) {
            w->seqs[i].length += counts[i];
        }
        close_round(w);
    }
}

gear__ref_store stage_ref_store(const stage_world *w)
{
    return (gear__ref_store){&w->shape, stage_words(&w->table), w->table_row, w->pool.host,
                             (const uint16_t *)(const void *)w->window.host};
}

gear__tensor stage_tensor_make(stage_world *w, int is_strided, stage_buffer *buffer, uint32_t heads, const uint32_t *tokens,
                               gear_type type, uint32_t seed, float *dense[STAGE_SEQS])
{
    const uint32_t d = w->c->head_dim, gap = is_strided ? 3 : 0;
    uint32_t total = 0, longest = 0, row = 0;
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        total += tokens[i];
        longest = tokens[i] > longest ? tokens[i] : longest;
    }
    gear__tensor out = {.offset = gap * stage_element(type), .stride_head = d + gap, .type = (cl_uint)type};
    out.stride_token = heads * out.stride_head;
    out.stride_seq = gap ? longest * out.stride_token + gap : 0;
    const uint64_t elements = gap ? STAGE_SEQS * out.stride_seq : total * out.stride_token;
    stage_buffer_make(w->bench, buffer, (size_t)(out.offset + elements * stage_element(type)));
    for (uint32_t i = 0; i < STAGE_SEQS; row += tokens[i], i++) {
        const uint64_t start = gap ? i * out.stride_seq : row * out.stride_token;
        dense[i] = malloc((heads * tokens[i] * d + 1u) * sizeof(float));
        cr_assert_not_null(dense[i]);
        for (uint32_t n = 0; n < heads * tokens[i] * d; n++) {
            const uint64_t at = start + n / d % tokens[i] * out.stride_token + n / d / tokens[i] * out.stride_head + n % d;
            stage_store(buffer->host + out.offset, at, type, stage_normal(stage_hash(seed, i, n)));
            dense[i][n] = stage_load(buffer->host + out.offset, at, type);
        }
    }
    stage_put(w->bench, buffer);
    out.mem = buffer->mem;
    return out;
}
