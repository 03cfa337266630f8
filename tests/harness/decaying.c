/* decaying.c: see the header. */
#include "decaying.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "model/half.h"

/* Uniform in [-1, 1). */
static double noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) * 0x1p-23 - 1.0;
}

/* Makes column j of x[][n] a direction at random, orthogonal to those before it. */
static void make_direction(double *x, uint32_t n, uint32_t j, uint32_t *state)
{
    double *column = x + (size_t)j * n, norm = 0;
    for (uint32_t i = 0; i < n; i++) {
        column[i] = noise(state);
    }
    for (uint32_t k = 0; k < 2 * j; k++) { /* twice through the columns before */
        const double *other = x + (size_t)(k % j) * n;
        double along = 0;
        for (uint32_t i = 0; i < n; i++) {
            along += column[i] * other[i];
        }
        for (uint32_t i = 0; i < n; i++) {
            column[i] -= along * other[i];
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        norm += column[i] * column[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        column[i] /= sqrt(norm);
    }
}

void decaying_fill(uint16_t *r, uint32_t tokens, uint32_t d, uint32_t terms, uint32_t seed)
{
    double *u = malloc((size_t)terms * tokens * sizeof *u), *v = malloc((size_t)terms * d * sizeof *v);
    cr_assert(u && v);
    for (uint32_t j = 0; j < terms; j++) {
        make_direction(u, tokens, j, &seed);
        make_direction(v, d, j, &seed);
    }
    for (uint32_t i = 0; i < terms * d; i++) {
        v[i] = ldexp(v[i], -(int)(i / d));
    }
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t c = 0; c < d; c++) {
            double sum = 0;
            for (uint32_t j = 0; j < terms; j++) {
                sum += u[(size_t)j * tokens + t] * v[(size_t)j * d + c];
            }
            r[(size_t)t * d + c] = gear__half_from_float((float)sum);
        }
    }
    free(u);
    free(v);
}

double decaying_optimum(uint32_t terms, uint32_t rank)
{
    double left = 0;
    for (uint32_t j = rank; j < terms; j++) {
        left += ldexp(1, -2 * (int)j);
    }
    return sqrt(left);
}
