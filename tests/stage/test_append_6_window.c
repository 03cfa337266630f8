/* test_append_6_window.c: the ring after each round, wrapped around and with tokens of the round left out, bit for bit; also
 * with a list that is some tokens old. The health counters pass 2^32. */
#include <criterion/criterion.h>

#include "stage_world.h"

static void check(stage_world *world, uint32_t is_v)
{
    const uint32_t advance = world->round_number % 2 ? 3 : 0; /* a round of its own: the list on the device lags behind */
    uint32_t *words = (uint32_t *)(void *)world->list.host;
    (void)is_v;
    for (uint32_t i = 0; i < world->entries; i++) {
        words[i * GEAR__SEQ_WORDS + GEAR__SEQ_LENGTH] -= advance;
    }
    stage_world_count(world, UINT32_MAX);
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_6_window(&stream, &world->layer, world->list.mem, world->entries, world->longest,
                                                     advance, &world->tensor[0], &world->tensor[1], world->health.mem, &error));
    stage_same(world->bench, &world->list, "list");
    for (uint32_t i = 0; i < world->entries; i++) {
        words[i * GEAR__SEQ_WORDS + GEAR__SEQ_LENGTH] += advance;
    }
    stage_ref_step(world, 0, STAGE_WINDOW);
    stage_ref_step(world, 1, STAGE_WINDOW);
    stage_put(world->bench, &world->list);
    stage_world_same(world, "window");
}

Test(append_6_window, equals_the_reference)
{
    stage_run_all("append_6_window", STAGE_WINDOW, 1ull << GEAR__KERNEL_WINDOW, check);
}
