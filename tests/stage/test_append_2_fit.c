/* test_append_2_fit.c: super scales and pairs of the mixed backbone, bit for bit; with the block rule also those before the
 * marking. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_check_round(world, is_v, STAGE_FIT, gear__append_2_fit);
}

Test(append_2_fit, equals_the_reference)
{
    stage_run_all("append_2_fit", STAGE_FIT, 1ull << GEAR__KERNEL_FIT, check);
}
