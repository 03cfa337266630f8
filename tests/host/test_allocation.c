/* test_allocation.c: what gear-plan shares out: the best choice of all where all can be tried, never above the budget, never
 * worse for more. And its candidates are codecs that the library takes, for every head_dim. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "../../host/gear-plan/allocation.h"
#include "../../host/gear-plan/candidates.h"
#include "pick_device.h"

enum { ITEMS = 5, OPTIONS = 4, LARGE = 60 };

/* A number of 0 to 1, always the same ones. */
static double draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / (1 << 24);
}

/* Options that cost more lose less. */
static void fill(allocation_option *options, allocation_item *items, uint32_t count, uint32_t per_item, uint32_t seed)
{
    for (uint32_t i = 0; i < count; ++i) {
        const double weight = 0.1 + draw(&seed);
        items[i] = (allocation_item){options + (size_t)i * per_item, per_item};
        for (uint32_t o = 0; o < per_item; ++o) {
            const double bits = 1 + o + draw(&seed);
            options[(size_t)i * per_item + o] =
                (allocation_option){bits / count, weight * exp2(-2 * bits) * (0.5 + draw(&seed))};
        }
    }
}

static void sum_of(const allocation_item *items, uint32_t count, const uint32_t *chosen, double *cost, double *loss)
{
    *cost = *loss = 0;
    for (uint32_t i = 0; i < count; ++i) {
        cr_assert_lt(chosen[i], items[i].count);
        *cost += items[i].options[chosen[i]].cost;
        *loss += items[i].options[chosen[i]].loss;
    }
}

/* The least loss of all choices within the budget; INFINITY without one. */
static double try_all(const allocation_item *items, double budget)
{
    double best = (double)INFINITY, cost, loss;
    for (uint32_t code = 0; code < 1u << (2 * ITEMS); ++code) {
        uint32_t chosen[ITEMS];
        for (uint32_t i = 0; i < ITEMS; ++i)
            chosen[i] = code >> (2 * i) & 3;
        sum_of(items, ITEMS, chosen, &cost, &loss);
        if (cost <= budget && loss < best)
            best = loss;
    }
    return best;
}

Test(allocation, is_the_best_choice_of_all)
{
    for (uint32_t seed = 0; seed < 50; ++seed) {
        allocation_option options[ITEMS * OPTIONS];
        allocation_item items[ITEMS];
        fill(options, items, ITEMS, OPTIONS, seed);
        for (double budget = 0.5; budget < 6; budget += 0.37) {
            uint32_t chosen[ITEMS];
            const allocation_result result = allocate(items, ITEMS, budget, chosen);
            const double best = try_all(items, budget), rounded = try_all(items, budget * (1 - 1e-3));
            cr_assert_eq(result == ALLOCATION_OK || !isfinite(rounded), true, "seed %u, budget %g", seed, budget);
            if (result)
                continue;
            double cost, loss;
            sum_of(items, ITEMS, chosen, &cost, &loss);
            cr_assert_leq(cost, budget, "seed %u", seed);
            cr_assert(loss >= best - 1e-15 && loss <= rounded + 1e-15, "seed %u, budget %g: %g, best %g", seed, budget, loss,
                      best);
        }
    }
}

Test(allocation, never_above_the_budget_and_never_worse_for_more)
{
    for (uint32_t seed = 100; seed < 105; ++seed) {
        allocation_option *options = calloc((size_t)LARGE * OPTIONS, sizeof *options);
        allocation_item items[LARGE];
        double before = (double)INFINITY;
        fill(options, items, LARGE, OPTIONS, seed);
        for (double budget = 1.2; budget < 5.2; budget += 0.13) {
            uint32_t chosen[LARGE];
            double cost, loss;
            if (allocate(items, LARGE, budget, chosen) != ALLOCATION_OK)
                continue;
            sum_of(items, LARGE, chosen, &cost, &loss);
            cr_assert_leq(cost, budget, "seed %u", seed);
            cr_assert_leq(loss, before + 1e-15, "seed %u: %g after %g at %g", seed, loss, before, budget);
            before = loss;
        }
        cr_assert(isfinite(before), "no budget was enough");
        free(options);
    }
}

Test(allocation, edges)
{
    const allocation_option one[] = {{2, 1}, {1, 3}}, free_of_cost[] = {{0, 2}, {0, 1}};
    const allocation_item costly[] = {{one, 2}, {one, 2}}, nothing[] = {{free_of_cost, 2}};
    uint32_t chosen[2];
    cr_assert_eq(allocate(costly, 2, 1.9, chosen), ALLOCATION_IMPOSSIBLE);
    cr_assert_eq(allocate(costly, 2, -1, chosen), ALLOCATION_IMPOSSIBLE);
    cr_assert_eq(allocate(costly, 2, (double)NAN, chosen), ALLOCATION_IMPOSSIBLE);
    cr_assert_eq(allocate(costly, 2, 2.01, chosen), ALLOCATION_OK);
    cr_assert(chosen[0] == 1 && chosen[1] == 1);
    cr_assert_eq(allocate(costly, 2, 1e300, chosen), ALLOCATION_OK);
    cr_assert(chosen[0] == 0 && chosen[1] == 0);
    cr_assert_eq(allocate(nothing, 1, 0, chosen), ALLOCATION_OK);
    cr_assert_eq(chosen[0], 1);
    cr_assert_eq(allocate(nothing, 0, 0, chosen), ALLOCATION_OK);
}

Test(candidates, are_codecs_that_the_library_takes)
{
    static const uint32_t head_dims[] = {64, 80, 96, 128, 256};
    host_error error = {0};
    gear_error detail = {0};
    device dev = {0};
    gear_context *context = NULL;
    cr_assert(open_device(getenv("GEAR_TEST_DEVICE"), &dev, &error), "%s", error.text);
    cr_assert(open_library(&dev, NULL, &context, &error), "%s", error.text);
    for (size_t d = 0; d < sizeof head_dims / sizeof *head_dims; ++d)
        for (int side = 0; side < PLAN_SIDES; ++side) {
            candidate_list list;
            candidates_make((plan_side)side, head_dims[d], d & 1, &list);
            cr_assert_lt(list.probe, list.count);
            for (uint32_t i = 0; i < list.count; ++i) {
                gear_codec_pair pair = {candidate_exact(), candidate_exact()};
                *(side == PLAN_K ? &pair.k : &pair.v) = list.items[i].codec;
                gear_cache_desc desc;
                gear_cache_plan plan;
                gear_cache_desc_init(&desc);
                gear_cache_plan_init(&plan);
                desc.num_layers = desc.num_kv_heads = desc.capacity_sequences = 1;
                desc.head_dim = head_dims[d];
                desc.capacity_tokens = 1024;
                desc.codecs = &pair;
                desc.num_codecs = 1;
                cr_assert_eq(gear_cache_query(context, &desc, &plan, &detail), GEAR_OK, "head_dim %u, '%s': %s", head_dims[d],
                             list.items[i].name, detail.message);
                cr_assert(plan.prompt_bits > 8 && plan.prompt_bits < 13, "'%s': %g bits", list.items[i].name, plan.prompt_bits);
            }
        }
    gear_context_destroy(context);
    close_device(&dev);
}
