/* test_attend.c: the covering arrays of cases.tsv (GEAR_TEST_TINY: its tiny rows), and slices of the full product (product.h):
 *   GEAR_TEST_FULL=K/N       slice K % N of N, in cycle K / N, so that successive K go through the product again and again
 *   GEAR_TEST_CASE=ROW       the case of that name alone, from the table or the product, as messages have it:
 *   GEAR_TEST_CASE=ROW@CYCLE */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    uint32_t count = read_cases(path, sizeof path, e2e_tiny() ? 1 : 0);
    e2e_open(&rig);
    for (uint32_t i = 0; i < count && !getenv("GEAR_TEST_CASE"); i++) {
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
    const uint32_t count = read_cases(path, sizeof path, 0);
    product_open(&p, path, cases, count);
    e2e_open(&rig);
    if (name) {
        run_named(&rig, &p, count, name);
    } else if (slice && strcmp(slice, "0")) {
        cr_assert(sscanf(slice, "%lu/%lu", &number, &slices) == 2 && slices, "GEAR_TEST_FULL is %s, not K/N", slice);
        run_slice(&rig, &p, number, slices);
    }
    e2e_close(&rig);
}

/* Every member of a small product comes in exactly one slice, and each codec is counted once. */
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
    printf("e2e product: %llu members, of which %llu are codecs of their own\n", (unsigned long long)p.members,
           (unsigned long long)product_count(&p));
}
