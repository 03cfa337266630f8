/* test_attend_1_partial.c: attention over the finished layers (stage_attention.h) for every attend kernel that the device and
 * the layer allow: ragged batches, also cut into pieces, tails, soft-cap, splits that get nothing, lists some tokens old, all
 * forms of work-groups. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>

#include "stage_attention.h"

static const stage_variation variations[] = {{1, 0, 0, 0, 0, 0, 0},
                                             {3, 2, 0.2f, 8.0f, 1, 1, 0},
                                             {40, 0, 0.05f, 0, 1, 0, 0},
                                             {2, 5, 0, 0, 0, 1, 0},
                                             {1, 3, 0, 0, 1, 0, 1}};

/* Layers by attend kernel: all, those of a kernel that takes pieces whose batch was to be cut and whose was, those with small
 * work-groups. */
typedef struct census {
    uint32_t ran[8], to_cut, cut, small;
} census;

static void run_kernel(stage_world *world, gear_attend_kernel kernel, int both_sizes, census *seen)
{
    const stage_case *c = world->c;
    gear__variant variant;
    int to_cut = 0, is_cut = 0;
    stage_variant_open(world->bench, &variant, &world->shape, world->table_row, c->group * c->max_queries,
                       1ull << GEAR__KERNEL_PARTIAL | 1ull << GEAR__KERNEL_PARTIAL_SMALL | 1ull << GEAR__KERNEL_MERGE, kernel);
    const uint32_t sizes[2] = {variant.tile.work_items, variant.tile.least_items};
    const int has_small = sizes[1] < sizes[0];
    cr_assert_eq(variant.kernel[GEAR__KERNEL_PARTIAL_SMALL][0] != NULL, has_small);
    world->layer.variant = &variant;
    for (size_t v = 0; v < (stage_tiny() ? 2 : sizeof variations / sizeof *variations); v++) {
        for (int size = 0; size < 2; size++) {
            if (both_sizes ? has_small || !size : size == variations[v].cut) {
                is_cut |= stage_attend(world, &variations[v], variant.tile.rows, sizes[size]);
                to_cut |= variations[v].cut && gear__attend_merges(kernel);
            }
        }
    }
    stage_world_same(world, gear__attend_name(kernel));
    gear__variant_close(&variant);
    seen->ran[kernel]++;
    seen->to_cut += to_cut ? 1 : 0;
    seen->cut += is_cut ? 1 : 0;
    seen->small += both_sizes && has_small ? 1 : 0;
}

/* Every kernel from `first` on. */
static void run_case(stage_bench *bench, const stage_case *c, stage_data data, gear_attend_kernel first, int both_sizes,
                     census *seen)
{
    stage_world world;
    stage_world_open(&world, bench, c, data, 0);
    stage_world_run(&world, STAGE_NONE, NULL);
    stage_world_put(&world);
    for (gear_attend_kernel kernel = first; gear__attend_name(kernel); kernel++) {
        if (!gear__attend_why_not(kernel, &bench->device.caps, &world.shape)) {
            run_kernel(&world, kernel, both_sizes, seen);
        }
    }
    world.layer.variant = &world.variant;
    stage_world_close(&world);
}

/* Wide work-groups alone. */
static void run_wide(stage_bench *bench, const stage_case *c, stage_data data)
{
    stage_world world;
    gear__variant variant;
    int is_cut = 0;
    stage_world_open(&world, bench, c, data, 0);
    stage_world_run(&world, STAGE_NONE, NULL);
    stage_world_put(&world);
    stage_variant_open(bench, &variant, &world.shape, world.table_row, c->group * c->max_queries,
                       1ull << GEAR__KERNEL_PARTIAL_WIDE, GEAR_ATTEND_NVIDIA);
    cr_assert(variant.tile.wide_rows, "%s: no wide work-groups", c->name);
    world.layer.variant = &variant;
    for (size_t v = 0; v < sizeof variations / sizeof *variations; v++) {
        stage_variation how = variations[v];
        if (data == STAGE_EXTREME) { /* scores beyond 10^5 otherwise, whose differences floats do not tell, capped or not */
            how.scale = 5e-5f * (how.scale > 0 ? how.scale : 1 / sqrtf((float)c->head_dim));
        }
        is_cut |= stage_attend(&world, &how, variant.tile.wide_rows, variant.tile.wide_items);
    }
    cr_assert(is_cut, "%s: no batch was cut", c->name);
    stage_world_same(&world, "wide work-groups");
    gear__variant_close(&variant);
    world.layer.variant = &world.variant;
    stage_world_close(&world);
}

/* Parts of the cases, so that several run at a time. */
#define PARTS 8u

#define NO_NVIDIA "no NVIDIA GPU from sm_80 on"

static uint32_t parts[PARTS] = {0, 1, 2, 3, 4, 5, 6, 7};

ParameterizedTestParameters(attend_1_partial, equals_the_reference)
{
    return cr_make_param_array(uint32_t, parts, PARTS);
}

ParameterizedTest(const uint32_t *part, attend_1_partial, equals_the_reference)
{
    stage_bench bench;
    uint32_t count;
    census seen = {0};
    const stage_case *cases = stage_cases(&count);
    stage_open(&bench);
    for (uint32_t i = *part; i < count; i += PARTS) {
        run_case(&bench, &cases[i], STAGE_SMOOTH, GEAR_ATTEND_PORTABLE, 0, &seen);
    }
    for (gear_attend_kernel kernel = GEAR_ATTEND_PORTABLE; gear__attend_name(kernel); kernel++) {
        printf("attend kernel %s: %u layers\n", gear__attend_name(kernel), seen.ran[kernel]);
    }
    printf("cut into pieces: %u of %u layers\n", seen.cut, seen.to_cut);
    cr_assert(seen.cut || !seen.to_cut, "no batch was cut");
    if (*part >= count) {
        stage_skip(&bench, "the small cases have fewer parts");
    }
    stage_close(&bench, "attend_1_partial");
}

ParameterizedTestParameters(attend_1_partial, nvidia_cases_equal_the_reference)
{
    return cr_make_param_array(uint32_t, parts, PARTS);
}

/* In both sizes of work-groups where there are no outliers, else with outliers of two kinds. */
ParameterizedTest(const uint32_t *part, attend_1_partial, nvidia_cases_equal_the_reference)
{
    stage_bench bench;
    uint32_t count;
    int has_small = 0;
    census seen = {0};
    const stage_case *cases = stage_nvidia_cases(&count);
    stage_open(&bench);
    if (!stage_has_nvidia_kernel(&bench) || *part >= count) {
        stage_skip(&bench, NO_NVIDIA);
    }
    for (uint32_t i = *part; i < count; i += PARTS) {
        const int has_outliers = cases[i].k.outlier_fraction > 0 || cases[i].v.outlier_fraction > 0;
        has_small |= cases[i].k.backbone == GEAR_BACKBONE_KIVI && !has_outliers;
        run_case(&bench, &cases[i], STAGE_SMOOTH, GEAR_ATTEND_NVIDIA, !has_outliers, &seen);
        if (has_outliers) {
            run_case(&bench, &cases[i], STAGE_UNEVEN, GEAR_ATTEND_NVIDIA, 0, &seen);
        }
        if (cases[i].k.backbone == GEAR_BACKBONE_MIXED) {
            run_case(&bench, &cases[i], STAGE_LARGE_CHANNEL, GEAR_ATTEND_NVIDIA, 0, &seen);
        }
    }
    /* Multiprocessors of compute capability 8.0 and 9.0 have room for four work-groups of 2 warps. */
    const uint32_t sm = bench.device.caps.nv_sm;
    cr_assert(seen.small || !has_small || (sm != 80 && sm != 90), "no small work-groups");
    cr_assert(seen.cut || !seen.to_cut, "no batch was cut");
    stage_close(&bench, "attend_1_partial");
}

ParameterizedTestParameters(attend_1_partial, wide_work_groups_equal_the_reference)
{
    return cr_make_param_array(uint32_t, parts, PARTS);
}

ParameterizedTest(const uint32_t *part, attend_1_partial, wide_work_groups_equal_the_reference)
{
    stage_bench bench;
    uint32_t count;
    const stage_case *cases = stage_wide_cases(&count);
    static const stage_data data[] = {STAGE_SMOOTH, STAGE_EXTREME, STAGE_LARGE_CHANNEL};
    stage_open(&bench);
    if (!stage_has_nvidia_kernel(&bench) || *part >= count) {
        stage_skip(&bench, NO_NVIDIA);
    }
    for (uint32_t i = *part; i < count; i += PARTS) {
        for (size_t n = 0; n < sizeof data / sizeof *data; n++) {
            run_wide(&bench, &cases[i], data[n]);
        }
    }
    stage_close(&bench, "attend_1_partial");
}
