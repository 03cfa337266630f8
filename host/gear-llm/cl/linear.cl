/* linear.cl: a weight matrix times up to TOKENS vectors, straight from the blocks of the model file:
 *     y[t][n] = sum over k of w[n][k] x[t][k]     (added to y where `accumulate`)
 * A row of the matrix belongs to LANES work-items, which take its quarters of units in turn, and is read once for all tokens.
 * A work-group does ROWS rows: on a CPU one work-item, one row after the other; on a GPU teams of LANES work-items, each with
 * EACH rows at a time.
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

/* Rows of one lane: what it loads of x serves them all. */
#  if TOKENS > 2
#    define EACH           4
#    define EACH_ROW(X, t) X(0, t) X(1, t) X(2, t) X(3, t)
#  else
#    define EACH           1
#    define EACH_ROW(X, t) X(0, t)
#  endif
#  define GROUP (ROWS / EACH * LANES)

/* What lane `lane` does for unit u: 8 values of each row, times those of each token. */
#  define LOAD(r, t)    const float8 w##r = llm_values8(weights + min(own + (r), rows - 1u) * row_bytes, u, lane & 3u);
#  define SUM_ROW(r, t) sum[(r) * TOKENS + (t)] = llm_dot8(w##r, x8, sum[(r) * TOKENS + (t)]);
#  define SUM(t)                                                                                                               \
    {                                                                                                                          \
      const float8 x8 = vload8(u * 4u + (lane & 3u), x##t);                                                                    \
      EACH_ROW(SUM_ROW, t)                                                                                                     \
    }

LLM_INLINE float llm_dot8(float8 a, float8 b, float sum)
{
    sum = fma(a.s0, b.s0, sum);
    sum = fma(a.s1, b.s1, sum);
    sum = fma(a.s2, b.s2, sum);
    sum = fma(a.s3, b.s3, sum);
    sum = fma(a.s4, b.s4, sum);
    sum = fma(a.s5, b.s5, sum);
    sum = fma(a.s6, b.s6, sum);
    return fma(a.s7, b.s7, sum);
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
llm_k_linear(__global const uchar *weights, ulong row_bytes, uint rows, uint units, __global const float *x, uint tokens,
             __global float *y, uint stride, uint accumulate)
{
    __local float part[EACH * TOKENS * GROUP];
    const uint lid = (uint)get_local_id(0), lane = lid % LANES;
    const uint token = (uint)get_group_id(0) * TOKENS, first = (uint)get_group_id(1) * ROWS, own = first + lid / LANES * EACH;
    float sum[EACH * TOKENS];
#  pragma unroll
    for (uint i = 0; i < EACH * TOKENS; i++)
        sum[i] = 0.0f;
    EACH_TOKEN(INPUT)
#  pragma unroll 1
    for (uint u = lane / 4u; u < units; u += LANES / 4u) {
        EACH_ROW(LOAD, 0)
        EACH_TOKEN(SUM)
    }
#  pragma unroll
    for (uint i = 0; i < EACH * TOKENS; i++)
        part[i * GROUP + lid] = sum[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < ROWS * TOKENS; i += GROUP) {
        const uint n = i % ROWS, t = i / ROWS;
        const __local float *lanes = part + (n % EACH * TOKENS + t) * GROUP + n / EACH * LANES;
        float all = 0.0f;
        for (uint j = 0; j < LANES; j++)
            all += lanes[(i + j) % LANES]; /* neighbours begin at different banks */
        if (token + t < tokens && first + n < rows)
            llm_store(y + (ulong)(token + t) * stride + first + n, all, accumulate);
    }
}

#endif
