/* test_append_1_marks.c: outliers as bits from the tokens as they come in: those of the reference's mask. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "stage_world.h"

#define KERNELS (1ull << GEAR__KERNEL_OUTLIERS_CHANNELS | 1ull << GEAR__KERNEL_OUTLIERS_TOKENS)

static void check(stage_world *world, uint32_t is_v)
{
    const gear__side *side = &world->shape.side[is_v];
    if (side->outlier_rule == GEAR_OUTLIER_BLOCK || gear__is_mixed(side)) {
        stage_ref_step(world, is_v, STAGE_OUTLIERS);
        return;
    }
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_1_marks(&stream, &world->round, is_v, &world->tensor[is_v], &error));
    const size_t bytes = world->mask.bytes / 8;
    uint8_t *got = stage_get(world->bench, &world->mask), *want = malloc(bytes);
    cr_assert(want);
    stage_same_bytes(got + bytes, world->mask.host + bytes, world->mask.bytes - bytes, "behind the marks");
    stage_ref_step(world, is_v, STAGE_OUTLIERS);
    gear__ref_append_1_marks(&world->ref, (uint16_t *)(void *)want);
    stage_same_bytes(got, want, bytes, "marks");
    free(got);
    free(want);
    stage_put(world->bench, &world->mask);
    stage_world_same(world, is_v ? "V" : "K");
}

static const gear__append_tile gpu_tile = {.work_items = 128, .most_items = 256, .is_fused = 1};

/* Opens the bench of a test for the warps of an NVIDIA GPU, which ends where there are none. */
static void open_warps(stage_bench *bench)
{
    stage_open(bench);
    if (!bench->append.has_tensor_cores) {
        stage_skip(bench, "no NVIDIA GPU from sm_80 on");
    }
    bench->append.is_fused = 1;
}

/* Segments of up to `max_segment` tokens from `counts` tokens of each sequence. */
static void run_long(stage_bench *bench, const stage_case *c, uint32_t max_segment, const uint32_t (*counts)[STAGE_SEQS],
                     stage_data data)
{
    stage_world world;
    bench->counts = counts;
    bench->rounds = 1;
    bench->max_segment = max_segment;
    stage_world_open(&world, bench, c, data, KERNELS);
    stage_world_run(&world, STAGE_OUTLIERS, check);
    stage_world_close(&world);
}

#define CODEC(share)                                                                                                           \
  {                                                                                                                            \
    .struct_size = sizeof(gear_codec), .backbone = GEAR_BACKBONE_KIVI, .bits = 2, .group = 64, .factor_bits = 16,              \
    .outlier_fraction = share, .outlier_rule = GEAR_OUTLIER_VECTOR                                                             \
  }

/* Channels of segments that are read in several turns, the last of them not a whole one; outliers of an end up to 64 of 4096
 * tokens, which warps find, and more; a channel with more candidates than they have room for. */
static void run_channels(stage_bench *bench)
{
    static const stage_case cases[] = {
        {"64 of an end", 64, 1, 1, 1, 64, 0, 0, GEAR_F16, 0, CODEC(0.03125f), CODEC(0)},
        {"65 of an end, 5 exact", 64, 1, 1, 1, 64, 0, 5, GEAR_F16, 0, CODEC(0.03174f), CODEC(0)},
        {"41 of an end, 64 exact", 64, 1, 1, 1, 64, 0, 64, GEAR_F16, 0, CODEC(0.02f), CODEC(0)},
    };
    static const uint32_t longest[][STAGE_SEQS] = {{4160, 0, 1984}}, others[][STAGE_SEQS] = {{0, 1600, 576}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (stage_data data = STAGE_SMOOTH; data <= STAGE_FINE_TIES; data += STAGE_FINE_TIES - STAGE_SMOOTH) {
            run_long(bench, &cases[i], 4096, longest, data);
            run_long(bench, &cases[i], 1500, others, data);
        }
    }
}

/* Vectors over so many heads that a lane of a warp has up to four pieces of each, and over more than it has room for. */
static void run_tokens(stage_bench *bench)
{
    static const stage_case cases[] = {
        {"8 heads of 128", 128, 8, 1, 1, 64, 0, 5, GEAR_F16, 0, CODEC(0), CODEC(0.02f)},
        {"9 heads of 128", 128, 9, 1, 1, 64, 0, 0, GEAR_F16, 0, CODEC(0), CODEC(0.02f)},
        {"5 heads of 128", 128, 5, 1, 1, 64, 0, 0, GEAR_F16, 0, CODEC(0), CODEC(0.02f)},
    };
    static const uint32_t counts[][STAGE_SEQS] = {{200, 0, 140}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_long(bench, &cases[i], 150, counts, STAGE_SMOOTH);
        run_long(bench, &cases[i], 150, counts, STAGE_FINE_TIES);
    }
}

/* On the work-groups of a GPU, and on those of 64. */
static void run_forms(const char *name, void (*run)(stage_bench *bench))
{
    stage_bench bench;
    stage_open(&bench);
    if (stage_tiny()) {
        stage_skip(&bench, "too much for the simulator");
    }
    bench.append = gpu_tile;
    do {
        run(&bench);
    } while (stage_other_form(&bench, KERNELS));
    stage_close(&bench, name);
}

static void run_warps(const char *name, void (*run)(stage_bench *bench))
{
    stage_bench bench;
    open_warps(&bench);
    run(&bench);
    stage_close(&bench, name);
}

Test(append_1_marks, equals_the_reference)
{
    stage_run_tiled("append_1_marks", STAGE_OUTLIERS, KERNELS, &gpu_tile, check);
}

Test(append_1_marks, equals_the_reference_by_warps)
{
    stage_bench bench;
    open_warps(&bench);
    stage_run_opened(&bench, STAGE_OUTLIERS, KERNELS, check);
    stage_close(&bench, "append_1_marks by warps");
}

Test(append_1_marks, of_long_segments)
{
    run_forms("append_1_marks of long segments", run_channels);
}

Test(append_1_marks, of_long_segments_by_warps)
{
    run_warps("append_1_marks of long segments by warps", run_channels);
}

Test(append_1_marks, over_many_heads)
{
    run_forms("append_1_marks over many heads", run_tokens);
}

Test(append_1_marks, over_many_heads_by_warps)
{
    run_warps("append_1_marks over many heads by warps", run_tokens);
}
