/* append_4_lowrank: L = A B^T, the rank-r fit of the residual of one KV head over one segment, by block power iteration (paper,
 * Algorithm 2) with orthonormalisation in every pass; stores A in the blocks and B in the segment record. The steps and what
 * they leave for each other: lowrank.clh. Convention: docs/design.md, rule 8. Reference: src/ref/append_4_lowrank.c.
 * One work-group of 256 for each (part, KV head, job). r is [head][row][head_dim]; scratch holds A as [head][column 0..7][row],
 * then the slots as [block of 64 rows][head]. Columns go by fours, as the components of a float4. Loops around a barrier test
 * at their end (reduce.clh). */
#include "lowrank.clh"
#include "reduce.clh"

#define FIT_ITEMS 256u /* work-items; rows of a part */
#define FIT_QUADS (GEAR__MAX_RANK / 4u)
#define FIT_LANES 8u  /* that share a row of R */
#define FIT_BATCH 64u /* rows whose partial products are summed at once, two by each 8 work-items */
#define FIT_AHEAD 8u  /* values of R read before the first is used */
#define FIT_PITCH 9u  /* float4s of a row of them, one more than lanes so that rows start in different banks */

/* Local memory: 8 columns of up to 256 values, [quad][256], of B and of Y or A; room for partial sums; a Gram matrix, its
 * diagonal and the inverse pivots of its elimination. */
typedef struct gear_fit_desk {
    __local float4 *basis, *rows, *room;
    __local float *gram, *inverse, *own;
} gear_fit_desk;

#define FIT_SYNC() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)

/* Value i of column j. */
#define FIT_COLUMN(columns, j, i) (((__local float *)(columns))[((j) >> 2) * 4u * FIT_ITEMS + 4u * (i) + ((j)&3u)])

/* The Gram matrix of `length` values of each column; zeros for length 0. */
GEAR__INLINE void gear_fit_form_gram(const gear_fit_desk *d, __local const float4 *columns, uint length, uint lid)
{
    __local float *room = (__local float *)d->room;
    const uint i = lid >> 3 & 7u, j = lid & 7u;
    float sum = 0.0f;
    for (uint n = lid >> 6; n < length; n += 4u) {
        sum = fma(FIT_COLUMN(columns, i, n), FIT_COLUMN(columns, j, n), sum);
    }
    room[lid] = sum;
    FIT_SYNC();
    if (lid < 64u) {
        d->gram[lid] = (room[lid] + room[lid + 64u]) + (room[lid + 128u] + room[lid + 192u]);
    }
    FIT_SYNC();
}

/* Eliminates the Gram matrix: row k then holds, right of its pivot, what column k and later columns have in common. */
GEAR__INLINE void gear_fit_eliminate(const gear_fit_desk *d, uint rank, uint lid)
{
    const uint i = lid >> 3, j = lid & 7u;
    if (lid < 8u) {
        d->own[lid] = d->gram[9u * lid];
    }
    FIT_SYNC();
    uint k = 0;
    do {
        const float inverse = gear_fit_inverse(d->gram[9u * k], d->own[k]);
        if (lid == 0u) {
            d->inverse[k] = inverse;
        }
        if (lid < 64u && i > k && j > k) {
            d->gram[lid] = fma(-d->gram[8u * k + i] * inverse, d->gram[8u * k + j], d->gram[lid]);
        }
        FIT_SYNC();
    } while (++k < rank);
}

/* Makes row `i` of the columns that of orthogonal ones. In local memory, not in private: columns are few or many. */
GEAR__INLINE void gear_fit_orthogonalise(const gear_fit_desk *d, __local float4 *columns, uint rank, uint i)
{
    for (uint j = 1; j < rank; j++) {
        float value = FIT_COLUMN(columns, j, i);
        for (uint k = 0; k < j; k++) {
            value = fma(-d->gram[8u * k + j] * d->inverse[k], FIT_COLUMN(columns, k, i), value);
        }
        FIT_COLUMN(columns, j, i) = value;
    }
}

/* B: the start basis or the sum of what the parts left, orthonormal but for rounding. */
GEAR__INLINE void gear_fit_form_basis(const gear_fit *f, const gear_fit_desk *d, uint step, uint lid)
{
    uint quad = 0;
    do {
        float4 sum = 0.0f;
        if (step == 0u) {
            const float4 start = (float4)(gear_fit_start(lid, 4u * quad), gear_fit_start(lid, 4u * quad + 1u),
                                          gear_fit_start(lid, 4u * quad + 2u), gear_fit_start(lid, 4u * quad + 3u));
            sum = select((float4)(0.0f), start, (int4)(0, 1, 2, 3) + (int)(4u * quad) < (int4)((int)f->usable));
        } else if (lid < HEAD_DIM && 4u * quad < f->rank) {
            for (uint part = 0; part < f->parts; part++) {
                sum += vload4(quad * HEAD_DIM + lid, gear_fit_sums(f, part, step - 1u));
            }
        }
        d->basis[quad * FIT_ITEMS + lid] = sum;
    } while (++quad < FIT_QUADS);
    FIT_SYNC();
    uint round = 0;
    do {
        gear_fit_form_gram(d, d->basis, HEAD_DIM, lid);
        gear_fit_eliminate(d, f->rank, lid);
        gear_fit_orthogonalise(d, d->basis, f->rank, lid);
        for (uint j = 0; j < f->rank && round; j++) {
            FIT_COLUMN(d->basis, j, lid) *= d->inverse[j] > 0.0f ? rsqrt(d->gram[9u * j]) : 0.0f;
        }
        FIT_SYNC();
    } while (++round < 2u);
}

/* Y = R B for the rows of the part. */
GEAR__INLINE void gear_fit_multiply(const gear_fit *f, const gear_fit_desk *d, uint lid)
{
    __local const float *room = (__local const float *)d->room;
    const uint lane = lid % FIT_LANES, slot = lid / FIT_LANES, sum_row = lid >> 2, component = lid & 3u;
    uint quad = 0;
    do {
        __local const float4 *b = d->basis + quad * FIT_ITEMS + lane;
        uint batch = 0;
        do {
            __global const float *row0 = f->residual + (batch + slot) * HEAD_DIM + lane,
                                 *row1 = row0 + FIT_BATCH / 2u * HEAD_DIM;
            float4 sum0 = 0.0f, sum1 = 0.0f;
#pragma unroll 8
            for (uint i = 0; i < HEAD_DIM; i += FIT_LANES) {
                sum0 = fma((float4)(row0[i]), b[i], sum0);
                sum1 = fma((float4)(row1[i]), b[i], sum1);
            }
            d->room[slot * FIT_PITCH + lane] = sum0;
            d->room[(slot + FIT_BATCH / 2u) * FIT_PITCH + lane] = sum1;
            FIT_SYNC();
            float sum = 0.0f;
#pragma unroll
            for (uint i = 0; i < FIT_LANES; i++) {
                sum += room[4u * (sum_row * FIT_PITCH + i) + component];
            }
            FIT_COLUMN(d->rows, 4u * quad + component, batch + sum_row) = sum;
            FIT_SYNC();
            batch += FIT_BATCH;
        } while (batch < f->rows);
    } while (4u * ++quad < f->rank);
}

/* R^T Y over `rows` rows of the part, to `sums`. */
GEAR__INLINE void gear_fit_multiply_transposed(const gear_fit *f, const gear_fit_desk *d, uint rows, __global float *sums,
                                               uint lid)
{
    const uint slices = FIT_ITEMS / HEAD_DIM, channel = lid % HEAD_DIM, slice = lid / HEAD_DIM;
    uint quad = 0;
    do {
        float4 sum = 0.0f;
        for (uint first = slice < slices ? slice : rows; first < rows; first += FIT_AHEAD * slices) {
            float values[FIT_AHEAD];
#pragma unroll
            for (uint i = 0; i < FIT_AHEAD; i++) {
                values[i] = f->residual[min(first + i * slices, rows - 1u) * HEAD_DIM + channel];
            }
#pragma unroll
            for (uint i = 0; i < FIT_AHEAD; i++) {
                if (first + i * slices < rows) {
                    sum = fma((float4)(values[i]), d->rows[quad * FIT_ITEMS + first + i * slices], sum);
                }
            }
        }
        d->room[lid] = sum;
        FIT_SYNC();
        if (lid < HEAD_DIM) {
            for (uint i = 1; i < slices; i++) {
                sum += d->room[i * HEAD_DIM + lid];
            }
            vstore4(sum, quad * HEAD_DIM + lid, sums);
        }
        FIT_SYNC();
    } while (4u * ++quad < f->rank);
}

/* A orthogonal (round 0) or orthonormal (round 1), by the Gram matrices that the parts left. */
GEAR__INLINE void gear_fit_improve(const gear_fit *f, const gear_fit_desk *d, uint round, uint lid)
{
    if (lid < 64u) {
        float sum = 0.0f;
        for (uint part = 0; part < f->parts; part++) {
            sum += gear_fit_gram(f, part, round)[lid];
        }
        d->gram[lid] = sum;
    } else if (lid < 72u) {
        float first = 0.0f; /* the square of a column before round 0 */
        for (uint part = 0; part < f->parts; part++) {
            first += gear_fit_gram(f, part, 0u)[9u * (lid - 64u)];
        }
        ((__local float *)d->room)[lid - 64u] = first;
    }
    FIT_SYNC();
    gear_fit_eliminate(d, f->rank, lid);
    for (uint j = 0; j < f->rank; j++) {
        FIT_COLUMN(d->rows, j, lid) = lid < f->rows ? f->a[j * f->a_stride + lid] : 0.0f;
    }
    gear_fit_orthogonalise(d, d->rows, f->rank, lid);
    for (uint j = 0; j < f->rank && lid < f->rows; j++) {
        const float unit = gear_fit_unit(d->gram[9u * j], d->own[j], ((__local const float *)d->room)[j]);
        const float value = FIT_COLUMN(d->rows, j, lid) * (round ? unit : 1.0f);
        FIT_COLUMN(d->rows, j, lid) = value;
        f->a[j * f->a_stride + lid] = value;
    }
    FIT_SYNC();
}

/* The largest magnitude among `length` values of each column, in room[8 * 32 ..]. */
GEAR__INLINE void gear_fit_find_largest(const gear_fit_desk *d, __local const float4 *columns, uint length, uint lid)
{
    __local float *room = (__local float *)d->room;
    const uint j = lid & 7u;
    float largest = 0.0f;
    for (uint n = lid >> 3; n < length; n += FIT_ITEMS / 8u) {
        largest = fmax(largest, fabs(FIT_COLUMN(columns, j, n)));
    }
    room[lid] = largest;
    FIT_SYNC();
    if (lid < 8u) {
        for (uint i = 1; i < FIT_ITEMS / 8u; i++) {
            largest = fmax(largest, room[8u * i + lid]);
        }
        room[FIT_ITEMS + lid] = largest;
    }
    FIT_SYNC();
}

/* Leaves the Gram matrix of `rows` rows of A. */
GEAR__INLINE void gear_fit_leave_gram(const gear_fit *f, const gear_fit_desk *d, uint rows, uint round, uint lid)
{
    gear_fit_form_gram(d, d->rows, rows, lid);
    if (lid < 64u && rows) {
        gear_fit_gram(f, f->part, round)[lid] = d->gram[lid];
    }
    FIT_SYNC();
}

GEAR__INLINE void gear_fit_keep_a(const gear_fit *f, const gear_fit_desk *d, uint lid)
{
    for (uint j = 0; j < f->rank && lid < f->rows; j++) {
        f->a[j * f->a_stride + lid] = FIT_COLUMN(d->rows, j, lid);
    }
}

GEAR__INLINE void gear_fit_leave_largest(const gear_fit *f, const gear_fit_desk *d, uint lid)
{
    gear_fit_find_largest(d, d->rows, f->rows, lid);
    if (lid < 8u) {
        gear_fit_largest(f, f->part)[lid] = ((__local const float *)d->room)[FIT_ITEMS + lid];
    }
    FIT_SYNC();
}

/* The part's rows of A, and B by part 0. */
GEAR__INLINE void gear_fit_store(const gear_fit *f, const gear_fit_desk *d, uint lid)
{
    const uint rows = f->rows, stores_b = f->part == 0u;
    __global ushort *scales = gear_fit_scales(f);
    __global float *b = gear_fit_sums(f, 0u, 1u);
    if (lid < 8u) {
        float largest = 0.0f;
        for (uint i = 0; i < f->parts; i++) {
            largest = fmax(largest, gear_fit_largest(f, i)[lid]);
        }
        d->own[lid] = largest;
    }
    uint quad = 0;
    do {
        float4 sum = 0.0f;
        for (uint i = 0; i < f->parts && stores_b && lid < HEAD_DIM; i++) {
            sum += vload4(quad * HEAD_DIM + lid, gear_fit_sums(f, i, 0u));
        }
        d->basis[quad * FIT_ITEMS + lid] = sum;
        for (uint j = 4u * quad; j < 4u * quad + 4u && stores_b && lid < HEAD_DIM; j++) {
            b[j * HEAD_DIM + lid] = FIT_COLUMN(d->basis, j, lid);
        }
    } while (4u * ++quad < f->rank);
    FIT_SYNC();
    gear_fit_find_largest(d, d->basis, HEAD_DIM, lid);
    for (uint i = lid; i < f->rank * rows / 2u; i += FIT_ITEMS) {
        const uint j = i / (rows / 2u), n = 2u * (i % (rows / 2u)), block = (f->part * GEAR__FIT_ROWS + n) / 64u;
        __global const float *at = f->a + j * f->a_stride + n;
        gear_factor_put(gear_fit_column_a(f, block, j), n % 64u / 2u, f->bits, gear_factor_scale(d->own[j], f->bits), at[0],
                        at[1]);
    }
    for (uint i = lid; i < stores_b * f->rank * (HEAD_DIM / 2u); i += FIT_ITEMS) {
        const uint j = i / (HEAD_DIM / 2u), n = 2u * (i % (HEAD_DIM / 2u));
        const uint scale = gear_factor_scale(((__local const float *)d->room)[FIT_ITEMS + j], f->bits);
        gear_factor_put(gear_fit_column_b(f, j), n / 2u, f->bits, scale, FIT_COLUMN(d->basis, j, n),
                        FIT_COLUMN(d->basis, j, n + 1u));
        if (n == 0u && f->bits < 16u) {
            scales[j] = (ushort)gear_factor_scale(d->own[j], f->bits);
            scales[f->rank + j] = (ushort)scale;
        }
    }
}

/* Local memory and places of a work-group; parts beyond those of the fit return. */
#define FIT_ARGUMENTS                                                                                                          \
  __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,          \
      uint num_rows, __global const float *r, __global float *scratch
#define FIT_BEGIN()                                                                                                            \
  __local float4 basis[FIT_QUADS * FIT_ITEMS], rows[FIT_QUADS * FIT_ITEMS], room[FIT_BATCH * FIT_PITCH];                       \
  __local float gram[64], inverse[8], own[8];                                                                                  \
  const uint lid = (uint)get_local_id(0), part = (uint)get_group_id(0), head = (uint)get_group_id(1);                          \
  const gear_fit_desk d = {basis, rows, room, gram, inverse, own};                                                             \
  const gear_fit f =                                                                                                           \
      gear_fit_of(shape, is_v, pool, table, jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS, num_rows, r, scratch, part, head); \
  if (part >= f.parts) {                                                                                                       \
    return;                                                                                                                    \
  }

/* All steps of a fit that is one part. Barriers are not conditional: PoCL 3.1 leads some work-items astray then. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void gear_k_append_4_lowrank_whole(FIT_ARGUMENTS)
{
    FIT_BEGIN()
    uint step = 0;
    do {
        gear_fit_form_basis(&f, &d, step, lid);
        gear_fit_multiply(&f, &d, lid);
        gear_fit_multiply_transposed(&f, &d, step + 1u < f.passes ? f.rows : 0u, gear_fit_sums(&f, 0u, step), lid);
    } while (++step < f.passes);
    gear_fit_keep_a(&f, &d, lid);
    uint round = 0;
    do {
        gear_fit_leave_gram(&f, &d, f.rows, round, lid);
        gear_fit_improve(&f, &d, round, lid);
    } while (++round < 2u);
    gear_fit_multiply_transposed(&f, &d, f.rows, gear_fit_sums(&f, 0u, 0u), lid);
    gear_fit_leave_largest(&f, &d, lid);
    gear_fit_store(&f, &d, lid);
}

/* Steps 0 .. p - 1, of which the last leaves a Gram matrix and the others R^T Y. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void gear_k_append_4_lowrank_pass(FIT_ARGUMENTS, uint step)
{
    FIT_BEGIN()
    const uint last = step + 1u == f.passes;
    gear_fit_form_basis(&f, &d, step, lid);
    gear_fit_multiply(&f, &d, lid);
    if (last) {
        gear_fit_keep_a(&f, &d, lid);
    }
    gear_fit_leave_gram(&f, &d, last ? f.rows : 0u, 0u, lid);
    gear_fit_multiply_transposed(&f, &d, last ? 0u : f.rows, gear_fit_sums(&f, part, step), lid);
}

/* Steps p (round 0) and p + 1 (round 1). */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void gear_k_append_4_lowrank_improve(FIT_ARGUMENTS, uint round)
{
    FIT_BEGIN()
    gear_fit_improve(&f, &d, round, lid);
    gear_fit_leave_gram(&f, &d, round ? 0u : f.rows, 1u, lid);
    gear_fit_multiply_transposed(&f, &d, round ? f.rows : 0u, gear_fit_sums(&f, part, 0u), lid);
    gear_fit_leave_largest(&f, &d, lid);
}

/* Step p + 2. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void gear_k_append_4_lowrank_store(FIT_ARGUMENTS)
{
    FIT_BEGIN()
    gear_fit_store(&f, &d, lid);
}
