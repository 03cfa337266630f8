/* test_attend.c: the covering arrays of cases.tsv (GEAR_TEST_TINY: its tiny rows; GEAR_TEST_FULL: in addition MORE_CASES rows,
 * each column of which is that of a row drawn at random: a small sample of the product of the columns). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "case.h"

#ifndef E2E_CASES
#  define E2E_CASES "tests/e2e/cases.tsv" /* under test_root() */
#endif

#define MORE_CASES 3000u

static e2e_case cases[CASE_MAX];

/* Every column from a row of its own. */
static e2e_case draw(uint32_t count, uint32_t index)
{
    e2e_case c = cases[0];
    uint32_t values[sizeof(e2e_case) / 4], column = 0;
#define CASE_DRAW(name)                                                                                                        \
  values[column] = (uint32_t)((e2e_noise(index, column, 1, 2, 3) + 1) * 0.5f * (float)count);                                  \
  c.name = cases[values[column] < count ? values[column] : count - 1].name;                                                    \
  column++;
    CASE_COLUMNS(CASE_DRAW)
#undef CASE_DRAW
    c.row = 10000 + index;
    if (c.queries > c.length) {
        c.tail = 1;
    }
    return c;
}

Test(attend, covering_array)
{
    e2e_rig rig;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", test_root(), E2E_CASES);
    uint32_t count = case_read(path, e2e_tiny() ? 1 : 0, cases), extra = e2e_full() ? MORE_CASES : 0;
    cr_assert_gt(count, 0);
    e2e_open(&rig);
    for (uint32_t i = 0; i < count; i++) {
        case_run(&rig, &cases[i]);
    }
    for (uint32_t i = 0; i < extra; i++) {
        const e2e_case c = draw(count, i);
        case_run(&rig, &c);
    }
    printf("e2e: %u cases\n", count + extra);
    e2e_close(&rig);
}
