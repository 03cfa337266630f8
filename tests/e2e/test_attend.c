/* test_attend.c: the covering arrays of cases.tsv (GEAR_TEST_TINY: its tiny rows), and slices of the full product (product.h):
 *   GEAR_TEST_FULL=K/N       slice K % N of N, in cycle K / N, so that successive K go through the product again and again
 *   GEAR_TEST_CASE=ROW       the case of that name alone, from the table or the product, as messages have it:
 *   GEAR_TEST_CASE=ROW@CYCLE */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e_drive.h"
#include "model/shape.h"
#include "product.h"

#ifndef E2E_CASES
#  define E2E_CASES "tests/e2e/cases.tsv" /* under test_root() */
#endif

static e2e_case cases[CASE_MAX];

static uint32_t read_cases(char *path, size_t size, uint32_t set)
{
    (void)snprintf(path, size, "%s/%s", test_root(), E2E_CASES);
    uint32_t count = case_read(path, set, cases);
    cr_assert_gt(count, 0);
    return count;
}

Test(attend, covering_array)
{
    e2e_rig rig;
    char path[1024];
    if (getenv("GEAR_TEST_CASE")) {
        cr_skip_test("GEAR_TEST_CASE names one case, which full_product runs");
    }
    uint32_t count = read_cases(path, sizeof path, e2e_tiny() ? 1 : 0);
    e2e_open(&rig);
    for (uint32_t i = 0; i < count; i++) {
        case_run(&rig, &cases[i]);
    }
    printf("e2e: %u cases\n", count);
    e2e_close(&rig);
}

static void run_named(e2e_rig *rig, const product *p, uint32_t count, const char *name)
{
    e2e_case c;
    char *end;
    unsigned long row = strtoul(name, &end, 10), cycle = *end == '@' ? strtoul(end + 1, NULL, 10) : 0;
    if (row >= PRODUCT_ROW) {
        cr_assert(product_case(p, row - PRODUCT_ROW, (uint32_t)cycle, &c), "%s is the same codec as another", name);
        case_run(rig, &c);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (cases[i].row == row) {
            case_run(rig, &cases[i]);
            return;
        }
    }
    cr_assert_fail("no case has the name %s", name);
}

static void run_slice(e2e_rig *rig, const product *p, unsigned long number, unsigned long slices)
{
    const uint32_t cycle = (uint32_t)(number / slices % p->num_rows);
    const uint64_t stride = product_stride(p);
    uint64_t ran = 0, equal = 0;
    for (uint64_t at = number % slices; at < p->members; at += slices) {
        e2e_case c;
        if (product_case(p, at * stride % p->members, cycle, &c)) {
            case_run(rig, &c);
            ran++;
        } else {
            equal++;
        }
    }
    const uint64_t all = product_count(p);
    printf(
        "e2e product: %llu cases in slice %lu of %lu, cycle %u: %.3f %% of the %llu codecs x head_dim; %llu members equal to "
        "others left out\n",
        (unsigned long long)ran, number % slices, slices, cycle, 100.0 * (double)ran / (double)all, (unsigned long long)all,
        (unsigned long long)equal);
}

Test(attend, full_product)
{
    const char *name = getenv("GEAR_TEST_CASE"), *slice = getenv("GEAR_TEST_FULL");
    unsigned long number = 0, slices = 0;
    char path[1024];
    e2e_rig rig;
    product p;
    if (!name && (!slice || !strcmp(slice, "0"))) {
        cr_skip_test("neither GEAR_TEST_FULL nor GEAR_TEST_CASE is set");
    }
    const uint32_t count = read_cases(path, sizeof path, 0);
    product_open(&p, path, cases, count);
    e2e_open(&rig);
    if (name) {
        run_named(&rig, &p, count, name);
        printf("e2e: the case %s alone\n", name);
    } else {
        cr_assert(sscanf(slice, "%lu/%lu", &number, &slices) == 2 && slices, "GEAR_TEST_FULL is %s, not K/N", slice);
        run_slice(&rig, &p, number, slices);
    }
    e2e_close(&rig);
}

/* Every member comes in exactly one slice. */
Test(attend, slices_are_the_product)
{
    char path[1024];
    product p;
    product_open(&p, path, cases, read_cases(path, sizeof path, 0));
    unsigned char *seen = calloc((size_t)p.members, 1);
    cr_assert_not_null(seen);
    const uint64_t stride = product_stride(&p);
    for (uint64_t slice = 0; slice < 7; slice++) {
        for (uint64_t at = slice; at < p.members; at += 7) {
            seen[at * stride % p.members]++;
        }
    }
    for (uint64_t i = 0; i < p.members; i++) {
        if (seen[i] != 1) {
            cr_assert_fail("member %llu is in %u slices", (unsigned long long)i, seen[i]);
        }
    }
    free(seen);
}

typedef struct digests {
    uint64_t *of, count, most;
} digests;

/* What a side says of a part that it does not have makes no other codec. */
static void forget_absent_parts(gear__side *side)
{
    if (!side->rank[GEAR__PROMPT] && !side->rank[GEAR__DECODE]) {
        side->factor_bits = side->iterations = 0;
    }
    if (side->outlier_fraction <= 0) {
        side->outlier_rule = side->outlier_axis = 0;
    }
}

static void add_digest(void *user, const e2e_case *c)
{
    digests *all = user;
    const gear_codec_pair codecs = case_codecs(c);
    const gear_cache_desc desc = e2e_desc(&codecs, 1, 1, c->head_dim, 64);
    gear__shape shape;
    uint64_t hash = c->weights;
    gear__shape_init(&shape, &desc, &codecs);
    forget_absent_parts(&shape.side[0]);
    forget_absent_parts(&shape.side[1]);
    for (size_t i = 0; i < sizeof shape; i += 4) {
        uint32_t word;
        memcpy(&word, (const char *)&shape + i, 4);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    if (all->count < all->most) {
        all->of[all->count] = hash;
    }
    all->count++;
}

static int ascending(const void *a, const void *b)
{
    return (*(const uint64_t *)a > *(const uint64_t *)b) - (*(const uint64_t *)a < *(const uint64_t *)b);
}

/* Members resolve to shapes (or, with weights, orders of channels) that no other has: none is counted twice. */
Test(attend, members_of_the_product_are_distinct)
{
    enum { COUNTED = 366525 }; /* docs/testing.md says so too */
    char path[1024];
    product p;
    digests all = {malloc(2 * COUNTED * sizeof *all.of), 0, 2 * COUNTED};
    cr_assert_not_null(all.of);
    product_open(&p, path, cases, read_cases(path, sizeof path, 0));
    const uint64_t count = product_each(&p, add_digest, &all);
    cr_assert_leq(count, all.most);
    qsort(all.of, (size_t)count, sizeof *all.of, ascending);
    uint64_t equal = 0;
    for (uint64_t i = 1; i < count; i++) {
        equal += all.of[i] == all.of[i - 1];
    }
    free(all.of);
    cr_assert_eq(equal, 0, "%llu of the %llu members counted are the same as another", (unsigned long long)equal,
                 (unsigned long long)count);
    cr_assert_eq(count, COUNTED, "%llu members are counted", (unsigned long long)count);
    printf("e2e product: %llu members, of which %llu are codecs of their own\n", (unsigned long long)p.members,
           (unsigned long long)count);
}
