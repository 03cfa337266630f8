/* test_append_1_transform.c: transformed rows, bit for bit; on work-groups of a CPU device and of a GPU. */
#include <criterion/criterion.h>

#include "stage_world.h"

#define KERNELS (1ull << GEAR__KERNEL_REORDER | 1ull << GEAR__KERNEL_ROTATE)

static void check(stage_world *world, uint32_t is_v)
{
    stage_check_round(world, is_v, STAGE_TRANSFORM, gear__append_1_transform);
}

Test(append_1_transform, equals_the_reference)
{
    stage_run_all("append_1_transform", STAGE_TRANSFORM, KERNELS, check);
}

Test(append_1_transform, equals_the_reference_on_other_work_groups)
{
    const gear__append_tile tile = {.work_items = 64, .most_items = 64};
    stage_run_tiled("append_1_transform of 64", STAGE_TRANSFORM, KERNELS, &tile, check);
}
