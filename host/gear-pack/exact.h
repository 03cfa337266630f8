/* exact.h: the yardsticks: attention in double precision, and relative errors. */
#ifndef GEAR_PACK_EXACT_H
#define GEAR_PACK_EXACT_H

#include "input.h"

/* Fills in->exact: softmax(scale q K^T, causal) V of the queries at the last positions. False where memory is exhausted. */
bool exact_attention(input *in);

/* sqrt(difference / norm), both sums of squares; 0 where both are 0, NaN where only the norm is. */
double relative(double difference, double norm);

#endif
