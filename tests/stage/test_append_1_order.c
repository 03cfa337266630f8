/* test_append_1_order.c: channel orders, bit for bit; with and without weights, which may be no numbers; on work-groups of a
 * CPU device and of a GPU. The sums of the blocks are taken over from the device. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_1_order(&stream, &world->round, &world->tensor[0], &error));
    stage_ref_step(world, is_v, STAGE_ORDER);
    stage_take(world->bench, &world->sums);
    stage_world_same(world, is_v ? "V" : "K");
}

#define KERNELS (1ull << GEAR__KERNEL_MOMENTS | 1ull << GEAR__KERNEL_ORDER)

Test(append_1_order, equals_the_reference)
{
    stage_run_all("append_1_order", STAGE_ORDER, KERNELS, check);
}

/* Segments that open a sequence with more blocks than are read at once, a part of a block behind them; with weights and
 * without. */
Test(append_1_order, of_long_segments)
{
    static const uint32_t tokens[] = {1100, 2100}, counts[2][STAGE_SEQS] = {{0, 2200, 0}, {0, 0, 2200}};
    uint32_t count;
    const stage_case *cases = stage_cases(&count);
    stage_bench bench;
    stage_open(&bench);
    if (stage_tiny()) {
        stage_skip(&bench, "too much for the simulator");
    }
    bench.counts = counts;
    bench.rounds = 2;
    for (uint32_t i = 0; i < 2 * count; i++) {
        stage_world world;
        bench.max_segment = tokens[i % 2];
        stage_world_open(&world, &bench, &cases[i / 2], STAGE_SMOOTH, KERNELS);
        if (world.shape.side[0].ordered) {
            stage_world_run(&world, STAGE_ORDER, check);
        }
        stage_world_close(&world);
    }
    stage_close(&bench, "append_1_order of long segments");
}

Test(append_1_order, equals_the_reference_on_other_work_groups)
{
    const gear__append_tile tile = {.work_items = 64, .most_items = 64};
    stage_run_tiled("append_1_order of 64", STAGE_ORDER, KERNELS, &tile, check);
}
