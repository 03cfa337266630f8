/* test_bench_stages.c: the bytes that gear-bench counts for each stage are those that its kernel cannot do without. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/gear-bench/result.h"

/* An append of `compressed` tokens as a line of a shapes file says; without records unless the caller writes some. */
static result some_append(const char *flags, uint32_t compressed)
{
    result r = {.verb = VERB_APPEND, .compressed = compressed, .moved = 1000};
    char line[256];
    host_error error = {0};
    snprintf(line, sizeof line, "append %s", flags);
    cr_assert(shape_parse(line, "test", &r.shape, &error), "%s", error.text);
    return r;
}

Test(bench_stages, stages_of_append_count_what_they_must_move)
{
    result r = some_append("1 2 1 4096 64 1 --preset paper_2bit", 4096);
    const double values = 4096.0 * 2 * 64, lists = 64 * 2 * (64 + 64), bases = 64 * 2 * 8;
    r.bytes = (gear_bytes){.codes = 1000, .scales = 200, .lowrank = 400, .outliers = (uint64_t)(lists + bases) + 3000};
    cr_assert_eq(stage_bytes(&r, "append_0_gather"), (uint64_t)(10 * values));
    cr_assert_eq(stage_bytes(&r, "append_1_outliers_channels"), (uint64_t)(3 * values));
    cr_assert_eq(stage_bytes(&r, "append_1_marks_tokens"), (uint64_t)(17 * values / 8));
    cr_assert_eq(stage_bytes(&r, "append_2_range_tokens"), (uint64_t)(3 * values) + 100);
    cr_assert_eq(stage_bytes(&r, "append_3_quantize"), (uint64_t)(10 * values) + 1200);
    cr_assert_eq(stage_bytes(&r, "append_1_reorder"), 0);
    cr_assert_eq(stage_bytes(&r, "append_1_rotate"), 0);
    cr_assert_eq(stage_bytes(&r, "append_1_moments"), 0);
    cr_assert_eq(stage_bytes(&r, "append_block"), (uint64_t)(8 * values + values / 4 + lists) + 1200);
    cr_assert_eq(stage_bytes(&r, "append_5_count"), (uint64_t)(2 * values + lists + bases));
    cr_assert_eq(stage_bytes(&r, "append_5_bases"), (uint64_t)(2 * bases));
    cr_assert_eq(stage_bytes(&r, "append_5_store_marked"), (uint64_t)(values / 4 + lists + bases) + 3000 + 2000 + 200 + 400);
    cr_assert_eq(stage_bytes(&r, "append_5_store"), (uint64_t)(2 * values + lists + bases) + 3000 + 2000 + 200 + 400);
    cr_assert_eq(stage_bytes(&r, "something_new"), 0);
}

/* K of rank 4 takes one launch on some devices, V of rank 8 never. */
Test(bench_stages, stages_of_low_rank_count_their_own_side)
{
    result r = some_append("1 2 1 4096 64 1 --preset paper_2bit_l", 4096);
    const double values = 4096.0 * 2 * 64, gram = 2 * 2.0 * 64 * 64, columns = 4.0 * 4 * 2, rows = 4096;
    r.bytes.lowrank = 1200;
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_gram"), (uint64_t)(4 * values + 2 * gram));
    r.time.stages.items[0] = (stage_time){.name = "append_4_lowrank_fit_nvidia"};
    r.time.stages.count = 1;
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_fit"), (uint64_t)(8 * values + 4 * gram) + 1200);
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_store"), 0);
    r.shape.recipe.codecs.v.rank_prompt = r.shape.recipe.codecs.v.rank_decode = 8;
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_fit"), (uint64_t)(4 * values + 2 * gram) + 400);
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_store"), (uint64_t)(2 * columns * (rows + 64)) + 800);
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_gram"), (uint64_t)(2 * values + gram));
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_iterate"), (uint64_t)(gram + 2 * 2 * columns * 64));
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_project"), (uint64_t)(2 * values + 2 * columns * (rows + 64)));
}

/* Behind a segment of 4096 tokens a short one, or one block: each kernel counts the fits that it does. */
Test(bench_stages, stages_of_low_rank_count_the_fits_of_their_length)
{
    const double each = 2 * 2 * 2 * 64, gram = 2 * 2.0 * 64 * 64, column = 8.0; /* each: residual of a token, both sides */
    result r = some_append("1 2 1 4300 64 1 --preset paper_2bit_l", 4288);
    r.bytes.lowrank = 4288 + 2 * 64; /* one byte for each row of a factor */
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_gram_cpu"), (uint64_t)(4096 * each + 2 * gram));
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_iterate_cpu"), (uint64_t)(2 * gram + 2 * 2 * 4 * column * 64));
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_store_cpu"), (uint64_t)(2 * 4 * column * (4096 + 64)) + 4096 + 64);
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_whole_cpu"), (uint64_t)(192 * each) + 192 + 64);
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_whole"), (uint64_t)(192 * each) + 192 + 64);
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_block"), 0);
    r.time.stages.items[0] = (stage_time){.name = "append_4_lowrank_fit_nvidia"};
    r.time.stages.count = 1;
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_fit_nvidia"), (uint64_t)(2 * 4288 * each + 4 * gram) + r.bytes.lowrank);
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_whole"), 0);
    /* the sum of up to 1024 rows is G: it does not come to memory */
    for (uint32_t tokens = 512; tokens <= 1088; tokens += 64) {
        r = some_append("1 2 1 4096 64 1 --preset paper_2bit_l", tokens);
        r.bytes.lowrank = tokens + 64;
        r.time.stages.items[0] = (stage_time){.name = "append_4_lowrank_fit_nvidia"};
        r.time.stages.count = 1;
        cr_expect_eq(stage_bytes(&r, "append_4_lowrank_fit_nvidia"),
                     (uint64_t)(2 * tokens * each + (tokens > 1024 ? 4 * gram : 0)) + r.bytes.lowrank, "%u", tokens);
        r.time.stages.count = 0;
        cr_expect_eq(stage_bytes(&r, "append_4_lowrank_gram"), (uint64_t)(tokens * each + 2 * gram), "%u", tokens);
    }
    r = some_append("1 2 1 4160 64 1 --preset paper_2bit_l", 4160);
    r.bytes.lowrank = 4160 + 2 * 64;
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_block"), (uint64_t)(64 * each) + 64 + 64);
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_whole_cpu"), (uint64_t)(64 * each) + 64 + 64);
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_whole"), 0);
}

/* Of lengths from 128 to 384 tokens, only the longest has a Gram matrix; and each counts its own opening segment. */
Test(bench_stages, ragged_sequences_count_each_their_own_segments)
{
    const double each = 2 * 2 * 2 * 64, gram = 2 * 2.0 * 64 * 64;
    result r = some_append("3 2 1 256 64 1 ragged --preset paper_2bit_l", 768);
    cr_assert_eq(r.shape.recipe.recent, 0);
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_gram"), (uint64_t)(384 * each + 2 * gram));
    cr_expect_eq(stage_bytes(&r, "append_4_lowrank_whole"), (uint64_t)((128 + 256) * each));
    r = some_append("3 2 1 4096 64 1 ragged --backbone mixed --k-segments 16x4,48x2", 2048 + 4096 + 6144);
    const uint64_t opening = 2048 + 4096 + 4096, sums = 2 * (opening / 64) * 2 * 64;
    cr_expect_eq(stage_bytes(&r, "append_1_moments"), 2 * opening * 2 * 64 + 4 * sums);
}

Test(bench_stages, the_channel_order_reads_the_first_segment)
{
    result r = some_append("2 2 1 8192 64 1 --preset mix_2_5", 16384);
    const uint64_t sums = 2 * 64 * 2 * 64 * 8;
    cr_assert_eq(stage_bytes(&r, "append_1_moments"), 2 * 8192 * 2 * 64 + sums);
    cr_assert_eq(stage_bytes(&r, "append_1_order"), sums + 2 * 2 * 64);
    cr_assert_eq(stage_bytes(&r, "append_1_norms"), 2 * 2 * 16384 * 2 * 64 + 5 * 16384 * 2);
    r.shape.decode = true; /* says how attend's cache is filled */
    cr_assert_eq(stage_bytes(&r, "append_1_order"), sums + 2 * 2 * 64);
}

Test(bench_stages, stages_of_one_side_count_that_side)
{
    const uint64_t values = 4096 * 2 * 64;
    const uint64_t parts = values / 64 * 2 * 2, of_k = 4 * 2 * 64, of_v = 4 * 4096; /* pairs; one segment */
    result r = some_append("1 2 1 4096 64 1 --preset kcvt_4", 4096);
    r.bytes.scales = of_k + of_v;
    cr_assert_eq(stage_bytes(&r, "append_2_range_channels"), 3 * values + of_k);
    cr_assert_eq(stage_bytes(&r, "append_2_range_tokens"), 3 * values + of_v);
    r.time.stages.items[0] = (stage_time){.name = "append_2_range_join"};
    r.time.stages.count = 1;
    cr_assert_eq(stage_bytes(&r, "append_2_range_channels"), 3 * values + parts);
    cr_assert_eq(stage_bytes(&r, "append_2_range_tokens"), 3 * values + of_v);
    cr_assert_eq(stage_bytes(&r, "append_2_range_join"), parts + of_k);
    r = some_append("1 2 1 4096 64 1 --backbone kcvt --k-bits 16 --v-bits 2", 4096);
    r.bytes.scales = of_v;
    cr_assert_eq(stage_bytes(&r, "append_2_range_tokens"), 3 * values + of_v);
    r = some_append("1 2 1 4096 64 1 --backbone mixed --k-segments 16x4,48x2 --outliers 0.02", 4096);
    cr_assert_eq(stage_bytes(&r, "append_1_reorder"), 2 * 2 * values);
    cr_assert_eq(stage_bytes(&r, "append_1_rotate"), 0);
    r = some_append("1 2 1 4096 64 1 --backbone mixed --k-segments 16x4,48x2 --outliers 0.02 --rotate-v", 4096);
    cr_assert_eq(stage_bytes(&r, "append_1_rotate"), 2 * 2 * values);
}

/* Of a cache of 4096 + 64 tokens a decode block is one in 65, whatever the factors of the prompt. */
Test(bench_stages, a_decode_block_counts_its_own_tokens)
{
    result r = some_append("1 2 1 4096 64 1 decode-block --preset paper_2bit_l", 4160);
    const uint64_t values = 64 * 2 * 64, stored = 2 * r.shape.recipe.codecs.k.rank_decode * (64 + 64) * 2,
                   token = 2 * 2 * 2 * 64;
    r.bytes = (gear_bytes){.codes = 65000, .scales = 6500, .lowrank = 77777, .exact = 5000, .window = 6000};
    cr_assert_eq(stage_bytes(&r, "append_block"), 4 * values + 1000 + 100 + 4 * values);
    cr_assert_eq(stage_bytes(&r, "append_4_lowrank_block"), 4 * values + 2 * stored);
    cr_assert_eq(stage_bytes(&r, "append_decode"), 4 * values + 1000 + 100 + 2 * stored + 2 * token);
    cr_assert_eq(stage_bytes(&r, "append_6_window"), 2 * token);
    cr_assert_eq(stage_bytes(&r, "append_1_moments"), 0);
}

Test(bench_stages, the_merge_reads_what_the_splits_left)
{
    result r = {.verb = VERB_ATTEND, .time.stages.count = 1};
    char line[] = "attend 4 8 4 4096 128 1 --preset paper_2bit_l"; /* 64 work-groups: 2 splits */
    host_error error = {0};
    cr_assert(shape_parse(line, "test", &r.shape, &error), "%s", error.text);
    r.time.stages.items[0] = (stage_time){.name = "attend_1_partial", .launches = 1, .groups = 64};
    r.tile_rows = 8;
    cr_assert_eq(stage_bytes(&r, "attend_2_merge"), 2 * 4 * 8 * 4 * 130 * 4 + 4 * 8 * 4 * 128 * 2);
    r.tile_rows = 2; /* two row tiles: 1 split */
    cr_assert_eq(stage_bytes(&r, "attend_2_merge"), 4 * 8 * 4 * 130 * 4 + 4 * 8 * 4 * 128 * 2);
}

/* Calls `visit` with each kernel that a file of src/stage names, without its prefix. */
static void each_kernel(const char *file, void visit(const char *name))
{
    static const char prefix[] = "\"gear_k_";
    char path[4096], line[1024];
    snprintf(path, sizeof path, "%s/src/stage/%s", getenv("GEAR_TEST_ROOT") ? getenv("GEAR_TEST_ROOT") : GEAR_TEST_ROOT, file);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s", path);
    while (fgets(line, sizeof line, f))
        for (char *at = line; (at = strstr(at, prefix));) {
            char *end = strchr(at += strlen(prefix), '"');
            cr_assert_not_null(end);
            *end = 0;
            visit(at);
            at = end + 1;
        }
    fclose(f);
}

static unsigned kernels_seen;

/* The most bytes of any layer and length; `stage` stands among the recorded ones where the layer has the joined fits. */
static uint64_t most_bytes(const char *stage)
{
    static const char *const layers[] = {"--preset paper_2bit_l", "--preset paper_2bit", "--preset gear_2_6",
                                         "--preset token_2"};
    static const uint32_t lengths[] = {64, 192, 4096}; /* fits of one block, short and long ones */
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof layers / sizeof *layers * 3; ++i)
        for (unsigned verb = VERB_ATTEND; verb <= VERB_APPEND; verb <<= 1) {
            char flags[128];
            snprintf(flags, sizeof flags, "1 2 1 %u 64 1 %s", lengths[i % 3], layers[i / 3]);
            result r = some_append(flags, lengths[i % 3]);
            r.verb = verb;
            r.bytes.window = 64;
            if (strstr(stage, "fit_nvidia")) {
                snprintf(r.time.stages.items[0].name, sizeof r.time.stages.items[0].name, "%s", stage);
                r.time.stages.count = 1;
            }
            const uint64_t bytes = stage_bytes(&r, stage);
            most = bytes > most ? bytes : most;
        }
    return most;
}

/* Some layer has bytes for it, by its own model: none for a kernel whose name only begins so. Reconstruction is no verb that is
 * timed. */
static void has_a_model(const char *name)
{
    char longer[128];
    ++kernels_seen;
    snprintf(longer, sizeof longer, "%s_new", name);
    cr_expect(most_bytes(name) > 0 || !strcmp(name, "reconstruct"), "%s: stage_bytes.c has no model", name);
    cr_expect_eq(most_bytes(longer), 0, "%s is not %s", longer, name);
}

Test(bench_stages, every_kernel_has_a_model)
{
    each_kernel("variant.c", has_a_model);
    cr_assert_gt(kernels_seen, 40);
}
