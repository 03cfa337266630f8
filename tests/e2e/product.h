/* product.h: the full product of what a codec is made of and head_dim, cut into slices. Its values are those that
 * make_cases.py lists at the head of cases.tsv. Members that are the same codec as another (no low rank, so no width of
 * factors) are not counted. The other columns of a case (heads, queries, lengths, batches, types, layouts, arrival ...) are
 * those of a row of the covering array of the plain backbones, which has every pair of their values: another row for each
 * member, and in each cycle through the product another row for the same member, until after as many cycles as there are rows
 * each member has met each. */
#ifndef PRODUCT_H
#define PRODUCT_H

#include "case.h"

#define PRODUCT_ROW     1000000u /* `row` of member 0: rows of the table have smaller ones */
#define PRODUCT_COLUMNS 14u

typedef struct product {
    uint32_t values[PRODUCT_COLUMNS][16], sizes[PRODUCT_COLUMNS];
    uint64_t members;     /* equal ones among them */
    const e2e_case *rows; /* for the other columns */
    uint32_t num_rows;
} product;

/* rows: borrowed; those of other backbones than the mixed one are taken, which come first. */
void product_open(product *p, const char *path, const e2e_case *rows, uint32_t count);
/* Member `index` in a cycle; 0 where it equals another. */
int product_case(const product *p, uint64_t index, uint32_t cycle, e2e_case *c);
/* Has no divisor in common with the number of members: at * stride % members goes through all of them, and those of a slice
 * (every N-th `at`) are spread over the product. */
uint64_t product_stride(const product *p);
/* Calls visit with each member that is not equal to another, as it is in cycle 0; returns how many there are. */
uint64_t product_each(const product *p, void (*visit)(void *user, const e2e_case *c), void *user);
uint64_t product_count(const product *p);

#endif
