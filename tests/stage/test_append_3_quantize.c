/* test_append_3_quantize.c: code planes and residual, bit for bit. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_check_round(world, is_v, STAGE_QUANTIZE, gear__append_3_quantize);
}

Test(append_3_quantize, equals_the_reference)
{
    stage_run_all("append_3_quantize", STAGE_QUANTIZE, 1ull << GEAR__KERNEL_QUANTIZE, check);
}
