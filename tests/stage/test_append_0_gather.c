/* test_append_0_gather.c: staging, mask, exact record, segment headers and health counters, bit for bit. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_0_gather(&stream, &world->round, is_v, &world->tensor[is_v], &error));
    stage_ref_step(world, is_v, STAGE_GATHER);
    stage_world_same(world, is_v ? "V" : "K");
}

Test(append_0_gather, equals_the_reference)
{
    stage_run_all("append_0_gather", STAGE_GATHER, 1u << GEAR__KERNEL_GATHER, check);
}
