/* test_append_0_gather.c: staging, mask, exact record, segment headers and health counters, bit for bit; the counters pass
 * 2^32. */
#include <criterion/criterion.h>

#include "stage_world.h"

static int carried[2];

static void check(stage_world *world, uint32_t is_v)
{
    stage_world_count(world, UINT32_MAX - is_v);
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_0_gather(&stream, &world->round, is_v, &world->tensor[is_v], &error));
    stage_ref_step(world, is_v, STAGE_GATHER);
    stage_world_same(world, is_v ? "V" : "K");
    for (int i = 0; i < 2; i++) {
        carried[i] |= world->counted[i] > UINT32_MAX;
    }
}

Test(append_0_gather, equals_the_reference)
{
    stage_run_all("append_0_gather", STAGE_GATHER, 1ull << GEAR__KERNEL_GATHER, check);
    cr_assert(carried[0] && carried[1], "no counter passed 2^32");
}
