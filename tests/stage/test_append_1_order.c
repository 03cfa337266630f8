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

#define KERNELS (1u << GEAR__KERNEL_MOMENTS | 1u << GEAR__KERNEL_ORDER)

Test(append_1_order, equals_the_reference)
{
    stage_run_all("append_1_order", STAGE_ORDER, KERNELS, check);
}

Test(append_1_order, equals_the_reference_on_other_work_groups)
{
    const gear__append_tile tile = {.work_items = 64, .most_items = 64};
    stage_run_tiled("append_1_order of 64", STAGE_ORDER, KERNELS, &tile, check);
}
