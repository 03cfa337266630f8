/* test_append_1_transform.c: transformed rows, bit for bit. The kernel uses the residual as scratch, so that is taken over from
 * the device. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_1_transform(&stream, &world->round, is_v, &error));
    stage_ref_step(world, is_v, STAGE_TRANSFORM);
    stage_take(world->bench, &world->r);
    stage_world_same(world, is_v ? "V" : "K");
}

Test(append_1_transform, equals_the_reference)
{
    stage_run_all("append_1_transform", STAGE_TRANSFORM, 1u << GEAR__KERNEL_TRANSFORM, check);
}
