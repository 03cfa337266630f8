/* test_upload.c: words that travel as kernel arguments arrive where they should, and nowhere else. */
#include <criterion/criterion.h>
#include <string.h>

#include "stage_world.h"

#define WORDS 1000u

/* Opens the bench too. */
static void open_variant(stage_bench *bench, gear__variant *variant, uint64_t kernels)
{
    uint32_t count;
    gear__shape shape;
    stage_shape(stage_cases(&count), &shape);
    stage_open(bench);
    stage_variant_open(bench, variant, &shape, 1, 1, kernels, GEAR_ATTEND_PORTABLE);
}

Test(upload, any_count_anywhere)
{
    static const uint32_t counts[] = {0, 1, 4, 63, 64, 65, 191, 192, 193, 384, 577};
    stage_bench bench;
    stage_buffer table = {0};
    gear__variant variant;
    uint32_t words[WORDS];
    open_variant(&bench, &variant, 1ull << GEAR__KERNEL_UPLOAD);
    stage_buffer_make(&bench, &table, WORDS * 4);
    stage_put(&bench, &table);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const uint32_t offsets[] = {0, 17, WORDS - counts[i]};
        for (uint32_t o = 0; o < 3; o++) {
            for (uint32_t n = 0; n < WORDS; n++) {
                words[n] = stage_hash(n, o, (uint32_t)i);
            }
            STAGE_LAUNCH(&bench, gear__upload(&stream, &variant, table.mem, offsets[o], words, counts[i], &error));
            memcpy(table.host + 4 * (size_t)offsets[o], words, 4 * (size_t)counts[i]);
            stage_same(&bench, &table, "table");
        }
    }
    /* Two uploads on one stream out of the same host memory: each carries its own words. */
    for (uint32_t n = 0; n < 8; n++) {
        gear__stream stream;
        gear_error error;
        stage_begin(&bench, &stream, &error);
        words[0] = n;
        cr_assert_eq(gear__upload(&stream, &variant, table.mem, n, words, 1, &error), GEAR_OK);
        words[0] = ~n;
        stage_end(&bench, &stream, gear__upload(&stream, &variant, table.mem, n + 100, words, 1, &error), &error);
        memcpy(table.host + 4 * (size_t)n, &n, 4);
        memcpy(table.host + 4 * ((size_t)n + 100), words, 4);
        stage_same(&bench, &table, "table");
    }
    stage_buffer_free(&table);
    gear__variant_close(&variant);
    stage_close(&bench, "upload");
}

#define ENTRIES 300u

/* Runs as the host would write them, entry by entry. */
static void expand(const uint32_t *run, uint32_t *table)
{
    uint32_t *out = table + run[GEAR__RUN_AT] * GEAR__BLOCK_WORDS;
    for (uint32_t i = 0; i < run[GEAR__RUN_COUNT]; i++, out += GEAR__BLOCK_WORDS) {
        uint32_t rest = run[GEAR__RUN_TOKENS] - 64 * i;
        out[GEAR__BLOCK_OFFSET] = run[GEAR__RUN_OFFSET] + i * run[GEAR__RUN_STEP];
        out[GEAR__BLOCK_SEGMENT] = run[GEAR__RUN_SEGMENT];
        out[GEAR__BLOCK_FIRST] = run[GEAR__RUN_FIRST] + 64 * i;
        out[GEAR__BLOCK_INFO] = run[GEAR__RUN_INFO] + (i << 16) + (rest < 64 ? rest : 64);
    }
}

/* Of block `b` of a job. */
static void put_place(uint32_t *place, const uint32_t *job, const uint32_t *seqs, uint32_t b)
{
    const uint32_t *seq = seqs + job[GEAR__JOB_ENTRY] * GEAR__SEQ_WORDS, step = job[GEAR__JOB_STEP];
    place[GEAR__PLACE_ENTRY] = job[GEAR__JOB_ENTRY];
    place[GEAR__PLACE_FIRST] = job[GEAR__JOB_FIRST];
    place[GEAR__PLACE_TOKENS] = job[GEAR__JOB_TOKENS];
    place[GEAR__PLACE_TOKENS + 1] = 0;
    place[GEAR__PLACE_SLOT] = seq[GEAR__SEQ_SLOT];
    place[GEAR__PLACE_LENGTH] = seq[GEAR__SEQ_LENGTH];
    place[GEAR__PLACE_ROW] = seq[GEAR__SEQ_ROW];
    place[GEAR__PLACE_INFO] = job[GEAR__JOB_CLASS] | b << 16;
    place[GEAR__PLACE_OFFSET] = step == GEAR__NO_STEP ? step : job[GEAR__JOB_OFFSET] + b * step;
    place[GEAR__PLACE_SEGMENT] = job[GEAR__JOB_SEGMENT];
    place[GEAR__PLACE_TABLE] = job[GEAR__JOB_TABLE] + b;
    place[GEAR__PLACE_TABLE + 1] = 0;
    memcpy(place + GEAR__PLACE_HEADER, seq + GEAR__SEQ_HEADER, 3 * sizeof *place);
    place[GEAR__PLACE_HEADER + 3] = 0;
}

#define PER_REPEAT 3u /* sequences and jobs */
#define MOST_RUNS  6u

/* PER_REPEAT sequences and jobs and `count` runs, `repeats` times over. */
static void check_lists(stage_bench *bench, const gear__variant *variant, uint32_t repeats, uint32_t count)
{
    static const uint32_t lengths[MOST_RUNS] = {1, 64, 65, 0, 100, 2}, blocks[PER_REPEAT] = {1, 70, 9}, entries = 80;
    const uint32_t jobs = PER_REPEAT * repeats;
    stage_buffer table = {0}, seqs = {0}, list = {0}, rows = {0}, places = {0};
    const uint32_t first_slot = repeats * ENTRIES / entries + 1; /* its rows follow the runs */
    stage_buffer_make(bench, &table, (first_slot + jobs) * entries * GEAR__BLOCK_WORDS * 4);
    stage_buffer_make(bench, &seqs, (jobs + 2) * GEAR__SEQ_WORDS * 4);
    stage_buffer_make(bench, &list, (jobs + 2) * GEAR__JOB_WORDS * 4);
    stage_buffer_make(bench, &rows, (repeats + 1) * 80 * 4);
    stage_buffer_make(bench, &places, (repeats + 1) * 80 * GEAR__PLACE_WORDS * 4);
    stage_put(bench, &table);
    stage_put(bench, &seqs);
    stage_put(bench, &list);
    stage_put(bench, &rows);
    stage_put(bench, &places);
    const gear__layer_memory layer = {.variant = variant, .table = table.mem};
    gear__uploads uploads = {.layer = &layer,
                             .seqs = seqs.mem,
                             .jobs = list.mem,
                             .row_jobs = rows.mem,
                             .places = places.mem,
                             .row_entries = entries,
                             .first_seq = 1};
    gear__stream stream;
    gear_error error;
    uint32_t *words = NULL, at = 0, block = 0;
    stage_begin(bench, &stream, &error);
    for (uint32_t i = 0; i < jobs; i++) {
        cr_assert_eq(gear__upload_seq(&stream, &uploads, &words, &error), GEAR_OK);
        for (uint32_t w = 0; w < GEAR__SEQ_WORDS; w++) {
            words[w] = stage_hash(i, w, 1);
        }
        words[GEAR__SEQ_SLOT] = first_slot + i;
        memcpy(table.host + (first_slot + i) * entries * GEAR__BLOCK_WORDS * 4, words + GEAR__SEQ_HEADER, 3 * 4);
        memset(table.host + ((first_slot + i) * entries * GEAR__BLOCK_WORDS + 3) * 4, 0, 4);
        memcpy(seqs.host + (i + 1) * GEAR__SEQ_WORDS * 4, words, GEAR__SEQ_WORDS * 4);
    }
    for (uint32_t i = 0; i < count * repeats; i++) {
        const uint32_t n = i % count;
        cr_assert_eq(gear__upload_run(&stream, &uploads, &words, &error), GEAR_OK);
        memcpy(words,
               (uint32_t[GEAR__RUN_WORDS]){at, lengths[n], 1000 * i, 7, 50 + i, 64 * n, 64 * lengths[n] - 20 * (n % 2),
                                           n % 2 << 8 | n << 16},
               sizeof *words * GEAR__RUN_WORDS);
        expand(words, (uint32_t *)(void *)table.host);
        at += lengths[n] + 2;
    }
    for (uint32_t j = 0; j < jobs; j++) {
        cr_assert_eq(gear__upload_job(&stream, &uploads, &words, &error), GEAR_OK);
        for (uint32_t w = 0; w < GEAR__JOB_WORDS; w++) {
            words[w] = stage_hash(j, w, 2);
        }
        words[GEAR__JOB_ROW] = 64 * block;
        words[GEAR__JOB_BLOCKS] = blocks[j % PER_REPEAT];
        words[GEAR__JOB_ENTRY] = 1 + (5 * j + 2) % jobs;
        words[GEAR__JOB_TABLE] = (first_slot + j) * entries + 1;
        words[GEAR__JOB_TOKENS] = 64 * blocks[j % PER_REPEAT] - j % 64;
        words[GEAR__JOB_CLASS] = j % 2;
        words[GEAR__JOB_STEP] = j % 4 == 3 ? GEAR__NO_STEP : 3 * j;
        if (words[GEAR__JOB_STEP] != GEAR__NO_STEP) {
            const uint32_t run[GEAR__RUN_WORDS] = {words[GEAR__JOB_TABLE],  words[GEAR__JOB_BLOCKS],    words[GEAR__JOB_OFFSET],
                                                   words[GEAR__JOB_STEP],   words[GEAR__JOB_SEGMENT],   words[GEAR__JOB_FIRST],
                                                   words[GEAR__JOB_TOKENS], words[GEAR__JOB_CLASS] << 8};
            expand(run, (uint32_t *)(void *)table.host);
        }
        memcpy(list.host + j * GEAR__JOB_WORDS * 4, words, GEAR__JOB_WORDS * 4);
        for (uint32_t b = 0; b < blocks[j % PER_REPEAT]; b++) {
            put_place((uint32_t *)(void *)places.host + block * GEAR__PLACE_WORDS, words, (uint32_t *)(void *)seqs.host, b);
            ((uint32_t *)(void *)rows.host)[block++] = j;
        }
    }
    stage_end(bench, &stream, gear__upload_lists(&stream, &uploads, &error), &error);
    cr_assert_eq(uploads.used, 0);
    cr_assert_eq(uploads.first_job, jobs);
    stage_same(bench, &table, "table");
    stage_same(bench, &seqs, "sequences");
    stage_same(bench, &list, "jobs");
    stage_same(bench, &rows, "job rows");
    stage_same(bench, &places, "places");
    stage_buffer_free(&table);
    stage_buffer_free(&seqs);
    stage_buffer_free(&list);
    stage_buffer_free(&rows);
    stage_buffer_free(&places);
}

Test(upload, lists_of_an_append)
{
    stage_bench bench;
    gear__variant variant;
    open_variant(&bench, &variant, 1ull << GEAR__KERNEL_UPLOAD_LISTS);
    const uint32_t room = bench.append.is_nvidia ? GEAR__LONG_UPLOAD_WORDS : GEAR__UPLOAD_WORDS; /* of a launch */
    const uint32_t seqs = PER_REPEAT * GEAR__SEQ_WORDS;
    check_lists(&bench, &variant, 1, MOST_RUNS);
    /* jobs of sequences that an earlier launch brought */
    check_lists(&bench, &variant, 2 * room / (seqs + MOST_RUNS * GEAR__RUN_WORDS + PER_REPEAT * GEAR__JOB_WORDS) + 1,
                MOST_RUNS);
    /* the second launch has the last sequences, and jobs of them and of those before */
    check_lists(&bench, &variant, room / seqs + 1, 0);
    gear__variant_close(&variant);
    stage_close(&bench, "upload_lists");
}
