/* rounds.c: the planned segments of a call through the compressor, in rounds of as many tokens as its scratch holds. */
#include <string.h>

#include "api/append_call.h"

void gear__sequence_words(const gear__append_call *call, uint32_t i, uint32_t *row, uint32_t *w)
{
    const gear__slot *slot = gear__slot_of(call, i);
    const uint32_t first = gear__first_after(slot);
    memset(w, 0, GEAR__SEQ_WORDS * sizeof *w);
    w[GEAR__SEQ_SLOT] = call->cache->slots[i];
    w[GEAR__SEQ_LENGTH] = slot->length;
    w[GEAR__SEQ_COUNT] = gear__new_tokens(call, i);
    w[GEAR__SEQ_ROW] = *row;
    w[GEAR__SEQ_FIRST] = first > slot->length ? first : 0; /* the same from step to step, also after a block */
    *row += gear__new_tokens(call, i);
}

/* How far the record of block `b` is behind that of the block before. */
static uint32_t step_to(const gear__slot *slot, uint32_t b)
{
    return slot->blocks[b].word[GEAR__BLOCK_OFFSET] - slot->blocks[b - 1].word[GEAR__BLOCK_OFFSET];
}

/* A segment of a slot: blocks first .. end - 1. */
typedef struct segment {
    uint32_t first, end, tokens;
    uint32_t step; /* how far apart the records of its blocks are, all equally, or GEAR__NO_STEP */
} segment;

/* The segment that starts at block `b`. */
static segment segment_at(const gear__slot *slot, uint32_t b)
{
    segment s = {.first = b, .end = b + 1, .tokens = GEAR__INFO_TOKENS(slot->blocks[b].word[GEAR__BLOCK_INFO])};
    for (; s.end < slot->planned; s.end++) {
        const uint32_t info = slot->blocks[s.end].word[GEAR__BLOCK_INFO];
        if (!GEAR__INFO_INDEX(info)) {
            break;
        }
        s.step = s.end == b + 1 || step_to(slot, s.end) == s.step ? step_to(slot, s.end) : GEAR__NO_STEP;
        s.tokens += GEAR__INFO_TOKENS(info);
    }
    return s;
}

/* The entries of a segment's blocks, as runs. row: of the slot's page table entries, the first. */
static gear_status upload_runs(gear__append_call *call, const gear__slot *slot, const segment *s, uint32_t row,
                               gear_error *error)
{
    uint32_t *run = NULL;
    gear_status status = GEAR_OK;
    for (uint32_t i = s->first; i < s->end && !status; i++) {
        const uint32_t *word = slot->blocks[i].word, tokens = GEAR__INFO_TOKENS(word[GEAR__BLOCK_INFO]);
        if (run && (run[GEAR__RUN_COUNT] == 1 || step_to(slot, i) == run[GEAR__RUN_STEP])) {
            run[GEAR__RUN_STEP] = step_to(slot, i);
            run[GEAR__RUN_COUNT]++;
            run[GEAR__RUN_TOKENS] += tokens;
            continue;
        }
        status = gear__upload_run(&call->stream, &call->uploads, &run, error);
        run[GEAR__RUN_AT] = row + 1 + i;
        run[GEAR__RUN_COUNT] = 1;
        run[GEAR__RUN_OFFSET] = word[GEAR__BLOCK_OFFSET];
        run[GEAR__RUN_STEP] = 0;
        run[GEAR__RUN_SEGMENT] = word[GEAR__BLOCK_SEGMENT];
        run[GEAR__RUN_FIRST] = word[GEAR__BLOCK_FIRST];
        run[GEAR__RUN_TOKENS] = tokens;
        run[GEAR__RUN_INFO] = word[GEAR__BLOCK_INFO] - tokens;
    }
    return status;
}

/* The batch with the headers of its page table rows, and the entries of segments that are more than one run; on their way
 * together with the first jobs. */
static gear_status upload_tables(gear__append_call *call, gear_error *error)
{
    gear_cache *cache = call->cache;
    gear_status status = GEAR_OK;
    uint32_t row = 0, *words = NULL;
    for (uint32_t i = 0; i < call->batch->count && !status; i++) {
        const gear__slot *slot = gear__slot_of(call, i);
        status = gear__upload_seq(&call->stream, &call->uploads, &words, error);
        gear__sequence_words(call, i, &row, words);
        words[GEAR__SEQ_HEADER + GEAR__HEADER_EXACT] = slot->exact ? slot->exact_record : 0;
        words[GEAR__SEQ_HEADER + GEAR__HEADER_TOKENS] = slot->exact;
        words[GEAR__SEQ_HEADER + GEAR__HEADER_ORDER] = slot->order_record != GEAR__HEAP_NONE ? slot->order_record : 0;
    }
    for (uint32_t i = 0; i < call->batch->count && !status; i++) {
        const gear__slot *slot = gear__slot_of(call, i);
        for (uint32_t b = slot->num_blocks; b < slot->planned && !status;) {
            const segment s = segment_at(slot, b);
            if (s.step == GEAR__NO_STEP) {
                status = upload_runs(call, slot, &s, cache->slots[i] * (cache->max_blocks + 1), error);
            }
            b = s.end;
        }
    }
    return status;
}

/* Jobs of a round, and all else that is on its way. */
static gear_status upload_jobs(gear__append_call *call, const uint32_t *jobs, uint32_t count, gear_error *error)
{
    gear_status status = GEAR_OK;
    uint32_t *words = NULL;
    for (uint32_t j = 0; j < count && !status; j++) {
        status = gear__upload_job(&call->stream, &call->uploads, &words, error);
        memcpy(words, jobs + j * GEAR__JOB_WORDS, GEAR__JOB_WORDS * sizeof *words);
    }
    status = status ? status : gear__upload_lists(&call->stream, &call->uploads, error);
    call->uploads.first_job = 0;
    return status;
}

/* The work list of one round, as it grows. */
typedef struct job_list {
    uint32_t *jobs; /* in cache->words */
    uint32_t num_jobs, num_rows;
    uint32_t opens;             /* blocks up to the last of a job that is the first of its sequence */
    uint32_t longest, shortest; /* blocks of the longest and the shortest job */
    uint32_t fit_parts;         /* GEAR__FIT_NV_PARTS of all */
    uint32_t slot;              /* most floats of a job's fits for each block and KV head */
    uint32_t most_rows;         /* of a round */
    uint64_t most_floats;       /* of its fits, of a KV head */
} job_list;

static gear_status run_round(gear__append_call *call, job_list *list, gear_error *error)
{
    gear_cache *cache = call->cache;
    const gear__round round = {.layer = &call->layer->memory,
                               .seqs = cache->append_list.mem,
                               .jobs = cache->jobs,
                               .row_jobs = cache->row_jobs,
                               .places = cache->places,
                               .x = cache->x,
                               .mask = cache->mask,
                               .r = cache->r,
                               .a = cache->a,
                               .counters = cache->counters,
                               .sums = cache->sums,
                               .health = cache->health,
                               .weights = call->weights ? call->weights->query_squares : cache->dummy,
                               .weights_offset = call->weights ? call->weights->query_squares_offset / 4 : 0,
                               .has_weights = call->weights != NULL,
                               .opens = list->opens,
                               .num_jobs = list->num_jobs,
                               .num_rows = list->num_rows,
                               .fit_parts = list->fit_parts,
                               .longest = list->longest,
                               .shortest = list->shortest,
                               .slot = list->slot};
    if (!list->num_jobs) {
        return GEAR_OK;
    }
    gear_status status = GEAR_OK;
    if (gear__append_4_lowrank_counts(&round)) {
        status = gear__counters_ready(cache, &call->stream, error);
    }
    status = status ? status : upload_jobs(call, list->jobs, list->num_jobs, error);
    status = status ? status : gear__compress_round(&call->stream, &round, &call->k, &call->v, error);
    list->num_jobs = list->num_rows = list->opens = list->longest = list->fit_parts = list->slot = 0;
    list->shortest = UINT32_MAX;
    return status;
}

/* Whether a round has room for one more job, whose fits take `slot` floats for each block and KV head. */
static int has_room(const job_list *list, uint32_t blocks, uint32_t slot)
{
    const uint32_t rows = list->num_rows + 64 * blocks, most = slot > list->slot ? slot : list->slot;
    return rows <= list->most_rows && (uint64_t)(rows / 64) * most <= list->most_floats;
}

/* Adds a segment of sequence i. */
static void add_job(gear__append_call *call, job_list *list, uint32_t i, const segment *s, uint32_t fit_slot)
{
    gear_cache *cache = call->cache;
    const gear__slot *slot = gear__slot_of(call, i);
    const gear__block *block = &slot->blocks[s->first];
    const gear__shape *shape = &call->layer->memory.variant->shape;
    uint32_t *job = list->jobs + list->num_jobs * GEAR__JOB_WORDS;
    uint32_t cls = GEAR__INFO_CLASS(block->word[GEAR__BLOCK_INFO]), first = block->word[GEAR__BLOCK_FIRST];
    uint32_t blocks = s->end - s->first, tokens = s->tokens, exact = slot->exact > first ? slot->exact - first : 0;
    uint32_t available = tokens - (exact < tokens ? exact : tokens);
    memset(job, 0, GEAR__JOB_WORDS * sizeof *job);
    job[GEAR__JOB_SEGMENT] = block->word[GEAR__BLOCK_SEGMENT];
    job[GEAR__JOB_TABLE] = cache->slots[i] * (cache->max_blocks + 1) + 1 + s->first;
    job[GEAR__JOB_BLOCKS] = blocks;
    job[GEAR__JOB_TOKENS] = tokens;
    job[GEAR__JOB_ROW] = list->num_rows;
    job[GEAR__JOB_FIRST] = first;
    job[GEAR__JOB_ENTRY] = i;
    job[GEAR__JOB_CLASS] = cls;
    job[GEAR__JOB_FIT] = list->fit_parts;
    job[GEAR__JOB_OFFSET] = block->word[GEAR__BLOCK_OFFSET];
    job[GEAR__JOB_STEP] = s->step;
    for (uint32_t side = 0; side < 2; side++) {
        const uint32_t per_end = gear__outlier_per_end(shape->side[side].outlier_fraction, tokens, available);
        job[GEAR__JOB_PER_END] |= GEAR__PER_END_AS(per_end, side);
        for (uint32_t p = 0; p < 2; p++) {
            job[GEAR__JOB_PARTS + 2 * side + p] =
                (uint32_t)gear__outlier_part(shape, cls, block->outliers[0], block->outliers[1], (int)(2 * side + p));
        }
    }
    list->longest = blocks > list->longest ? blocks : list->longest;
    list->shortest = blocks < list->shortest ? blocks : list->shortest;
    list->slot = fit_slot > list->slot ? fit_slot : list->slot;
    list->fit_parts += GEAR__FIT_NV_PARTS(blocks);
    list->num_jobs++;
    list->num_rows += 64 * blocks;
    list->opens = first ? list->opens : list->num_rows / 64;
}

/* Adds segments of sequence i from block `b` on that begin before block `end`; runs a round where one has no room. */
static gear_status add_segments(gear__append_call *call, job_list *list, uint32_t i, uint32_t b, uint32_t end,
                                gear_error *error)
{
    const gear__slot *slot = gear__slot_of(call, i);
    const gear__variant *variant = call->layer->memory.variant;
    gear_status status = GEAR_OK;
    while (b < end && !status) {
        const segment s = segment_at(slot, b);
        b = s.end;
        const uint32_t cls = GEAR__INFO_CLASS(slot->blocks[s.first].word[GEAR__BLOCK_INFO]);
        const uint32_t fit_slot = gear__lowrank_slot(&variant->append, &variant->shape, cls, s.end - s.first);
        if (!has_room(list, s.end - s.first, fit_slot)) {
            status = run_round(call, list, error);
        }
        if (!status) {
            add_job(call, list, i, &s, fit_slot);
        }
    }
    return status;
}

/* Whether a slot's sequence opens in this call. */
static int has_opening(const gear__slot *slot)
{
    return !slot->num_blocks && slot->planned;
}

/* Segments that open their sequences come first: the moments of their blocks take a launch of blocks that follow one another,
 * and rounds behind find the orders there. */
static gear_status compress_all(gear__append_call *call, gear_error *error)
{
    const gear_cache *cache = call->cache;
    const gear__variant *variant = call->layer->memory.variant;
    const int has_fits = gear__has_rank(&variant->shape, 0) || gear__has_rank(&variant->shape, 1);
    const int is_staged = !variant->append.is_fused || has_fits || variant->shape.has_outliers;
    job_list list = {.jobs = cache->words,
                     .shortest = UINT32_MAX,
                     .most_rows = is_staged ? cache->staging_rows : cache->list_rows,
                     .most_floats = has_fits ? cache->fit_floats : UINT64_MAX};
    gear_status status = GEAR_OK;
    for (uint32_t i = 0; i < call->batch->count && !status; i++) {
        const gear__slot *slot = gear__slot_of(call, i);
        status = add_segments(call, &list, i, 0, has_opening(slot) ? 1 : 0, error);
    }
    for (uint32_t i = 0; i < call->batch->count && !status; i++) {
        const gear__slot *slot = gear__slot_of(call, i);
        const uint32_t first = has_opening(slot) ? segment_at(slot, 0).end : slot->num_blocks;
        status = add_segments(call, &list, i, first, slot->planned, error);
    }
    return status ? status : run_round(call, &list, error);
}

gear_status gear__compress_in_rounds(gear__append_call *call, gear_error *error)
{
    gear_cache *cache = call->cache;
    cache->append_list.count = 0; /* not known to gear__list_update */
    call->uploads = (gear__uploads){.layer = &call->layer->memory,
                                    .seqs = cache->append_list.mem,
                                    .jobs = cache->jobs,
                                    .row_jobs = cache->row_jobs,
                                    .places = cache->places,
                                    .row_entries = cache->max_blocks + 1};
    gear_status status = upload_tables(call, error);
    return status ? status : compress_all(call, error);
}
