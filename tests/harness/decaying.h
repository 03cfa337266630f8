/* decaying.h: a residual whose singular values are known, and so what the best fit of each rank leaves of it. */
#ifndef DECAYING_H
#define DECAYING_H

#include <stdint.h>

/* Fills r[tokens][d], halves, with a sum of `terms` products 2^-j u_j v_j^T, j from 0 on, the u and the v orthonormal. The
 * same values on every machine. terms: at most the lesser of tokens and d. */
void decaying_fill(uint16_t *r, uint32_t tokens, uint32_t d, uint32_t terms, uint32_t seed);
/* What the best fit of a rank leaves of it (Frobenius norm). */
double decaying_optimum(uint32_t terms, uint32_t rank);

#endif
