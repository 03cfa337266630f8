/* verify.h: is the result right? Nothing is printed about a shape before it is. */
#ifndef GEAR_MEASURE_VERIFY_H
#define GEAR_MEASURE_VERIFY_H

#include "world.h"

typedef struct verdict {
    uint32_t sampled, of; /* (sequence, KV head) pairs against the reference, and how many there are */
    bool all_equal;       /* and every other sequence against the first, which holds the same tokens */
    double worst, bound;  /* largest error and what it may be */
} verdict;

/* Attention in double precision on what gear_reconstruct says the cache holds, for a sample of (sequence, KV head). It depends
 * on the shape and the device, not on how the cache computes attention. */
typedef struct reference_output {
    uint32_t pairs; /* 0: not computed */
    double *values; /* [pair][query head of its KV head][query][head_dim] */
} reference_output;

bool reference_make(world *w, reference_output *e, host_error *error);
void reference_free(reference_output *e);

/* `out` holds the halves [sequence][query head][query][head_dim] of a call. The bound is relative to the largest |out|: 1e-5
 * for kernels that compute in float32, 5e-4 for those with 16-bit operands; and half a unit in the last place of an output. */
bool verify_attend(const world *w, const reference_output *e, const uint16_t *out, verdict *v, host_error *error);

/* What append made: gear_reconstruct against what went in. Window and 16-bit tokens are equal. In each compressed block and KV
 * head of the first and last segment of a sample of sequences the error is at most what rounding to the steps of plain groups
 * would give, with 8 % to spare: errors of position, order, scale or code do not pass, and that codes are equal bit for
 * bit is the tests' affair. */
bool verify_append(world *w, verdict *v, host_error *error);

/* Outputs of two runs of the same call agree within the bound of `v`. */
bool verify_repeat(const world *w, const uint16_t *first, const uint16_t *again, const verdict *v, host_error *error);

size_t output_values(const bench_shape *shape);

#endif
