/* linear.cl: a weight matrix times up to TOKENS vectors, straight from the blocks of the model file:
 *     y[t][n] = sum over k of w[n][k] x[t][k]     (added to y where `accumulate`)
 * A row of the matrix belongs to LANES work-items, which take its quarters of units in turn, and is read once for all tokens.
 * A CPU has one lane and a work-group of one work-item, which does ROWS rows; a GPU work-group does ROWS rows side by side.
 * The first dimension of the range counts groups of TOKENS tokens, the second of ROWS rows, so that the groups that share rows
 * of the matrix run together. Tokens beyond `tokens` are computed from the last one and not stored. */
#include "values.clh"
#include "lanes.clh"

#if !defined(TOKENS) || !defined(ROWS)
#  error "TOKENS or ROWS is missing"
#endif

#if TOKENS == 1
#  define EACH_TOKEN(X) X(0)
#elif TOKENS == 2
#  define EACH_TOKEN(X) X(0) X(1)
#elif TOKENS == 4
#  define EACH_TOKEN(X) X(0) X(1) X(2) X(3)
#elif TOKENS == 8
#  define EACH_TOKEN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#else
#  error "TOKENS is none of 1, 2, 4, 8"
#endif

#define INPUT(t)   const __global float *x##t = x + (ulong)min(token + (t), tokens - 1u) * units * LLM_UNIT;
#define START(t)   float8 sum##t = 0.0f;
#define ADD(t)     sum##t = fma(w8, vload8(at, x##t), sum##t);
#define STEP(u, q)                                                                                                             \
  do {                                                                                                                         \
    const uint at = (u) * 4u + (q);                                                                                            \
    const float8 w8 = llm_values8(row, (u), (q));                                                                              \
    EACH_TOKEN(ADD)                                                                                                            \
  } while (0)

LLM_INLINE void llm_store(__global float *y, float value, uint accumulate)
{
    *y = accumulate ? *y + value : value;
}

#if LANES == 1

#  define STORE(t)                                                                                                             \
    if (token + (t) < tokens)                                                                                                  \
        llm_store(y + (ulong)(token + (t)) * stride + n, llm_sum8(sum##t), accumulate);

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
llm_k_linear(__global const uchar *weights, ulong row_bytes, uint rows, uint units, __global const float *x, uint tokens,
             __global float *y, uint stride, uint accumulate)
{
    const uint token = (uint)get_group_id(0) * TOKENS, first = (uint)get_group_id(1) * ROWS, end = min(first + ROWS, rows);
    EACH_TOKEN(INPUT)
    for (uint n = first; n < end; n++) {
        const __global uchar *row = weights + n * row_bytes;
        EACH_TOKEN(START)
        for (uint u = 0; u < units; u++) {
            STEP(u, 0u);
            STEP(u, 1u);
            STEP(u, 2u);
            STEP(u, 3u);
        }
        EACH_TOKEN(STORE)
    }
}

#else

#  define SHARE(t) part[(t) * (ROWS * LANES) + lid] = llm_sum8(sum##t);

__kernel __attribute__((reqd_work_group_size(ROWS *LANES, 1, 1))) void
llm_k_linear(__global const uchar *weights, ulong row_bytes, uint rows, uint units, __global const float *x, uint tokens,
             __global float *y, uint stride, uint accumulate)
{
    __local float part[TOKENS * ROWS * LANES];
    const uint lid = (uint)get_local_id(0), lane = lid % LANES;
    const uint token = (uint)get_group_id(0) * TOKENS, first = (uint)get_group_id(1) * ROWS;
    const __global uchar *row = weights + min(first + lid / LANES, rows - 1u) * row_bytes;
    EACH_TOKEN(INPUT)
    EACH_TOKEN(START)
    for (uint u = lane / 4u; u < units; u += LANES / 4u)
        STEP(u, lane & 3u);
    EACH_TOKEN(SHARE)
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < TOKENS * ROWS) {
        const uint t = token + lid / ROWS, n = first + lid % ROWS;
        if (t < tokens && n < rows) {
            float sum = 0.0f;
            for (uint i = 0; i < LANES; i++)
                sum += part[lid * LANES + i];
            llm_store(y + (ulong)t * stride + n, sum, accumulate);
        }
    }
}

#endif
