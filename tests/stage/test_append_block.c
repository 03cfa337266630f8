/* test_append_block.c: the fused kernel against its stages one after the other, bit for bit, on work-groups of a CPU device and
 * of GPUs: records, exact tokens, residual, health. Codecs that the fused kernel declines are changed into ones that it
 * takes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "stage_world.h"

static int leaves_residual(const stage_world *world, uint32_t is_v, uint32_t cls)
{
    return world->shape.side[is_v].rank[cls] != 0;
}

/* The residual of rows whose class has a low-rank part is the reference's; what else is in the scratch does not matter. */
static void compare_residual(stage_world *world, uint32_t is_v)
{
    uint16_t *want = (uint16_t *)(void *)world->r.host, *got = (uint16_t *)(void *)stage_get(world->bench, &world->r);
    const uint32_t rows = world->round.num_rows, d = world->shape.head_dim;
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t *job = world->ref.jobs + world->ref.row_jobs[row / 64] * GEAR__JOB_WORDS;
        for (uint32_t head = 0; head < world->shape.kv_heads && leaves_residual(world, is_v, job[GEAR__JOB_CLASS]); head++) {
            size_t at = ((size_t)head * rows + row) * d;
            stage_same_bytes((uint8_t *)(got + at), (uint8_t *)(want + at), d * sizeof *got, "residual");
        }
    }
    memcpy(want, got, world->r.bytes);
    free(got);
}

/* The reference's marks as bits, where the kernel finds them. */
static void make_marks(stage_world *world, uint32_t is_v)
{
    const size_t bytes = world->mask.bytes / 8;
    uint16_t *marks = malloc(bytes);
    cr_assert(marks);
    stage_ref_step(world, is_v, STAGE_GATHER);
    stage_ref_step(world, is_v, STAGE_OUTLIERS);
    gear__ref_append_1_marks(&world->ref, marks);
    memcpy(world->mask.host, marks, bytes);
    free(marks);
}

static void check(stage_world *world, uint32_t unused)
{
    (void)unused;
    for (uint32_t is_v = 0; is_v < 2; is_v++) {
        if (!is_v && world->shape.side[0].ordered) {
            stage_ref_step(world, 0, STAGE_GATHER);
            stage_ref_step(world, 0, STAGE_ORDER);
        }
        if (world->shape.side[is_v].outlier_fraction > 0) {
            make_marks(world, is_v);
        }
        stage_world_count(world, UINT32_MAX - is_v);
        stage_world_put(world);
        STAGE_LAUNCH(world->bench,
                     gear__append_block(&stream, &world->round, is_v, 1, 0, &world->tensor[0], &world->tensor[1], &error));
        stage_ref_step(world, is_v, STAGE_BLOCK);
        compare_residual(world, is_v);
        stage_take(world->bench, &world->x); /* staging of the reference, which the fused kernel has no use for */
        stage_take(world->bench, &world->mask);
        stage_world_same(world, is_v ? "V" : "K");
    }
}

/* with_outliers: where append_block takes them. */
static void make_local(gear_codec *codec, int with_outliers, int is_ranked)
{
    if (!is_ranked) {
        codec->rank_prompt = codec->rank_decode = 0;
    }
    codec->backbone = codec->backbone == GEAR_BACKBONE_KCVT ? GEAR_BACKBONE_TOKEN : codec->backbone;
    if (!with_outliers || codec->backbone == GEAR_BACKBONE_MIXED) {
        codec->outlier_fraction = 0;
    }
    codec->outlier_rule = GEAR_OUTLIER_VECTOR;
}

/* Whether the test with outliers has the case. */
static int runs_with_outliers(stage_case local, const gear__caps *caps)
{
    gear__shape shape;
    make_local(&local.k, 1, 0);
    make_local(&local.v, 1, 0);
    stage_shape(&local, &shape);
    return shape.has_outliers && !gear__append_why_not(caps, &shape);
}

/* caps: of the device whose work-groups they are. */
static void run_case(stage_bench *bench, const gear__caps *caps, uint32_t index, int is_other, int with_outliers, int is_ranked)
{
    uint32_t count;
    const stage_case *c = &stage_cases(&count)[index];
    stage_case local = *c;
    gear__shape shape;
    make_local(&local.k, with_outliers, is_ranked);
    make_local(&local.v, with_outliers, is_ranked);
    stage_shape(&local, &shape);
    if (with_outliers && !shape.has_outliers) {
        return;
    }
    /* The kernel without marks is another one: of the cases that run with outliers too it takes every second and those that run
     * both ways, with one kind of data; the device's own work-groups have all of them. */
    const int runs_twice = is_other && !with_outliers && runs_with_outliers(*c, caps);
    if (runs_twice && index % 2 == 0 && !stage_is_both_ways(index)) {
        return;
    }
    for (int data = 0; data < STAGE_DATA_KINDS && !gear__append_why_not(caps, &shape); data++) {
        if (runs_twice && data != (int)(index % STAGE_DATA_KINDS)) {
            continue;
        }
        stage_world world;
        stage_world_open(&world, bench, &local, (stage_data)data, 1ull << GEAR__KERNEL_BLOCK);
        stage_world_run(&world, STAGE_BLOCK, check);
        stage_world_close(&world);
    }
}

/* On the device's own work-groups, or on those of another kind of device. */
static void run(const char *name, int is_other, int with_outliers)
{
    stage_bench bench;
    uint32_t count, both_ways = 0;
    (void)stage_cases(&count);
    stage_open(&bench);
    gear__caps caps = bench.device.caps;
    bench.append.is_fused = 1;
    if (is_other) {
        bench.append.work_items = bench.append.work_items == 1 && caps.max_work_group >= 128 ? 128 : 64;
        caps.is_cpu = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        both_ways += stage_is_both_ways(i) ? 1 : 0;
        for (int is_ranked = 0; is_ranked < 2; is_ranked++) {
            if (stage_runs(i, is_other, is_ranked)) {
                run_case(&bench, &caps, i, is_other, with_outliers, is_ranked);
            }
        }
    }
    cr_assert(stage_tiny() || both_ways == 4, "%u cases have the names of those that run both ways", both_ways);
    stage_close(&bench, name);
}

Test(append_block, equals_the_stages)
{
    run("append_block", 0, 0);
}

Test(append_block, equals_the_stages_on_other_work_groups)
{
    run("append_block, other work-groups", 1, 0);
}

Test(append_block, equals_the_stages_with_outliers)
{
    run("append_block, outliers", 1, 1);
}
