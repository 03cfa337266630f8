/* reference.h: attention as the formula says, in double precision. */
#ifndef GEAR_MEASURE_REFERENCE_H
#define GEAR_MEASURE_REFERENCE_H

#include <stdint.h>

/* out[dim] = softmax(q K^T / sqrt(dim)) V over `seen` tokens, k and v [seen][dim]; score[seen] is work space. */
void reference_attend(const double *q, const float *k, const float *v, uint32_t seen, uint32_t dim, double *score, double *out);

#endif
