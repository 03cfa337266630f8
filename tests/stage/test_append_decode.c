/* test_append_decode.c: decode steps in one launch against the reference's steps one after the other, bit for bit: records,
 * page table, window, health. Without low rank, whose factors tests/property/test_decode_step.c compares with those of the
 * stages. Codecs that the kernel declines are changed into ones that it takes. */
#include <criterion/criterion.h>
#include <string.h>

#include "stage_world.h"

static uint32_t blocks; /* that steps of the case completed */

static uint32_t *job_at(const stage_world *w, uint32_t j)
{
    return (uint32_t *)(void *)w->jobs.host + (size_t)j * GEAR__JOB_WORDS;
}

/* Whether the kernel takes the round: at most one block for each sequence, a decode segment, not the first. */
static int is_decode_step(const stage_world *w)
{
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        const uint32_t *job = job_at(w, j);
        if (job[GEAR__JOB_BLOCKS] != 1 || job[GEAR__JOB_CLASS] != GEAR__DECODE || !job[GEAR__JOB_FIRST] ||
            (j && job[GEAR__JOB_ENTRY] == job_at(w, j - 1)[GEAR__JOB_ENTRY])) {
            return 0;
        }
    }
    return 1;
}

static uint32_t *table_entry(const stage_world *w, const uint32_t *job)
{
    return (uint32_t *)(void *)w->table.host + (size_t)job[GEAR__JOB_TABLE] * GEAR__BLOCK_WORDS;
}

static void make_words(const stage_world *w, uint32_t *words)
{
    const uint32_t *list = (const uint32_t *)(const void *)w->list.host;
    for (uint32_t i = 0; i < w->entries; i++) {
        uint32_t *to = words + i * GEAR__DECODE_WORDS;
        const uint32_t *seq = list + i * GEAR__SEQ_WORDS;
        memset(to, 0, GEAR__DECODE_WORDS * sizeof *to);
        to[GEAR__DECODE_SLOT] = seq[GEAR__SEQ_SLOT];
        to[GEAR__DECODE_LENGTH] = seq[GEAR__SEQ_LENGTH];
        to[GEAR__DECODE_COUNT] = seq[GEAR__SEQ_COUNT];
        to[GEAR__DECODE_ROW] = seq[GEAR__SEQ_ROW];
    }
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        const uint32_t *job = job_at(w, j), *entry = table_entry(w, job);
        uint32_t *to = words + job[GEAR__JOB_ENTRY] * GEAR__DECODE_WORDS;
        const uint32_t row = to[GEAR__DECODE_SLOT] * w->table_row;
        to[GEAR__DECODE_OFFSET] = entry[GEAR__BLOCK_OFFSET];
        to[GEAR__DECODE_SEGMENT] = entry[GEAR__BLOCK_SEGMENT];
        to[GEAR__DECODE_FIRST] = job[GEAR__JOB_FIRST];
        to[GEAR__DECODE_BLOCK] = job[GEAR__JOB_TOKENS] | (job[GEAR__JOB_TABLE] - row - 1) << 8;
    }
}

/* The device gets the table without the new entries. */
static void launch(stage_world *w)
{
    uint32_t words[STAGE_SEQS * GEAR__DECODE_WORDS], kept[STAGE_SEQS][GEAR__BLOCK_WORDS];
    make_words(w, words);
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        memcpy(kept[j], table_entry(w, job_at(w, j)), sizeof kept[j]);
        memset(table_entry(w, job_at(w, j)), 0x5a, sizeof kept[j]);
    }
    stage_world_put(w);
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        memcpy(table_entry(w, job_at(w, j)), kept[j], sizeof kept[j]);
    }
    const uint32_t split = w->round_number % 2 ? w->entries : 1; /* sequences of the first launch */
    for (uint32_t first = 0; first < w->entries; first += first ? w->entries : split) {
        const gear__decode_call call = {.layer = &w->layer,
                                        .r = w->r.mem,
                                        .health = w->health.mem,
                                        .words = words + first * GEAR__DECODE_WORDS,
                                        .num_seqs = first ? w->entries - first : split,
                                        .first_entry = first};
        STAGE_LAUNCH(w->bench, gear__append_decode(&stream, &call, &w->tensor[0], &w->tensor[1], &error));
    }
}

static void check(stage_world *w, uint32_t unused)
{
    (void)unused;
    const int is_step = is_decode_step(w);
    if (w->shape.side[0].ordered) {
        stage_ref_step(w, 0, STAGE_GATHER);
        stage_ref_step(w, 0, STAGE_ORDER);
    }
    if (is_step) {
        blocks += w->jobs_count;
        stage_world_count(w, UINT32_MAX);
        launch(w);
    }
    for (uint32_t is_v = 0; is_v < 2; is_v++) {
        if (!is_step || !is_v) { /* starts the headers of segments, too */
            stage_world_count(w, UINT32_MAX);
            stage_ref_step(w, is_v, STAGE_BLOCK);
        }
        if (is_step) {
            w->counted[0] = is_v ? w->counted[0] : UINT32_MAX;
            w->counted[1] = is_v ? w->counted[1] : UINT32_MAX;
            w->ref.is_v = is_v;
            cr_assert(gear__ref_append_decode(&w->ref, &w->source[is_v], &w->source[1]));
        }
    }
    if (is_step) {
        stage_ref_step(w, 0, STAGE_NONE); /* puts the counters where they are compared */
        stage_take(w->bench, &w->x);      /* scratch of the reference */
        stage_take(w->bench, &w->mask);
        stage_take(w->bench, &w->r);
        stage_world_same(w, "decode step");
    }
}

static void make_local(gear_codec *codec)
{
    codec->backbone = codec->backbone == GEAR_BACKBONE_KCVT ? GEAR_BACKBONE_TOKEN : codec->backbone;
    codec->outlier_fraction = 0;
    codec->rank_prompt = codec->rank_decode = 0;
    for (uint32_t i = 0; i < GEAR_MAX_SEGMENTS && codec->backbone == GEAR_BACKBONE_MIXED; i++) {
        codec->segments[i].bits = codec->segments[i].bits == 1 ? 2 : codec->segments[i].bits;
    }
}

static void run(stage_bench *bench, stage_case local, stage_data data)
{
    /* Prompts that complete a block; then steps that complete one for some sequences and not for others. Where the window is
     * as long as a block of a prompt, a step must leave no more than the window holds, or prompt blocks come of it. */
    const uint32_t n = local.window, first = local.recent + 65;
    const uint32_t small[][STAGE_SEQS] = {
        {first, first + 9, first + 100}, {n, n, 1}, {1, 0, n}, {n, n, n}, {1, 2, 1}, {n, 1, 0}, {1, n, n}, {2, 1, 1}};
    const uint32_t large[][STAGE_SEQS] = {{first, first + 9, first + 100},
                                          {n - 1, n - 10, 1},
                                          {1, n, 0},
                                          {n - 1, 1, n - 38},
                                          {n, 0, 1},
                                          {1, n - 1, n - 1},
                                          {2, 1, 0}};
    const uint32_t tiny_small[][STAGE_SEQS] = {{first, 0, first + 1}, {n, 0, 1}, {1, 0, n}};
    const uint32_t tiny_large[][STAGE_SEQS] = {{first, 0, first + 1}, {n - 1, 0, 1}, {1, 0, n - 3}};
    gear__shape shape;
    stage_world world;
    make_local(&local.k);
    make_local(&local.v);
    stage_shape(&local, &shape);
    /* a window of two blocks fills a segment of two: never one block in a step */
    if (local.window > 64 || gear__append_decode_why_not(&bench->device.caps, &shape)) {
        return;
    }
    if (stage_tiny()) {
        bench->counts = n < 64 ? tiny_small : tiny_large;
        bench->rounds = sizeof tiny_small / sizeof *tiny_small;
    } else {
        bench->counts = n < 64 ? small : large;
        bench->rounds = n < 64 ? sizeof small / sizeof *small : sizeof large / sizeof *large;
    }
    blocks = 0;
    stage_world_open(&world, bench, &local, data, 1ull << GEAR__KERNEL_DECODE);
    stage_world_run(&world, STAGE_BLOCK, check);
    stage_world_close(&world);
    cr_assert(blocks, "%s: no step completed a block", local.name);
}

Test(append_decode, equals_the_reference)
{
    stage_bench bench;
    uint32_t count;
    const stage_case *cases = stage_cases(&count);
    stage_open(&bench);
    for (uint32_t i = 0; i < count; i++) { /* work-groups of 256 and of 64 in turn */
        const uint32_t items = i % 2 || bench.device.caps.max_work_group < 256 ? 64 : 256;
        bench.append = (gear__append_tile){.work_items = 64, .most_items = items, .is_fused = 1, .has_decode = 1};
        for (int data = 0; data < STAGE_DATA_KINDS; data++) {
            if (data == STAGE_EXTREME || !stage_tiny()) {
                run(&bench, cases[i], (stage_data)data);
            }
        }
    }
    stage_close(&bench, "append_decode");
}
