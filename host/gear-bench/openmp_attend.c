/* openmp_attend.c: see openmp_attend.h. One pass with an online softmax over tiles of keys; a task is a part of the tokens of
 * one KV head and serves all its query rows, so that each key and value is read and converted once. Built with -O3
 * -march=native -ffast-math. */
#include "openmp_attend.h"

#ifndef _OPENMP
int openmp_threads(void)
{
    return 0;
}

uint64_t openmp_partial_floats(const openmp_call *call)
{
    (void)call;
    return 0;
}

void openmp_attend(const openmp_call *call)
{
    (void)call;
}
#else

#  include <math.h>
#  include <omp.h>
#  include <string.h>
#  ifdef __F16C__
#    include <immintrin.h>
#  endif

enum { TILE = 64, TASKS_A_THREAD = 4 };
#  define LOWEST (-3e38f)

int openmp_threads(void)
{
    return omp_get_max_threads();
}

static void widen(const uint16_t *from, float *to, uint32_t count)
{
#  ifdef __F16C__
    for (uint32_t i = 0; i < count; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + i))));
#  else
    for (uint32_t i = 0; i < count; ++i) {
        /* Moves the exponent by a multiplication: right for zero and subnormals too; there is no infinity in the data. */
        uint32_t bits = (uint32_t)(from[i] & 0x7fffu) << 13, sign = (uint32_t)(from[i] & 0x8000u) << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        value *= 0x1p112f;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
        memcpy(&to[i], &bits, sizeof bits);
    }
#  endif
}

/* What a task keeps of a row: its largest score, the sum of the weights, the weighted values. */
typedef struct row_state {
    float most, sum;
} row_state;

static uint32_t rows_of(const openmp_call *c)
{
    return c->group * c->queries;
}

static uint32_t splits_of(const openmp_call *c)
{
    uint32_t heads = c->batch * c->kv_heads, wanted = (uint32_t)omp_get_max_threads() * TASKS_A_THREAD;
    return wanted > heads ? (wanted + heads - 1) / heads : 1;
}

uint64_t openmp_partial_floats(const openmp_call *c)
{
    return (uint64_t)c->batch * c->kv_heads * splits_of(c) * rows_of(c) * (c->dim + 2);
}

/* Scores of one tile for all rows: score[row][token]. */
static void score_tile(const openmp_call *c, const uint16_t *k, const float *q, uint32_t tokens, float (*score)[TILE])
{
    float key[OPENMP_MOST_DIM], scale = 1 / sqrtf((float)c->dim);
    for (uint32_t t = 0; t < tokens; ++t) {
        widen(k + (uint64_t)t * c->dim, key, c->dim);
        for (uint32_t r = 0; r < rows_of(c); ++r) {
            const float *query = q + (uint64_t)r * c->dim;
            float dot = 0;
            for (uint32_t i = 0; i < c->dim; ++i)
                dot += query[i] * key[i];
            score[r][t] = dot * scale;
        }
    }
}

/* Turns a row's scores into weights and rescales what came before. */
static void weigh(row_state *state, float *score, uint32_t tokens, float *acc, uint32_t dim)
{
    float most = state->most, sum = 0;
    for (uint32_t t = 0; t < tokens; ++t)
        most = score[t] > most ? score[t] : most;
    float factor = expf(state->most - most);
    for (uint32_t t = 0; t < tokens; ++t) {
        score[t] = expf(score[t] - most);
        sum += score[t];
    }
    if (factor < 1)
        for (uint32_t i = 0; i < dim; ++i)
            acc[i] *= factor;
    state->sum = state->sum * factor + sum;
    state->most = most;
}

static void add_tile(const openmp_call *c, const uint16_t *v, uint32_t tokens, float (*score)[TILE], float *acc)
{
    float value[OPENMP_MOST_DIM];
    for (uint32_t t = 0; t < tokens; ++t) {
        widen(v + (uint64_t)t * c->dim, value, c->dim);
        for (uint32_t r = 0; r < rows_of(c); ++r) {
            float weight = score[r][t], *row = acc + (uint64_t)r * c->dim;
            for (uint32_t i = 0; i < c->dim; ++i)
                row[i] += weight * value[i];
        }
    }
}

/* Tokens begin .. end - 1 of one KV head into partial[rows][dim + 2]. */
static void attend_part(const openmp_call *c, uint32_t sequence, uint32_t head, uint32_t begin, uint32_t end, float *partial)
{
    uint64_t at = ((uint64_t)sequence * c->kv_heads + head) * c->stride * c->dim;
    const float *q = c->q + ((uint64_t)sequence * c->kv_heads + head) * rows_of(c) * c->dim;
    float score[OPENMP_MOST_ROWS][TILE], *acc = partial + 2 * rows_of(c);
    row_state state[OPENMP_MOST_ROWS];
    memset(acc, 0, (uint64_t)rows_of(c) * c->dim * sizeof *acc);
    for (uint32_t r = 0; r < rows_of(c); ++r)
        state[r] = (row_state){LOWEST, 0};
    for (uint32_t t = begin; t < end; t += TILE) {
        uint32_t n = end - t < TILE ? end - t : TILE;
        score_tile(c, c->k + at + (uint64_t)t * c->dim, q, n, score);
        for (uint32_t r = 0; r < rows_of(c); ++r) {
            uint32_t last = c->lengths[sequence] - c->queries + r % c->queries; /* the row's own position */
            for (uint32_t i = 0; i < n && t + n > last; ++i)
                score[r][i] = t + i > last ? LOWEST : score[r][i];
            weigh(&state[r], score[r], n, acc + (uint64_t)r * c->dim, c->dim);
        }
        add_tile(c, c->v + at + (uint64_t)t * c->dim, n, score, acc);
    }
    for (uint32_t r = 0; r < rows_of(c); ++r) {
        partial[2 * r] = state[r].most;
        partial[2 * r + 1] = state[r].sum;
    }
}

/* Joins the parts of one (sequence, KV head). */
static void join(const openmp_call *c, uint64_t pair, uint32_t splits)
{
    uint32_t rows = rows_of(c);
    uint64_t size = (uint64_t)rows * (c->dim + 2);
    const float *first = c->partial + pair * splits * size;
    for (uint32_t r = 0; r < rows; ++r) {
        float most = LOWEST, sum = 0, *out = c->out + (pair * rows + r) * c->dim;
        for (uint32_t s = 0; s < splits; ++s)
            most = first[s * size + 2 * r] > most ? first[s * size + 2 * r] : most;
        memset(out, 0, c->dim * sizeof *out);
        for (uint32_t s = 0; s < splits; ++s) {
            float factor = expf(first[s * size + 2 * r] - most);
            sum += factor * first[s * size + 2 * r + 1];
            for (uint32_t i = 0; i < c->dim; ++i)
                out[i] += factor * first[s * size + 2 * rows + (uint64_t)r * c->dim + i];
        }
        for (uint32_t i = 0; i < c->dim; ++i)
            out[i] /= sum;
    }
}

void openmp_attend(const openmp_call *c)
{
    uint32_t splits = splits_of(c), pairs = c->batch * c->kv_heads;
    uint64_t size = (uint64_t)rows_of(c) * (c->dim + 2);
#  pragma omp parallel
    {
#  pragma omp for schedule(dynamic, 1)
        for (uint32_t task = 0; task < pairs * splits; ++task) {
            uint32_t pair = task / splits, part = task % splits, sequence = pair / c->kv_heads;
            uint32_t tiles = (c->lengths[sequence] + TILE - 1) / TILE;
            uint32_t begin = (uint32_t)((uint64_t)tiles * part / splits) * TILE;
            uint32_t end = (uint32_t)((uint64_t)tiles * (part + 1) / splits) * TILE;
            end = end < c->lengths[sequence] ? end : c->lengths[sequence];
            attend_part(c, sequence, pair % c->kv_heads, begin, end, c->partial + task * size);
        }
#  pragma omp for
        for (uint32_t pair = 0; pair < pairs; ++pair)
            join(c, pair, splits);
    }
}
#endif
