/* test_append_1_marks.c: outliers as bits from the tokens as they come in: those of the reference's mask. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "stage_world.h"

#define KERNELS (1u << GEAR__KERNEL_OUTLIERS_CHANNELS | 1u << GEAR__KERNEL_OUTLIERS_TOKENS)

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

/* On the work-groups of a GPU, and on those of 64. */
Test(append_1_marks, equals_the_reference)
{
    const gear__append_tile tile = {.work_items = 128, .most_items = 256, .is_fused = 1};
    stage_run_tiled("append_1_marks", STAGE_OUTLIERS, KERNELS, &tile, check);
}

/* By the warps of an NVIDIA GPU, where there is one. */
Test(append_1_marks, equals_the_reference_by_warps)
{
    stage_bench bench;
    stage_open(&bench);
    gear__append_tile tile = bench.append;
    gear__device_close(&bench.device);
    test_cl_close(&bench.cl);
    tile.is_fused = 1;
    if (tile.has_tensor_cores) {
        stage_run_tiled("append_1_marks by warps", STAGE_OUTLIERS, KERNELS, &tile, check);
    }
}
