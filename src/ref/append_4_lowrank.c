/* append_4_lowrank.c: A B^T fitted to the residual of a KV head and segment by subspace iteration with orthonormalisation in
 * every pass (paper, Algorithm 2; rule 8). All sums in double: the kernels are held to a bound, not to these bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/kit.h"

/* A column of which no more than this share of its square is left, or no more than this at all, once it is orthogonal to those
 * before it, lies in their span as far as float32 kernels can tell. */
#define VANISH_SHARE 1e-11
#define VANISH       1e-30

/* Start basis: uniform in [-1, 1), from a hash of (row, column). */
static double start_value(uint32_t row, uint32_t column)
{
    uint32_t h = row * 0x9E3779B1u + column * 0x85EBCA77u + 0x165667B1u;
    h ^= h >> 16;
    h *= 0x7FEB352Du;
    h ^= h >> 15;
    h *= 0x846CA68Bu;
    h ^= h >> 16;
    return (double)((float)(h >> 8) * 0x1p-23f - 1.0f);
}

static double dot(const double *a, const double *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* Modified Gram-Schmidt, two rounds, over `rank` columns of n; vanishing columns and those from `limit` on become zero. */
static void orthonormalise(double *columns, uint32_t n, uint32_t rank, uint32_t limit)
{
    for (uint32_t j = 0; j < rank; j++) {
        double *column = columns + (size_t)j * n, before = dot(column, column, n), after, inverse = 0;
        for (int round = 0; round < 2; round++) {
            for (uint32_t i = 0; i < j; i++) {
                const double *other = columns + (size_t)i * n;
                double along = dot(other, column, n);
                for (uint32_t k = 0; k < n; k++) {
                    column[k] -= along * other[k];
                }
            }
        }
        after = dot(column, column, n);
        if (j < limit && after > VANISH_SHARE * before && after > VANISH) {
            inverse = 1 / sqrt(after);
        }
        for (uint32_t k = 0; k < n; k++) {
            column[k] = inverse > 0 ? column[k] * inverse : 0;
        }
    }
}

/* a = R b and b = R^T a for one head; r: the head's rows of the segment. */
static void multiply(const uint16_t *r, uint32_t tokens, uint32_t d, const double *b, double *a)
{
    for (uint32_t t = 0; t < tokens; t++) {
        a[t] = 0;
        for (uint32_t c = 0; c < d; c++) {
            a[t] += (double)gear__float_from_half(r[(size_t)t * d + c]) * b[c];
        }
    }
}

static void multiply_transposed(const uint16_t *r, uint32_t tokens, uint32_t d, const double *a, double *b)
{
    memset(b, 0, d * sizeof *b);
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t c = 0; c < d; c++) {
            b[c] += (double)gear__float_from_half(r[(size_t)t * d + c]) * a[t];
        }
    }
}

static void fit(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t rank, double *a, double *b)
{
    const uint16_t *r = round->r + gear__ref_row(round, head, job->row);
    uint32_t d = round->shape->head_dim, tokens = job->tokens, limit = tokens < d ? tokens : d;
    for (uint32_t j = 0; j < rank; j++) {
        for (uint32_t c = 0; c < d; c++) {
            b[j * d + c] = start_value(c, j);
        }
    }
    for (uint32_t pass = 0; pass < gear__ref_side(round)->iterations; pass++) {
        orthonormalise(b, d, rank, limit);
        for (uint32_t j = 0; j < rank; j++) {
            multiply(r, tokens, d, b + (size_t)j * d, a + (size_t)j * tokens);
        }
        orthonormalise(a, tokens, rank, limit);
        for (uint32_t j = 0; j < rank; j++) {
            multiply_transposed(r, tokens, d, a + (size_t)j * tokens, b + (size_t)j * d);
        }
    }
}

/* Scale of a column for codes of `bits`. */
static uint16_t column_scale(const double *column, uint32_t n, uint32_t bits)
{
    float largest = 0, reciprocal = 1.0f / (float)((1u << (bits - 1u)) - 1u);
    for (uint32_t i = 0; i < n; i++) {
        largest = fmaxf(largest, fabsf((float)column[i]));
    }
    return gear__half_saturate(largest * reciprocal);
}

static void store_factor(uint8_t *at, uint32_t element, uint32_t bits, float value, uint16_t scale)
{
    if (bits == 16) {
        gear__ref_store_half(at, element, gear__half_saturate(value));
        return;
    }
    int32_t top = (1 << (bits - 1u)) - 1, code = gear__ref_divide(value, scale, -top, top);
    if (bits == 8) {
        at[element] = (uint8_t)code;
        return;
    }
    uint32_t shift = 4u * (element & 1u);
    at[element / 2u] = (uint8_t)((at[element / 2u] & ~(15u << shift)) | (uint32_t)(code + 8) << shift);
}

static void store(gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t rank, const double *a,
                  const double *b)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    uint32_t d = shape->head_dim, bits = side->factor_bits;
    uint8_t *seg = gear__ref_place_at(round, job, 0, head).seg;
    for (uint32_t j = 0; j < rank; j++) {
        uint16_t scale_a = 0, scale_b = 0;
        if (bits < 16) {
            scale_a = column_scale(a + (size_t)j * job->tokens, job->tokens, bits);
            scale_b = column_scale(b + (size_t)j * d, d, bits);
            gear__ref_store_half(seg + side->factors[job->cls], j, scale_a);
            gear__ref_store_half(seg + side->factors[job->cls], rank + j, scale_b);
        }
        for (uint32_t t = 0; t < job->blocks * GEAR__BLOCK; t++) {
            float value = t < job->tokens ? (float)a[(size_t)j * job->tokens + t] : 0;
            uint8_t *at = gear__ref_place_at(round, job, t / GEAR__BLOCK, head).head + side->a[job->cls];
            store_factor(at, j * GEAR__BLOCK + t % GEAR__BLOCK, bits, value, scale_a);
        }
        for (uint32_t c = 0; c < d; c++) {
            store_factor(seg + side->b[job->cls], j * d + c, bits, (float)b[(size_t)j * d + c], scale_b);
        }
    }
}

int gear__ref_append_4_lowrank(gear__ref_round *round)
{
    double b[GEAR__MAX_RANK * 256];
    for (uint32_t i = 0; i < round->num_jobs; i++) {
        gear__ref_job job = gear__ref_job_at(round, i);
        uint32_t rank = gear__ref_side(round)->rank[job.cls];
        if (!rank) {
            continue;
        }
        double *a = malloc(sizeof *a * rank * job.tokens);
        if (!a) {
            return 0;
        }
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            fit(round, &job, head, rank, a, b);
            store(round, &job, head, rank, a, b);
        }
        free(a);
    }
    return 1;
}
