/* spread.c: see spread.h. */
#include "spread.h"

#include <stdlib.h>

#define MOST_OVER_BEST 2.0

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

spread spread_of(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_value);
    return (spread){values[0], (values[count / 2] + values[(count - 1) / 2]) / 2};
}

bool spread_is_steady(const spread *s)
{
    return s->median <= MOST_OVER_BEST * s->best;
}
