/* append_4_lowrank: L = A B^T, the rank-r fit of the residual of one KV head over one segment, by block power iteration (paper,
 * Algorithm 2) with orthonormalisation in every pass; stores A in the blocks and B in the segment record.
 * Convention: docs/design.md, rule 8. Reference: src/ref/append_4_lowrank.c.
 * One work-group of 64 for each (job, KV head). r is [head][row][head_dim]; scratch holds
 * A as [head][column 0..7][row], then B as [job][head][column][head_dim]. */
#include "exact.clh"
#include "record.clh"
#include "reduce.clh" /* also says why loops around a barrier test at their end */

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* Start basis: the same numbers for every head and sequence. */
GEAR__INLINE float gear_start(uint row, uint column)
{
    uint h = row * 0x9e3779b1u + column * 0x85ebca77u + 0x165667b1u;
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    h ^= h >> 16;
    return (float)(h >> 8) * 0x1p-23f - 1.0f;
}

GEAR_REDUCE_64(gear_sum_64, float, GEAR_ADD)
GEAR_REDUCE_64(gear_max_64, float, fmax)

/* Modified Gram-Schmidt, two rounds, on `rank` columns of `length` floats `stride` apart. A column that the earlier ones
 * explain to float precision becomes 0. Column j takes 2 j + 2 dot products: itself, the earlier ones twice, itself again; one
 * loop over all of them keeps a single reduction in the code. rank >= 1. */
GEAR__INLINE void gear_orthonormalise(__global float *m, uint rank, uint length, ulong stride, __local float *part, uint lid)
{
    uint j = 0;
    do {
        __global float *column = m + j * stride;
        float before = 0.0f;
        uint e = 0;
        do {
            uint last = e == 2u * j + 1u, self = e == 0u || last;
            __global const float *other = self ? column : m + ((e - 1u) % j) * stride;
            float sum = 0.0f;
            for (uint i = lid; i < length; i += 64u) {
                sum = fma(column[i], other[i], sum);
            }
            float dot = gear_sum_64(part, lid, sum), factor = 1.0f, shift = self ? 0.0f : -dot;
            if (last) {
                factor = dot > 1e-11f * before && dot > 1e-30f ? rsqrt(dot) : 0.0f;
            } else if (self) {
                before = dot;
            }
            for (uint i = lid; i < length; i += 64u) {
                column[i] = factor * fma(shift, other[i], column[i]);
            }
        } while (++e < 2u * j + 2u);
    } while (++j < rank);
}

/* Scale of a column of factors in 8 or 4 bits. */
GEAR__INLINE uint gear_factor_scale(float largest, uint bits)
{
    return gear_half_saturate(largest * (bits == 8u ? 0x1.020408p-7f : 0x1.24924ap-3f));
}

/* Symmetric code of one factor. */
GEAR__INLINE int gear_factor_code(float value, uint scale_bits, uint bits)
{
    float top = bits == 8u ? 127.0f : 7.0f;
    int code = scale_bits ? (int)gear_code(fabs(value), gear_float_from_half(scale_bits), gear_inverse(scale_bits), top) : 0;
    return value < 0.0f ? -code : code;
}

/* One stored factor: a half, or a code of 8 or 4 bits. */
GEAR__INLINE uint gear_factor_word(float value, uint scale_bits, uint bits)
{
    if (bits == 16u) {
        return gear_half_saturate(value);
    }
    int code = gear_factor_code(value, scale_bits, bits);
    return bits == 8u ? (uint)code & 255u : (uint)(code + 8);
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_4_lowrank(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    uint num_rows, __global const float *r, __global float *scratch)
{
    __local float part[64];
    const uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1), heads = shape[GEAR__SHAPE_KV_HEADS];
    __global const uint *job = jobs + (uint)get_group_id(0) * GEAR__JOB_WORDS;
    __global const uint *side = shape + GEAR_SIDE(is_v);
    const uint cls = job[GEAR__JOB_CLASS], rank = side[GEAR__SIDE_RANK + cls], bits = side[GEAR__SIDE_FACTOR_BITS];
    const uint rows = job[GEAR__JOB_BLOCKS] * 64u, usable = min(min(rank, job[GEAR__JOB_TOKENS]), (uint)HEAD_DIM);
    __global const float *residual = r + ((ulong)head * num_rows + job[GEAR__JOB_ROW]) * HEAD_DIM;
    __global float *a = scratch + (ulong)head * GEAR__MAX_RANK * num_rows + job[GEAR__JOB_ROW];
    const ulong b_first = (ulong)heads * num_rows + ((ulong)get_group_id(0) * heads + head) * HEAD_DIM;
    __global float *b = scratch + b_first * GEAR__MAX_RANK;

    if (rank == 0u) { /* of this class; rows and iterations are never 0 */
        return;
    }
    for (uint i = lid; i < GEAR__MAX_RANK * HEAD_DIM; i += 64u) {
        uint column = i / HEAD_DIM;
        b[i] = column < usable ? gear_start(i % HEAD_DIM, column) : 0.0f;
    }
    for (uint i = lid; i < (rank - usable) * rows; i += 64u) {
        a[(usable + i / rows) * (ulong)num_rows + i % rows] = 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    /* even half passes: B orthonormal, A = R B; odd: A orthonormal, B = R^T A */
    uint half_pass = 0;
    do {
        const uint odd = half_pass & 1u;
        gear_orthonormalise(odd ? a : b, usable, odd ? rows : HEAD_DIM, odd ? num_rows : HEAD_DIM, part, lid);
        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
        for (uint i = lid; i < (odd ? HEAD_DIM : rows); i += 64u) {
            __global const float *from = residual + (odd ? i : i * HEAD_DIM);
            __global const float *basis = odd ? a : b;
            __global float *to = (odd ? b : a) + i;
            const uint length = odd ? rows : HEAD_DIM, step = odd ? HEAD_DIM : 1u;
            const ulong basis_stride = odd ? num_rows : HEAD_DIM, to_stride = odd ? HEAD_DIM : num_rows;
            float sum[GEAR__MAX_RANK] = {0.0f};
            for (uint n = 0; n < length; n++) {
                float value = from[n * step];
#pragma unroll
                for (uint j = 0; j < GEAR__MAX_RANK; j++) { /* columns beyond `usable` read what is there and are dropped */
                    sum[j] = fma(value, basis[j * basis_stride + n], sum[j]);
                }
            }
#pragma unroll
            for (uint j = 0; j < GEAR__MAX_RANK; j++) { /* no running index into sum: it would go to scratch memory */
                if (j < usable) {
                    to[j * to_stride] = sum[j];
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    } while (++half_pass < 2u * side[GEAR__SIDE_ITERATIONS]);

    __global uchar *segment = gear_segment_head(pool, shape, job[GEAR__JOB_SEGMENT], cls, head);
    __global ushort *scales = (__global ushort *)(segment + side[GEAR__SIDE_FACTORS + cls]);
    uint i = 0;
    do { /* columns of A, then of B */
        const uint of_b = i >= rank, j = of_b ? i - rank : i, length = of_b ? HEAD_DIM : rows;
        __global const float *column = of_b ? b + j * HEAD_DIM : a + j * (ulong)num_rows;
        float largest = 0.0f;
        for (uint n = lid; n < length; n += 64u) {
            largest = fmax(largest, fabs(column[n]));
        }
        largest = gear_max_64(part, lid, largest);
        const uint scale = bits < 16u ? gear_factor_scale(largest, bits) : 0u;
        if (bits < 16u && lid == 0u) {
            scales[i] = (ushort)scale;
        }
        /* A goes to its block 64 values at a time, B to the segment record in one piece; two values a step, for the nibbles */
        for (uint n = 2u * lid; n < length; n += 128u) {
            const uint low = gear_factor_word(column[n], scale, bits), high = gear_factor_word(column[n + 1u], scale, bits);
            __global uchar *out = segment + side[GEAR__SIDE_B + cls] + j * HEAD_DIM * bits / 8u;
            uint at = n;
            if (!of_b) {
                uint block = table[(job[GEAR__JOB_TABLE] + n / 64u) * (ulong)GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET];
                out = gear_block_head(pool, shape, block, cls, head) + side[GEAR__SIDE_A + cls] + j * 8u * bits;
                at = n % 64u;
            }
            if (bits == 16u) {
                ((__global uint *)out)[at / 2u] = low | high << 16;
            } else if (bits == 8u) {
                ((__global ushort *)out)[at / 2u] = (ushort)(low | high << 8);
            } else {
                out[at / 2u] = (uchar)(low | high << 4);
            }
        }
    } while (++i < 2u * rank);
}
