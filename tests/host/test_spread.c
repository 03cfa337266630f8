/* test_spread.c: the best and the median of given times, and which of them gear-bench does not believe. */
#include <criterion/criterion.h>

#include "../../host/measure/spread.h"

static void expect(const double *times, unsigned count, double best, double median, bool steady)
{
    double sorted[8];
    for (unsigned i = 0; i < count; ++i)
        sorted[i] = times[i];
    spread s = spread_of(sorted, count);
    cr_expect_float_eq(s.best, best, 1e-12, "best %g, not %g", s.best, best);
    cr_expect_float_eq(s.median, median, 1e-12, "median %g, not %g", s.median, median);
    cr_expect_eq(spread_is_steady(&s), steady, "best %g, median %g", s.best, s.median);
}

Test(spread, best_and_median_of_any_count)
{
    expect((const double[]){3}, 1, 3, 3, true);
    expect((const double[]){5, 3}, 2, 3, 4, true);
    expect((const double[]){4, 9, 3}, 3, 3, 4, true);
    expect((const double[]){4, 6, 9, 3}, 4, 3, 5, true);
}

Test(spread, a_median_far_above_the_best_is_not_believed)
{
    expect((const double[]){1, 2, 2, 9, 9}, 5, 1, 2, true);
    expect((const double[]){1, 2, 2.01, 9, 9}, 5, 1, 2.01, false);
    expect((const double[]){1, 1.5, 2.6, 9}, 4, 1, 2.05, false);
    expect((const double[]){9, 9, 9, 1, 9, 9}, 6, 1, 9, false);
}
