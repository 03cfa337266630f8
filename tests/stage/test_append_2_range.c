/* test_append_2_range.c: the pairs of every axis, bit for bit; with the block rule also those before the marking. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_check_round(world, is_v, STAGE_RANGE, gear__append_2_range);
}

Test(append_2_range, equals_the_reference)
{
    stage_run_all("append_2_range", STAGE_RANGE, 1u << GEAR__KERNEL_RANGE_CHANNELS | 1u << GEAR__KERNEL_RANGE_TOKENS, check);
}
