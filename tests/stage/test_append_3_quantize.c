/* test_append_3_quantize.c: code planes and residual, bit for bit. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_3_quantize(&stream, &world->round, is_v, &error));
    stage_ref_step(world, is_v, STAGE_QUANTIZE);
    stage_world_same(world, is_v ? "V" : "K");
}

Test(append_3_quantize, equals_the_reference)
{
    stage_run_all("append_3_quantize", STAGE_QUANTIZE, 1u << GEAR__KERNEL_QUANTIZE, check);
}
