/* attend.h: one row of attention, shared by the two attend stages. */
#ifndef GEAR_REF_ATTEND_H
#define GEAR_REF_ATTEND_H

#include "ref/ref.h"

/* gear__ref_attend_1_partial for one row: out[head_dim]. */
void gear__ref_attend_row(const gear__ref_attention *in, uint32_t row, uint32_t first, uint32_t last, double *max, double *sum,
                          double *out);

#endif
