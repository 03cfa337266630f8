/* append_4_lowrank_cpu: append_4_lowrank for CPU devices: one work-item for each (part, KV head, job), vectors of 8 floats
 * spelled out. Columns of B and of the sums over rows are [column][HEAD_DIM]; rows go by tiles that stay in the first-level
 * cache between Y = R B and R^T Y. Reference: src/ref/append_4_lowrank.c.
 *
 * A step does one part's share of it and leaves sums over its rows; the next step of every part begins by adding those of all
 * parts, so that no step needs more than the one before it to be complete. With p passes:
 *     0 .. p - 2   B = basis of the sums (step 0: the start basis), Y = R B; leaves R^T Y
 *     p - 1        B likewise; A = R B; leaves A^T A
 *     p            A made orthogonal with A^T A; leaves A^T A of the result
 *     p + 1        A made orthonormal with it; leaves R^T A and the largest |A| of each column
 *     p + 2        B = R^T A; stores the factors */
#include "lanes.clh"
#include "lowrank.clh"

#define FIT_VECTORS (HEAD_DIM / 8)
#define FIT_TILE    32u /* rows */

#define FIT_SLOT (2u * GEAR__MAX_RANK * HEAD_DIM + 2u * GEAR__MAX_RANK * GEAR__MAX_RANK + GEAR__MAX_RANK)

/* What a part leaves. Two sums over rows, in turn: parts read those of the step before while others write theirs. In the end
 * the second of part 0 is the unrounded B. */
GEAR__INLINE __global float *gear_fit_sums(const gear_fit *f, uint part, uint turn)
{
    return f->slots + part * FIT_SLOT + (turn & 1u) * GEAR__MAX_RANK * HEAD_DIM;
}

/* Gram matrices [8][8] of steps p - 1 and p. */
GEAR__INLINE __global float *gear_fit_gram(const gear_fit *f, uint part, uint round)
{
    return f->slots + part * FIT_SLOT + 2u * GEAR__MAX_RANK * HEAD_DIM + round * GEAR__MAX_RANK * GEAR__MAX_RANK;
}

GEAR__INLINE __global float *gear_fit_largest(const gear_fit *f, uint part)
{
    return gear_fit_gram(f, part, 2u);
}

/* A Gram matrix after elimination. */
typedef struct gear_fit_pivots {
    float gram[64], inverse[8], own[8];
} gear_fit_pivots;

GEAR__INLINE void gear_fit_eliminate(gear_fit_pivots *p, uint rank)
{
#pragma unroll 1
    for (uint k = 0; k < rank; k++) {
        p->own[k] = p->gram[9u * k];
    }
#pragma unroll 1
    for (uint k = 0; k < rank; k++) {
        p->inverse[k] = gear_fit_inverse(p->gram[9u * k], p->own[k]);
#pragma unroll 1
        for (uint i = k + 1u; i < rank; i++) {
            const float share = p->gram[8u * k + i] * p->inverse[k];
            for (uint j = i; j < rank; j++) {
                p->gram[8u * i + j] = fma(-share, p->gram[8u * k + j], p->gram[8u * i + j]);
            }
        }
    }
}

/* Upper triangle of the Gram matrix of a basis. */
GEAR__INLINE void gear_fit_basis_gram(const float8 *basis, uint rank, float *gram)
{
#pragma unroll 1
    for (uint i = 0; i < rank; i++) {
#pragma unroll 1
        for (uint j = i; j < rank; j++) {
            float8 even = 0.0f, odd = 0.0f;
#pragma unroll 4
            for (uint c = 0; c < FIT_VECTORS; c += 2u) {
                even = fma(basis[i * FIT_VECTORS + c], basis[j * FIT_VECTORS + c], even);
                odd = fma(basis[i * FIT_VECTORS + c + 1u], basis[j * FIT_VECTORS + c + 1u], odd);
            }
            gram[8u * i + j] = gear_sum8(even + odd);
        }
    }
}

/* The sums that the parts left, added in order. */
GEAR__INLINE void gear_fit_add_parts(const gear_fit *f, uint turn, float8 *sums)
{
#pragma unroll 1
    for (uint i = 0; i < f->rank * FIT_VECTORS; i++) {
        sums[i] = 0.0f;
    }
#pragma unroll 1
    for (uint part = 0; part < f->parts; part++) {
        __global const float *from = gear_fit_sums(f, part, turn);
#pragma unroll 1
        for (uint i = 0; i < f->rank * FIT_VECTORS; i++) {
            sums[i] += vload8(i, from);
        }
    }
}

/* B: the start basis or the sum of what the parts left, orthonormal but for rounding. Columns up to a multiple of 4 are set. */
GEAR__INLINE void gear_fit_form_basis(const gear_fit *f, uint step, float8 *basis)
{
    gear_fit_pivots p;
#pragma unroll 1
    for (uint i = f->rank * FIT_VECTORS; i < GEAR__MAX_RANK * FIT_VECTORS; i++) {
        basis[i] = 0.0f;
    }
    if (step) {
        gear_fit_add_parts(f, step - 1u, basis);
    } else {
        float *values = (float *)basis;
#pragma unroll 1
        for (uint i = 0; i < f->rank * HEAD_DIM; i++) {
            values[i] = i / HEAD_DIM < f->usable ? gear_fit_start(i % HEAD_DIM, i / HEAD_DIM) : 0.0f;
        }
    }
#pragma unroll 1
    for (uint round = 0; round < 2u; round++) {
        gear_fit_basis_gram(basis, f->rank, p.gram);
        gear_fit_eliminate(&p, f->rank);
#pragma unroll 1
        for (uint j = 0; j < f->rank; j++) {
#pragma unroll 1
            for (uint k = 0; k < j; k++) {
                const float share = -p.gram[8u * k + j] * p.inverse[k];
#pragma unroll 4
                for (uint c = 0; c < FIT_VECTORS; c++) {
                    basis[j * FIT_VECTORS + c] = fma((float8)(share), basis[k * FIT_VECTORS + c], basis[j * FIT_VECTORS + c]);
                }
            }
        }
        for (uint j = 0; j < f->rank && round; j++) {
            const float unit = p.inverse[j] > 0.0f ? rsqrt(p.gram[9u * j]) : 0.0f;
#pragma unroll 4
            for (uint c = 0; c < FIT_VECTORS; c++) {
                basis[j * FIT_VECTORS + c] *= unit;
            }
        }
    }
}

/* Y = R B for a tile and 4 columns, as [row][4]. Two rows at a time: 8 sums in flight. */
GEAR__INLINE void gear_fit_multiply(__global const float *tile, const float8 *basis, float4 *y)
{
#pragma unroll 1
    for (uint row = 0; row < FIT_TILE; row += 2u) {
        __global const float *r0 = tile + row * HEAD_DIM, *r1 = r0 + HEAD_DIM;
        float8 s00 = 0.0f, s01 = 0.0f, s02 = 0.0f, s03 = 0.0f, s10 = 0.0f, s11 = 0.0f, s12 = 0.0f, s13 = 0.0f;
#pragma unroll 2
        for (uint c = 0; c < FIT_VECTORS; c++) {
            const float8 x0 = vload8(c, r0), x1 = vload8(c, r1);
            const float8 b0 = basis[c], b1 = basis[FIT_VECTORS + c], b2 = basis[2 * FIT_VECTORS + c],
                         b3 = basis[3 * FIT_VECTORS + c];
            s00 = fma(x0, b0, s00), s01 = fma(x0, b1, s01), s02 = fma(x0, b2, s02), s03 = fma(x0, b3, s03);
            s10 = fma(x1, b0, s10), s11 = fma(x1, b1, s11), s12 = fma(x1, b2, s12), s13 = fma(x1, b3, s13);
        }
        const float8 sums = gear_sums8(s00, s01, s02, s03, s10, s11, s12, s13);
        y[row] = sums.lo;
        y[row + 1u] = sums.hi;
    }
}

/* Adds R^T Y of a tile to the sums of 4 columns. Two vectors of channels at a time: 8 sums in flight. */
GEAR__INLINE void gear_fit_multiply_transposed(__global const float *tile, const float4 *y, float8 *sums)
{
#pragma unroll 1
    for (uint c = 0; c < FIT_VECTORS; c += 2u) {
        float8 s00 = sums[c], s10 = sums[FIT_VECTORS + c], s20 = sums[2 * FIT_VECTORS + c], s30 = sums[3 * FIT_VECTORS + c];
        float8 s01 = sums[c + 1u], s11 = sums[FIT_VECTORS + c + 1u], s21 = sums[2 * FIT_VECTORS + c + 1u],
               s31 = sums[3 * FIT_VECTORS + c + 1u];
#pragma unroll 2
        for (uint row = 0; row < FIT_TILE; row++) {
            __global const float *at = tile + row * HEAD_DIM;
            const float8 x0 = vload8(c, at), x1 = vload8(c + 1u, at);
            const float8 y0 = y[row].x, y1 = y[row].y, y2 = y[row].z, y3 = y[row].w;
            s00 = fma(x0, y0, s00), s10 = fma(x0, y1, s10), s20 = fma(x0, y2, s20), s30 = fma(x0, y3, s30);
            s01 = fma(x1, y0, s01), s11 = fma(x1, y1, s11), s21 = fma(x1, y2, s21), s31 = fma(x1, y3, s31);
        }
        sums[c] = s00, sums[FIT_VECTORS + c] = s10, sums[2 * FIT_VECTORS + c] = s20, sums[3 * FIT_VECTORS + c] = s30;
        sums[c + 1u] = s01, sums[FIT_VECTORS + c + 1u] = s11, sums[2 * FIT_VECTORS + c + 1u] = s21,
                 sums[3 * FIT_VECTORS + c + 1u] = s31;
    }
}

/* The tiles of a part: Y = R B (`basis`) or the columns of A (NULL); then R^T Y to `sums`, where it is wanted, and Y to A. */
GEAR__INLINE void gear_fit_run_tiles(const gear_fit *f, const float8 *basis, float8 *sums, uint keeps)
{
#pragma unroll 1
    for (uint tile = 0; tile < f->rows; tile += FIT_TILE) {
        __global const float *residual = f->residual + tile * HEAD_DIM;
#pragma unroll 1
        for (uint j = 0; j < f->rank; j += 4u) {
            float4 y[FIT_TILE];
            __global float *a = f->a + j * f->a_stride + tile;
            const uint columns = min(f->rank - j, 4u);
            if (basis) {
                gear_fit_multiply(residual, basis + j * FIT_VECTORS, y);
            } else {
#pragma unroll 1
                for (uint row = 0; row < FIT_TILE; row++) {
                    y[row] = 0.0f;
#pragma unroll 1
                    for (uint k = 0; k < columns; k++) {
                        ((float *)(y + row))[k] = a[k * f->a_stride + row];
                    }
                }
            }
            if (sums) {
                gear_fit_multiply_transposed(residual, y, sums + j * FIT_VECTORS);
            }
#pragma unroll 1
            for (uint k = 0; k < columns && keeps; k++) {
#pragma unroll 1
                for (uint row = 0; row < FIT_TILE; row++) {
                    a[k * f->a_stride + row] = ((const float *)(y + row))[k];
                }
            }
        }
    }
}

/* Upper triangle of the Gram matrix of the part's rows of A. */
GEAR__INLINE void gear_fit_a_gram(const gear_fit *f, __global float *gram)
{
#pragma unroll 1
    for (uint i = 0; i < f->rank; i++) {
#pragma unroll 1
        for (uint j = i; j < f->rank; j++) {
            float8 even = 0.0f, odd = 0.0f;
#pragma unroll 1
            for (uint n = 0; n < f->rows / 8u; n += 2u) {
                even = fma(vload8(n, f->a + i * f->a_stride), vload8(n, f->a + j * f->a_stride), even);
                odd = fma(vload8(n + 1u, f->a + i * f->a_stride), vload8(n + 1u, f->a + j * f->a_stride), odd);
            }
            gram[8u * i + j] = gear_sum8(even + odd);
        }
    }
}

/* A orthogonal (round 0) or orthonormal (round 1), by the Gram matrices that the parts left; then each column's largest. */
GEAR__INLINE void gear_fit_improve(const gear_fit *f, uint round)
{
    gear_fit_pivots p;
    float first[8];
#pragma unroll 1
    for (uint i = 0; i < 64u; i++) {
        p.gram[i] = 0.0f;
    }
#pragma unroll 1
    for (uint part = 0; part < f->parts; part++) {
#pragma unroll 1
        for (uint i = 0; i < 64u; i++) {
            p.gram[i] += i % 8u < f->rank && i / 8u <= i % 8u ? gear_fit_gram(f, part, round)[i] : 0.0f;
        }
    }
    for (uint j = 0; j < f->rank; j++) {
        first[j] = 0.0f;
#pragma unroll 1
        for (uint part = 0; part < f->parts; part++) {
            first[j] += gear_fit_gram(f, part, 0u)[9u * j];
        }
    }
    gear_fit_eliminate(&p, f->rank);
#pragma unroll 1
    for (uint j = 0; j < f->rank; j++) {
        __global float *column = f->a + j * f->a_stride;
#pragma unroll 1
        for (uint k = 0; k < j; k++) {
            const float share = -p.gram[8u * k + j] * p.inverse[k];
#pragma unroll 1
            for (uint n = 0; n < f->rows / 8u; n++) {
                vstore8(fma((float8)(share), vload8(n, f->a + k * f->a_stride), vload8(n, column)), n, column);
            }
        }
    }
    for (uint j = 0; j < f->rank && round; j++) {
        __global float *column = f->a + j * f->a_stride;
        const float unit = gear_fit_unit(p.gram[9u * j], p.own[j], first[j]);
        float8 largest = 0.0f;
#pragma unroll 1
        for (uint n = 0; n < f->rows / 8u; n++) {
            const float8 value = vload8(n, column) * unit;
            vstore8(value, n, column);
            largest = fmax(largest, fabs(value));
        }
        gear_fit_largest(f, f->part)[j] = gear_max8(largest);
    }
}

GEAR__INLINE void gear_fit_store_a(const gear_fit *f)
{
    __global ushort *scales = gear_fit_scales(f);
    for (uint j = 0; j < f->rank; j++) {
        float largest = 0.0f;
#pragma unroll 1
        for (uint part = 0; part < f->parts; part++) {
            largest = fmax(largest, gear_fit_largest(f, part)[j]);
        }
        const uint scale = f->bits < 16u ? gear_factor_scale(largest, f->bits) : 0u;
        if (f->bits < 16u && f->part == 0u) {
            scales[j] = (ushort)scale;
        }
#pragma unroll 1
        for (uint block = 0; block < f->rows / 64u; block++) {
            __global const float *from = f->a + j * f->a_stride + block * 64u;
            __global uchar *column = gear_fit_column_a(f, f->part * (GEAR__FIT_ROWS / 64u) + block, j);
#pragma unroll 1
            for (uint i = 0; i < 32u; i++) {
                gear_factor_put(column, i, f->bits, scale, from[2u * i], from[2u * i + 1u]);
            }
        }
    }
}

GEAR__INLINE void gear_fit_store_b(const gear_fit *f)
{
    __global ushort *scales = gear_fit_scales(f) + f->rank;
    float8 sums[GEAR__MAX_RANK * FIT_VECTORS];
    __global float *b = gear_fit_b(f);
    gear_fit_add_parts(f, 0u, sums);
    for (uint j = 0; j < f->rank; j++) {
        __global uchar *column = gear_fit_column_b(f, j);
        float8 largest = 0.0f;
#pragma unroll 4
        for (uint c = 0; c < FIT_VECTORS; c++) {
            vstore8(sums[j * FIT_VECTORS + c], j * FIT_VECTORS + c, b);
            largest = fmax(largest, fabs(sums[j * FIT_VECTORS + c]));
        }
        const uint scale = f->bits < 16u ? gear_factor_scale(gear_max8(largest), f->bits) : 0u;
        if (f->bits < 16u) {
            scales[j] = (ushort)scale;
        }
#pragma unroll 1
        for (uint i = 0; i < HEAD_DIM / 2u; i++) {
            gear_factor_put(column, i, f->bits, scale, b[j * HEAD_DIM + 2u * i], b[j * HEAD_DIM + 2u * i + 1u]);
        }
    }
}

/* Not inlined: PoCL puts three copies of a kernel into its program, and this way the work is compiled once. */
static __attribute__((noinline)) void gear_lowrank_cpu(__global const uint *shape, uint is_v, __global uchar *pool,
                                                       __global const uint *table, __global const uint *job, uint num_rows,
                                                       __global const float *r, __global float *scratch, uint step, uint end,
                                                       uint part, uint head)
{
    const gear_fit f = gear_fit_of(shape, is_v, pool, table, job, num_rows, r, scratch, part, head);
    float8 basis[GEAR__MAX_RANK * FIT_VECTORS], sums[GEAR__MAX_RANK * FIT_VECTORS];
    if (part >= f.parts) {
        return;
    }
#pragma unroll 1
    for (; step < min(end, f.passes + 2u); step++) {
        const uint is_pass = step < f.passes, gives_sums = step + 1u < f.passes || step == f.passes + 1u;
#pragma unroll 1
        for (uint i = 0; i < GEAR__MAX_RANK * FIT_VECTORS; i++) {
            sums[i] = 0.0f;
        }
        if (is_pass) {
            gear_fit_form_basis(&f, step, basis);
        } else {
            gear_fit_improve(&f, step - f.passes);
        }
        if (step != f.passes) {
            gear_fit_run_tiles(&f, is_pass ? basis : 0, gives_sums ? sums : 0, step + 1u == f.passes);
        }
        if (gives_sums) {
            __global float *to = gear_fit_sums(&f, part, is_pass ? step : 0u);
#pragma unroll 1
            for (uint i = 0; i < f.rank * FIT_VECTORS; i++) {
                vstore8(sums[i], i, to);
            }
        } else {
            gear_fit_a_gram(&f, gear_fit_gram(&f, part, step + 1u - f.passes));
        }
    }
    if (end == f.passes + GEAR__FIT_STEPS) {
        gear_fit_store_a(&f);
        if (part == 0u) {
            gear_fit_store_b(&f);
        }
    }
}

/* Steps step .. end - 1 of all parts; several only where a fit is one part. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_4_lowrank_cpu(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    uint num_rows, __global const float *r, __global float *scratch, uint step, uint end)
{
    gear_lowrank_cpu(shape, is_v, pool, table, jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS, num_rows, r, scratch, step, end,
                     (uint)get_group_id(0), (uint)get_group_id(1));
}
