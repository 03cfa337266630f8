/* test_append_1_outliers.c: the marks of the three kernels, bit for bit. */
#include <criterion/criterion.h>

#include "stage_world.h"

#define KERNELS (1u << GEAR__KERNEL_OUTLIERS_CHANNELS | 1u << GEAR__KERNEL_OUTLIERS_TOKENS | 1u << GEAR__KERNEL_OUTLIERS_BLOCK)

static void check(stage_world *world, uint32_t is_v)
{
    if (stage_tiny() && is_v && world->shape.side[1].outlier_rule == GEAR_OUTLIER_BLOCK) {
        stage_ref_step(world, is_v, STAGE_OUTLIERS); /* 30 passes over a block: K's will do in a simulator */
        return;
    }
    stage_check_round(world, is_v, STAGE_OUTLIERS, gear__append_1_outliers);
}

Test(append_1_outliers, equals_the_reference)
{
    stage_run_all("append_1_outliers", STAGE_OUTLIERS, KERNELS, check);
}
