/* allocation.h: shares a budget among items, one option each, so that the sum of losses is least: a knapsack with choices. */
#ifndef GEAR_PLAN_ALLOCATION_H
#define GEAR_PLAN_ALLOCATION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct allocation_option {
    double cost, loss; /* not negative, finite */
} allocation_option;

typedef struct allocation_item {
    const allocation_option *options; /* [count] */
    uint32_t count;                   /* 1 to 255 */
} allocation_item;

typedef enum allocation_result { ALLOCATION_OK, ALLOCATION_IMPOSSIBLE, ALLOCATION_NO_MEMORY } allocation_result;

/* Writes the chosen option of each item. The costs never add up to more than the budget, and a larger budget never gives a
 * larger loss. Costs are rounded up to 1/65536 of the sum of the largest ones: what is found is the best of those choices that
 * fit the budget after rounding. Impossible where the cheapest options do not. */
allocation_result allocate(const allocation_item *items, uint32_t count, double budget, uint32_t *chosen);

#endif
