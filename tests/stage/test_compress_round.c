/* test_compress_round.c: the stages one behind the other in garbage, as the library runs them, one by one and fused: what they
 * leave is the reference's, bit for bit. Without low rank, whose factors are held to a bound: test_append_4_lowrank.c. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ref/kit.h"
#include "stage_world.h"

static void compress_on_the_host(stage_world *world, uint32_t is_v)
{
    const gear__side *side = &world->shape.side[is_v];
    const stage_step pairs = gear__is_mixed(side) ? STAGE_FIT : STAGE_RANGE;
    stage_ref_step(world, is_v, STAGE_GATHER);
    stage_ref_step(world, is_v, STAGE_ORDER);
    stage_ref_step(world, is_v, STAGE_TRANSFORM);
    if (side->weighted) {
        stage_ref_step(world, is_v, STAGE_NORMS);
    }
    if (side->outlier_rule == GEAR_OUTLIER_BLOCK) {
        stage_ref_step(world, is_v, pairs);
    }
    stage_ref_step(world, is_v, STAGE_OUTLIERS);
    stage_ref_step(world, is_v, pairs);
    stage_ref_step(world, is_v, STAGE_QUANTIZE);
    if (side->outlier_fraction > 0) {
        stage_ref_step(world, is_v, STAGE_OUTLIER_LISTS);
    }
}

/* Behind the residual, halves in memory for weights (floats), is what other stages left. */
static void take_behind_residual(stage_world *world)
{
    uint8_t *got = stage_get(world->bench, &world->r);
    const size_t half = world->r.bytes / 2;
    memcpy(world->r.host + half, got + half, half);
    free(got);
}

static void check(stage_world *world, uint32_t is_v)
{
    (void)is_v;
    stage_world_put(world);
    STAGE_LAUNCH(world->bench, gear__compress_round(&stream, &world->round, &world->tensor[0], &world->tensor[1], &error));
    compress_on_the_host(world, 0);
    compress_on_the_host(world, 1);
    stage_take(world->bench, &world->sums);
    if (world->variant.append.is_fused) { /* which has no use for the staging */
        stage_take(world->bench, &world->x);
        stage_take(world->bench, &world->mask);
        stage_take(world->bench, &world->r);
    }
    if (world->shape.side[0].weighted) {
        take_behind_residual(world);
    }
    stage_world_same(world, "both sides");
}

/* How a round runs: stage by stage; fused, without outliers where the device does not take those; as on GPUs. */
enum { STAGED, FUSED_PLAIN, FUSED_OF_GPU };

static int has_rank(const gear_codec *codec)
{
    return codec->rank_prompt || codec->rank_decode;
}

/* Fused rounds take the cases of which append_block's own test compiles it without low rank, and all of tokens. */
static int is_taken(const stage_case *c, uint32_t index, int is_other)
{
    const int is_ranked = has_rank(&c->k) || has_rank(&c->v);
    return stage_tiny() || !is_ranked || stage_runs(index, is_other, 0) || c->k.backbone == GEAR_BACKBONE_TOKEN;
}

static void run(const char *name, int is_fused)
{
    stage_bench bench;
    uint32_t count;
    const stage_case *cases = stage_cases(&count);
    stage_open(&bench);
    for (uint32_t i = 0; i < (stage_tiny() ? 1 : count); i++) {
        stage_case plain = cases[i];
        stage_world world;
        plain.k.rank_prompt = plain.k.rank_decode = plain.v.rank_prompt = plain.v.rank_decode = 0;
        gear__shape shape;
        stage_shape(&plain, &shape);
        gear__caps caps = bench.device.caps;
        if (is_fused == FUSED_PLAIN && gear__append_why_not(&caps, &shape)) {
            plain.k.outlier_fraction = plain.v.outlier_fraction = 0;
            stage_shape(&plain, &shape);
        } else if (is_fused == FUSED_OF_GPU) {
            caps.is_cpu = 0;
        }
        bench.append = gear__append_tile_of(&caps, &shape);
        if (is_fused && !(bench.append.is_fused && is_taken(&cases[i], i, is_fused == FUSED_OF_GPU))) {
            continue;
        }
        bench.append.is_fused = is_fused != STAGED;
        stage_world_open(&world, &bench, &plain, STAGE_EXTREME, (1ull << GEAR__KERNEL_WINDOW) - 1u);
        stage_world_run(&world, STAGE_ROUND, check);
        stage_world_close(&world);
    }
    stage_close(&bench, name);
}

Test(compress_round, equals_the_reference)
{
    run("compress_round", STAGED);
}

Test(compress_round, equals_the_reference_where_it_is_fused)
{
    run("compress_round, fused", FUSED_PLAIN);
}

Test(compress_round, equals_the_reference_where_it_is_fused_on_gpus)
{
    run("compress_round, fused as on GPUs", FUSED_OF_GPU);
}
