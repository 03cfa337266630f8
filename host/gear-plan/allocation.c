/* allocation.c: dynamic programming over the budget, see allocation.h. */
#include "allocation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 65536 };

/* The size of a step, the same for every budget, so that budgets compare. 0 where nothing costs anything. */
static double step_of(const allocation_item *items, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
        double most = 0;
        for (uint32_t o = 0; o < items[i].count; ++o)
            most = items[i].options[o].cost > most ? items[i].options[o].cost : most;
        sum += most;
    }
    return sum / STEPS;
}

/* Steps of a cost, rounded up; the product is checked, as a quotient may round down. */
static uint32_t steps_up(double cost, double step)
{
    uint32_t steps = step > 0 ? (uint32_t)ceil(cost / step) : 0;
    return steps + (steps * step < cost);
}

/* least[b] becomes the least loss with at most b steps, this item included; chosen[b] its option. */
static void add_item(const allocation_item *item, double step, uint32_t steps, const double *least, double *next,
                     unsigned char *chosen)
{
    for (uint32_t b = 0; b <= steps; ++b)
        next[b] = (double)INFINITY;
    for (uint32_t o = 0; o < item->count; ++o) {
        const uint32_t cost = steps_up(item->options[o].cost, step);
        for (uint32_t b = cost; b <= steps; ++b) {
            const double loss = least[b - cost] + item->options[o].loss;
            if (loss < next[b]) {
                next[b] = loss;
                chosen[b] = (unsigned char)o;
            }
        }
    }
}

allocation_result allocate(const allocation_item *items, uint32_t count, double budget, uint32_t *chosen)
{
    const double step = step_of(items, count);
    const double room = step > 0 ? floor(budget / step) : STEPS;
    if (!(budget >= 0))
        return ALLOCATION_IMPOSSIBLE;
    /* Every item may round up once. */
    const uint32_t all = STEPS + count, steps = room < all ? (uint32_t)room : all, row = steps + 1;
    double *least = calloc(row, sizeof *least), *next = malloc(row * sizeof *next);
    unsigned char *options = calloc((size_t)(count ? count : 1) * row, 1);
    allocation_result result = least && next && options ? ALLOCATION_OK : ALLOCATION_NO_MEMORY;
    for (uint32_t i = 0; !result && i < count; ++i) {
        add_item(&items[i], step, steps, least, next, options + (size_t)i * row);
        double *spare = least;
        least = next;
        next = spare;
    }
    if (!result && !isfinite(least[steps]))
        result = ALLOCATION_IMPOSSIBLE;
    for (uint32_t i = count, left = steps; !result && i-- > 0;) {
        chosen[i] = options[(size_t)i * row + left];
        left -= steps_up(items[i].options[chosen[i]].cost, step);
    }
    free(least);
    free(next);
    free(options);
    return result;
}
