/* append_4_lowrank_cpu: append_4_lowrank for CPU devices: the same kernels with one work-item each, vectors of 8 floats spelled
 * out. Reference: src/ref/append_4_lowrank.c. */
#include "lowrank_vectors.clh"

/* What a part leaves. */
GEAR__INLINE void gear_fit_leave(const gear_fit *f, const float8 *sums, const float4 *gram)
{
    __global float *part = gear_fit_part(f, f->part);
    gear_fit_put_columns(sums, part);
#pragma unroll 1
    for (uint i = 0; i < 16u; i++) {
        vstore4(gram[i], i, part + GEAR__MAX_RANK * HEAD_DIM);
    }
}

/* Makes the basis B the columns C whose products with R are orthogonal, by B^T R^T R B; leaves the squares of the columns of R
 * B. */
GEAR__INLINE void gear_fit_finish_basis(const gear_fit *f, gear_fit_pivots *p, uint by_largest, float8 *basis)
{
    for (uint j = 0; j < f->rank; j++) {
        gear_fit_squares(f)[j] = p->at[9u * j];
    }
    gear_fit_eliminate(p, f->rank, by_largest);
    gear_fit_solve_basis(p, f->rank, 0u, basis);
}

/* A and B, unrounded; the largest of each of their columns. */
GEAR__INLINE void gear_fit_form(const gear_fit *f, float *largest_a, float *largest_b)
{
    gear_fit_pivots p;
    float8 columns[FIT_COLUMNS];
#pragma unroll 1
    for (uint i = 0; i < FIT_COLUMNS; i++) {
        columns[i] = 0.0f;
    }
#pragma unroll 1
    for (uint i = 0; i < 64u; i++) {
        p.at[i] = 0.0f;
    }
#pragma unroll 1
    for (uint part = 0; part < f->parts; part++) {
        __global const float *from = gear_fit_part(f, part);
#pragma unroll 1
        for (uint i = 0; i < f->rank * FIT_VECTORS; i++) {
            columns[i] += vload8(i, from);
        }
#pragma unroll 1
        for (uint i = 0; i < 64u; i++) {
            p.at[i] += from[GEAR__MAX_RANK * HEAD_DIM + i];
        }
    }
    gear_fit_eliminate(&p, f->rank, 0u);
    for (uint j = 0; j < f->rank; j++) {
        p.unit[j] = gear_fit_unit(p.at[9u * j], p.own[j], gear_fit_squares(f)[j]);
    }
    gear_fit_solve_basis(&p, f->rank, 1u, columns);
    gear_fit_put_columns(columns, gear_fit_b(f));
#pragma unroll 1
    for (uint j = f->rank; j-- > 0u;) { /* a column's share of earlier ones needs those as they were */
        __global float *a = f->a + j * f->a_stride;
        float8 most = 0.0f;
        float t[8]; /* the column as a combination of those before it, unsolved */
#pragma unroll 1
        for (uint k = 0; k <= j; k++) {
            t[k] = k == j ? 1.0f : 0.0f;
        }
#pragma unroll 1
        for (uint k = j; k-- > 0u;) {
            float sum = 0.0f;
#pragma unroll 1
            for (uint i = k + 1u; i <= j; i++) {
                sum = fma(-p.at[8u * k + i], t[i], sum);
            }
            t[k] = sum;
        }
#pragma unroll 1
        for (uint n = 0; n < f->all_rows / 8u; n++) {
            float8 value = vload8(n, a);
#pragma unroll 1
            for (uint k = 0; k < j; k++) {
                value = fma((float8)(t[k]), vload8(n, f->a + k * f->a_stride), value);
            }
            value *= p.unit[j];
            vstore8(value, n, a);
            most = fmax(most, fabs(value));
        }
        largest_a[j] = gear_max8(most);
        most = 0.0f;
#pragma unroll 4
        for (uint c = 0; c < FIT_VECTORS; c++) {
            most = fmax(most, fabs(columns[j * FIT_VECTORS + c]));
        }
        largest_b[j] = gear_max8(most);
    }
}

GEAR__INLINE void gear_fit_store(const gear_fit *f)
{
    float largest_a[8], largest_b[8];
    gear_fit_form(f, largest_a, largest_b);
    for (uint j = 0; j < f->rank; j++) {
        const uint scale_a = gear_factor_scale(largest_a[j], f->bits), scale_b = gear_factor_scale(largest_b[j], f->bits);
        __global const float *a = f->a + j * f->a_stride, *b = gear_fit_b(f) + j * HEAD_DIM;
        if (f->bits < 16u) {
            gear_fit_scales(f)[j] = (ushort)scale_a;
            gear_fit_scales(f)[f->rank + j] = (ushort)scale_b;
        }
#pragma unroll 1
        for (uint block = 0; block < f->all_rows / 64u; block++) {
            __global uchar *column = gear_fit_column_a(f, block, j);
#pragma unroll 1
            for (uint i = 0; i < 32u; i++) {
                gear_factor_put(column, i, f->bits, scale_a, a[64u * block + 2u * i], a[64u * block + 2u * i + 1u]);
            }
        }
#pragma unroll 1
        for (uint i = 0; i < HEAD_DIM / 2u; i++) {
            gear_factor_put(gear_fit_column_b(f, j), i, f->bits, scale_b, b[2u * i], b[2u * i + 1u]);
        }
    }
}

#define GRAM_PITCH (HEAD_DIM + 8u) /* rows of a copied tile start in different sets of the first-level cache */

/* Adds 4 rows and 16 columns of R^T R of a tile of rows, from row i and column j. */
GEAR__INLINE void gear_gram_add(const float *tile, uint i, uint j, __global float *to)
{
    float8 s[4][2];
#pragma unroll
    for (uint n = 0; n < 4u; n++) {
        s[n][0] = vload8(0, to + n * 32u);
        s[n][1] = vload8(1, to + n * 32u);
    }
#pragma unroll 2
    for (uint row = 0; row < FIT_TILE; row++) {
        const float8 x0 = vload8(0, tile + row * GRAM_PITCH + j), x1 = vload8(1, tile + row * GRAM_PITCH + j);
#pragma unroll
        for (uint n = 0; n < 4u; n++) {
            const float8 y = tile[row * GRAM_PITCH + i + n];
            s[n][0] = fma(y, x0, s[n][0]);
            s[n][1] = fma(y, x1, s[n][1]);
        }
    }
#pragma unroll
    for (uint n = 0; n < 4u; n++) {
        vstore8(s[n][0], 0, to + n * 32u);
        vstore8(s[n][1], 1, to + n * 32u);
    }
}

/* The work is in functions that are not inlined: PoCL puts three copies of a kernel into its program, and this way it is
 * compiled once. */
static __attribute__((noinline)) void gear_gram_cpu(const gear_fit *f)
{
    const uint rows = gear_gram_rows(f);
    __global const ushort *residual = gear_gram_residual(f);
    __global float *to = gear_gram_part(f, f->part);
#pragma unroll 1
    for (uint i = 0; i < GEAR__GRAM_PART(HEAD_DIM) / 8u; i++) {
        vstore8((float8)(0.0f), i, to);
    }
#pragma unroll 1
    for (uint row = 0; row < rows; row += FIT_TILE) {
        float8 copy[FIT_TILE * GRAM_PITCH / 8u];
#pragma unroll 1
        for (uint i = 0; i < FIT_TILE * FIT_VECTORS; i++) {
            copy[i / FIT_VECTORS * (GRAM_PITCH / 8u) + i % FIT_VECTORS] =
                vload_half8(i, (__global const half *)(residual + row * HEAD_DIM));
        }
#pragma unroll 1
        for (uint tile = 0; tile < GEAR__GRAM_TILES(HEAD_DIM); tile++) {
            const uint2 place = gear_gram_place(tile);
#pragma unroll 1
            for (uint i = place.x; i < min(place.x + 32u, (uint)HEAD_DIM); i += 4u) {
#pragma unroll 1
                for (uint j = place.x == place.y ? i / 16u * 16u : place.y; j < min(place.y + 32u, (uint)HEAD_DIM); j += 16u) {
                    gear_gram_add((const float *)copy, i, j, to + tile * 1024u + (i - place.x) * 32u + (j - place.y));
                }
            }
        }
    }
}

/* G from its parts, whole: of tiles on the diagonal the part above it counts. */
GEAR__INLINE void gear_gram_add_parts(const gear_fit *f)
{
    __global float *to = gear_gram(f);
#pragma unroll 1
    for (uint i = 0; i < GEAR__GRAM_PART(HEAD_DIM); i++) {
        const uint2 place = gear_gram_place(i / 1024u);
        const uint row = place.x + i / 32u % 32u, column = place.y + i % 32u;
        float sum = 0.0f;
        if (column < row || column >= HEAD_DIM) {
            continue;
        }
#pragma unroll 1
        for (uint part = 0; part < gear_gram_parts(f); part++) {
            sum += gear_gram_part(f, part)[i];
        }
        to[row * HEAD_DIM + column] = sum;
        to[column * HEAD_DIM + row] = sum;
    }
}

/* G B. */
GEAR__INLINE void gear_gram_multiply(const gear_fit *f, const float8 *basis, float8 *sums)
{
    const float *b = (const float *)basis;
#pragma unroll 1
    for (uint j = 0; j < f->rank; j += 2u) {
#pragma unroll 1
        for (uint c = 0; c < FIT_VECTORS; c += 2u) {
            float8 s00 = 0.0f, s01 = 0.0f, s10 = 0.0f, s11 = 0.0f;
#pragma unroll 4
            for (uint i = 0; i < HEAD_DIM; i++) {
                __global const float *g = gear_gram(f) + i * HEAD_DIM;
                const float8 g0 = vload8(c, g), g1 = vload8(c + 1u, g);
                const float8 b0 = b[j * HEAD_DIM + i], b1 = b[(j + 1u) * HEAD_DIM + i];
                s00 = fma(g0, b0, s00), s01 = fma(g1, b0, s01);
                s10 = fma(g0, b1, s10), s11 = fma(g1, b1, s11);
            }
            sums[j * FIT_VECTORS + c] = s00, sums[j * FIT_VECTORS + c + 1u] = s01;
            sums[(j + 1u) * FIT_VECTORS + c] = s10, sums[(j + 1u) * FIT_VECTORS + c + 1u] = s11;
        }
    }
}

static __attribute__((noinline)) void gear_iterate_cpu(const gear_fit *f)
{
    float8 basis[FIT_COLUMNS], sums[FIT_COLUMNS];
    gear_fit_pivots p;
    gear_gram_add_parts(f);
    gear_fit_start_basis(f, sums);
#pragma unroll 1
    for (uint pass = 0; pass < f->passes; pass++) {
#pragma unroll 1
        for (uint i = 0; i < FIT_COLUMNS; i++) {
            basis[i] = sums[i];
        }
        gear_fit_orthonormalise(f->rank, basis);
        gear_gram_multiply(f, basis, sums);
    }
    gear_fit_form_gram(basis, sums, f->rank, &p);
    gear_fit_finish_basis(f, &p, 1u, basis);
    gear_fit_put_columns(basis, f->slots);
}

/* Y = R C of the part, with C from scratch. */
static __attribute__((noinline)) void gear_project_cpu(const gear_fit *f)
{
    float8 basis[FIT_COLUMNS], sums[FIT_COLUMNS];
    float4 gram[16];
    gear_fit_get_columns(f->slots, basis);
    gear_fit_run(f, basis, 1u, sums, gram);
    gear_fit_leave(f, sums, gram);
}

static __attribute__((noinline)) void gear_store_cpu(const gear_fit *f)
{
    gear_fit_store(f);
}

/* The passes of a fit of one part, up to C. */
static __attribute__((noinline)) void gear_passes_cpu(const gear_fit *f)
{
    float8 basis[FIT_COLUMNS], sums[FIT_COLUMNS];
    float4 gram[16];
    gear_fit_pivots p;
    gear_fit_start_basis(f, sums);
#pragma unroll 1
    for (uint pass = 0; pass < f->passes; pass++) {
#pragma unroll 1
        for (uint i = 0; i < FIT_COLUMNS; i++) {
            basis[i] = sums[i];
        }
        gear_fit_orthonormalise(f->rank, basis);
        gear_fit_run(f, basis, 0u, sums, gram);
    }
#pragma unroll 1
    for (uint i = 0; i < 64u; i++) {
        p.at[i] = ((const float *)gram)[i];
    }
    gear_fit_finish_basis(f, &p, 0u, basis);
    gear_fit_put_columns(basis, f->slots);
}

GEAR__INLINE void gear_whole_cpu(const gear_fit *f)
{
    gear_passes_cpu(f);
    gear_project_cpu(f);
    gear_store_cpu(f);
}

/* gear_STEP_cpu for each of `num_parts` parts of the fits that have several, or one. */
#define FIT_KERNEL(step, num_parts, has_several)                                                                               \
  __kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_4_lowrank_##step##_cpu(FIT_ARGUMENTS)             \
  {                                                                                                                            \
    const gear_fit f = FIT_OF_GROUP((uint)get_group_id(0));                                                                    \
    if (f.parts && (f.parts > 1u) == (has_several) && f.part < (num_parts)) {                                                  \
      gear_##step##_cpu(&f);                                                                                                   \
    }                                                                                                                          \
  }

FIT_KERNEL(gram, gear_gram_parts(&f), 1)
FIT_KERNEL(iterate, 1u, 1)
FIT_KERNEL(project, f.parts, 1)
FIT_KERNEL(store, 1u, 1)
FIT_KERNEL(whole, 1u, 0)
