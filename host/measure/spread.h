/* spread.h: what many times of the same thing come to. */
#ifndef GEAR_MEASURE_SPREAD_H
#define GEAR_MEASURE_SPREAD_H

#include <stdbool.h>

typedef struct spread {
    double best, median; /* in the unit of the values: of times ms */
} spread;

/* Of count >= 1 values, which it sorts; of an even count the median is the mean of the middle two. */
spread spread_of(double *values, unsigned count);

/* Whether the median is at most twice the best: else something more than noise lies between them. */
bool spread_is_steady(const spread *s);

#endif
