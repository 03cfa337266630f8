/* test_append_2_range.c: the pairs of every axis, bit for bit; with the block rule also those before the marking. What a kernel
 * leaves in r is taken over from the device. */
#include <criterion/criterion.h>

#include "stage_world.h"

#define KERNELS (1ull << GEAR__KERNEL_RANGE_CHANNELS | 1ull << GEAR__KERNEL_RANGE_TOKENS | 1ull << GEAR__KERNEL_RANGE_JOIN)

static uint32_t longest; /* segment of all rounds so far, in blocks */

static void check(stage_world *world, uint32_t is_v)
{
    longest = world->round.longest > longest ? world->round.longest : longest;
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__append_2_range(&stream, &world->round, is_v, &error));
    stage_ref_step(world, is_v, STAGE_RANGE);
    if (world->shape.side[is_v].axis == GEAR__AXIS_CHANNEL_SEGMENT && world->round.longest > 1 &&
        !gear__append_is_cpu_form(&world->variant.append)) { /* parts of segments */
        stage_take(world->bench, &world->r);
    }
    stage_world_same(world, is_v ? "V" : "K");
}

Test(append_2_range, equals_the_reference)
{
    stage_run_all("append_2_range", STAGE_RANGE, KERNELS, check);
}

/* Segments of more blocks than a work-group joins at once, beside one of a token and with a part of a block at their end. */
Test(append_2_range, of_long_segments)
{
    static const uint32_t counts[2][STAGE_SEQS] = {{8500, 65, 0}, {1, 0, 4160}};
    static const uint32_t tiny_counts[2][STAGE_SEQS] = {{190, 65, 0}, {1, 0, 290}};
    const gear__append_tile tiles[] = {{.work_items = 128, .most_items = 256}, {.work_items = 64, .most_items = 64}};
    uint32_t count, n = 0, most[2] = {0};
    const stage_case *cases = stage_cases(&count);
    stage_bench bench;
    stage_open(&bench);
    bench.counts = stage_tiny() ? tiny_counts : counts;
    bench.rounds = 2;
    bench.max_segment = 8500;
    count += stage_tiny() ? 1 : 0; /* the next one has KCVT */
    for (uint32_t i = 0; i < count; i++) {
        stage_world world;
        if (cases[i].k.backbone == GEAR_BACKBONE_KCVT && cases[i].k.bits < 16) {
            const uint32_t tile = n++ % 2;
            bench.append = tiles[tile];
            longest = 0;
            stage_world_open(&world, &bench, &cases[i], STAGE_EXTREME, KERNELS);
            stage_world_run(&world, STAGE_RANGE, check);
            most[tile] = longest > most[tile] ? longest : most[tile];
            stage_world_close(&world);
        }
    }
    cr_assert(stage_tiny() ? most[0] > 1 : most[0] > 128 && most[1] > 64, "longest segments of %u and %u blocks", most[0],
              most[1]);
    stage_close(&bench, "append_2_range of long segments");
}
