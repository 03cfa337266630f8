/* test_append_1_norms.c: the weights of the tokens, bit for bit; V comes from the window, the caller's tensor, or both. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_1_norms(&stream, &world->round, &world->tensor[1], &error));
    stage_ref_step(world, is_v, STAGE_NORMS);
    stage_world_same(world, "K");
}

Test(append_1_norms, equals_the_reference)
{
    stage_run_all("append_1_norms", STAGE_NORMS, 1ull << GEAR__KERNEL_NORMS, check);
}
