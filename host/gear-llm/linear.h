/* linear.h: y = W x for rows of activations. Few tokens go through an own kernel that reads the blocks of the file; for many
 * the matrix is turned into float32, a part at a time, and multiplied by CLBlast. */
#ifndef GEAR_LLM_LINEAR_H
#define GEAR_LLM_LINEAR_H

#include "weights.h"

typedef struct linear linear;

/* For the matrices of `w` and products of up to `tokens` tokens: compiles all kernels and allocates all scratch that
 * linear_apply needs. dev, k and w are borrowed. */
bool linear_create(const device *dev, kernels *k, const weights *w, uint32_t tokens, linear **out, host_error *error);
/* NULL is harmless. */
void linear_destroy(linear *l);
/* Device bytes of the scratch. */
uint64_t linear_bytes(const linear *l);

/* y[tokens][rows] = x[tokens][columns] W^T, or added to y; float32, packed. Enqueues on the device's queue. */
bool linear_apply(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error);
/* The same by one way, for tests and timings; the second allocates scratch at its first call where linear_apply needs none. */
bool linear_apply_rows(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error);
bool linear_apply_gemm(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error);

#endif
