/* append_4_lowrank_long: L = A B^T, the rank-r fit of the residual of one KV head over one segment, by block power iteration
 * (paper, Algorithm 2) on the matrix G = R^T R: for fits of more than GEAR__FIT_DIRECT_BLOCKS blocks; shorter ones are
 * append_4_lowrank.cl's. The residual is read twice, however many passes there are. Convention: docs/design.md, rule 8.
 * Reference: src/ref/append_4_lowrank.c. r is [head][row][head_dim].
 *     gram      (append_4_lowrank_gram.cl) G of each part of GEAR__GRAM_ROWS rows by itself
 *     iterate   adds the parts; B <- orthonormal G B; then columns C of the same span with C^T G C diagonal, and B = G C T,
 *               T the lengths of the columns of R C, the square roots of that diagonal, inverted
 *     project   A = R C T; leaves the largest of each column in each part of GEAR__FIT_ROWS rows
 *     store     rounds and stores A and B
 * G has half the digits of R: a column that is 1000 times as short as the longest is lost in its rounding, and left out. Stored
 * in halves the longest is rounded by more than that.
 * Work-groups are (part, KV head, job). */
#include "lowrank_gram.clh"

#ifndef ITEMS
#  error "ITEMS is missing"
#endif
#if MOST_ITEMS < 64 || ITEMS < 64
#  error "a work-group has 64 work-items or more"
#endif

/* The fit of a work-group, which returns where there is none or a short one. */
#define LONG_BEGIN(group_part, num_parts)                                                                                      \
  const uint lid = (uint)get_local_id(0), part = (group_part);                                                                 \
  const gear_fit f = FIT_OF_GROUP(part);                                                                                       \
  if (f.parts < 2u || part >= (num_parts)) {                                                                                   \
    return;                                                                                                                    \
  }

/* G, whole, from the tiles of its parts: 4 x 4 values at a time, and again across the diagonal. */
GEAR__INLINE void gear_gram_add_parts(const gear_fit *f, uint lid)
{
    __global float4 *to = (__global float4 *)gear_gram(f);
    const uint parts = gear_gram_parts(f);
    for (uint i = lid; i < 64u * GEAR__GRAM_TILES(HEAD_DIM); i += MOST_ITEMS) {
        const uint2 place = gear_gram_place(i / 64u);
        const uint row = place.x + i / 8u % 8u * 4u, column = place.y + i % 8u * 4u;
        __global const float4 *from =
            (__global const float4 *)gear_gram_part(f, 0u) + i / 64u * 256u + i / 8u % 8u * 32u + i % 8u;
        float4 a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
#pragma unroll 4
        for (uint part = 0; part < parts; part++) {
            __global const float4 *at = from + part * (GEAR__GRAM_PART(HEAD_DIM) / 4u);
            a += at[0];
            b += at[8];
            c += at[16];
            d += at[24];
        }
        if (row < HEAD_DIM && column < HEAD_DIM) {
            __global float4 *upper = to + (row * HEAD_DIM + column) / 4u, *lower = to + (column * HEAD_DIM + row) / 4u;
            upper[0] = a;
            upper[HEAD_DIM / 4u] = b;
            upper[2u * (HEAD_DIM / 4u)] = c;
            upper[3u * (HEAD_DIM / 4u)] = d;
            if (place.x != place.y) {
                lower[0] = (float4)(a.x, b.x, c.x, d.x);
                lower[HEAD_DIM / 4u] = (float4)(a.y, b.y, c.y, d.y);
                lower[2u * (HEAD_DIM / 4u)] = (float4)(a.z, b.z, c.z, d.z);
                lower[3u * (HEAD_DIM / 4u)] = (float4)(a.w, b.w, c.w, d.w);
            }
        }
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
}

GEAR__INLINE void gear_iterate(const gear_fit *f, const gear_gram_desk *d, uint width, uint lid)
{
    gear_gram_own own;
    if (width <= 4u) {
        gear_gram_keep(f, &own, lid);
    }
    gear_gram_iterate(f, d, &own, width, lid);
    for (uint i = lid; i < width * HEAD_DIM; i += MOST_ITEMS) {
        const uint j = i / HEAD_DIM, c = i % HEAD_DIM;
        f->slots[i] = GRAM_AT(d->basis, c, j);
        gear_fit_b(f)[i] = GRAM_AT(d->product, c, j);
    }
}

__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_4_lowrank_iterate(FIT_ARGUMENTS)
{
    GRAM_DESK
    LONG_BEGIN(0u, f.parts)
    gear_gram_add_parts(&f, lid);
    if (f.rank > 4u) {
        gear_iterate(&f, &d, 8u, lid);
    } else {
        gear_iterate(&f, &d, 4u, lid);
    }
}

/* A row of the residual is read by PROJECT_LANES work-items, 8 channels each, PROJECT_ROWS rows side by side and PROJECT_DEPTH
 * below each other. Sums of the lanes of a row lie side by side in local memory, rows in different banks. */
#ifdef __NV_CL_C_VERSION
#  define PROJECT_DEPTH 4u
#else /* where there are fewer registers */
#  define PROJECT_DEPTH 2u
#endif
#define PROJECT_LANES (HEAD_DIM / 8u)
#define PROJECT_ROWS  (ITEMS / PROJECT_LANES)
#define PROJECT_CHUNK (PROJECT_DEPTH * PROJECT_ROWS)
#define PROJECT_PITCH (PROJECT_LANES + 1u)

/* R C of 8 channels. */
GEAR__INLINE float4 gear_project_8(uint4 row, const float4 c[8])
{
    const float4 low = gear_floats_of2(row.xy), high = gear_floats_of2(row.zw);
    float4 sum = low.x * c[0];
    sum = fma((float4)(low.y), c[1], sum);
    sum = fma((float4)(low.z), c[2], sum);
    sum = fma((float4)(low.w), c[3], sum);
    sum = fma((float4)(high.x), c[4], sum);
    sum = fma((float4)(high.y), c[5], sum);
    sum = fma((float4)(high.z), c[6], sum);
    return fma((float4)(high.w), c[7], sum);
}

/* 8 channels of PROJECT_DEPTH rows of the chunk that begins at `row`; the last row again where there are no more. */
GEAR__INLINE void gear_project_read(const gear_fit *f, uint4 x[PROJECT_DEPTH], uint row, uint place, uint lane)
{
#pragma unroll
    for (uint n = 0; n < PROJECT_DEPTH; n++) {
        const uint at = min(row + n * PROJECT_ROWS + place, f->rows - 1u) * PROJECT_LANES + lane;
        x[n] = ((__global const uint4 *)f->residual)[at];
    }
}

/* Columns first .. first + 3 of A of the part; the largest of each to what the part leaves. */
GEAR__INLINE void gear_project(const gear_fit *f, __local float4 *sums, uint first, uint lid)
{
    const uint lane = lid % PROJECT_LANES, place = min(lid / PROJECT_LANES, PROJECT_ROWS - 1u), column = first + lid % 4u;
    __global const float *from = f->slots + first * HEAD_DIM + 8u * lane;
    __global float *a = f->a + column * f->a_stride;
    __global const float *units = gear_fit_units(f) + first;
    const float4 unit = (float4)(units[0], units[1], units[2], units[3]);
    float4 c[8];
    float largest = 0.0f;
#pragma unroll
    for (uint i = 0; i < 8u; i++) {
        c[i] = unit * (float4)(from[i], from[HEAD_DIM + i], from[2 * HEAD_DIM + i], from[3 * HEAD_DIM + i]);
    }
    uint4 x[PROJECT_DEPTH];
    uint row = 0;
    gear_project_read(f, x, 0u, place, lane);
    do {
        float4 parts[PROJECT_DEPTH];
#pragma unroll
        for (uint n = 0; n < PROJECT_DEPTH; n++) {
            parts[n] = gear_project_8(x[n], c);
        }
        gear_project_read(f, x, row + PROJECT_CHUNK, place, lane);
        GRAM_SYNC();
#pragma unroll
        for (uint n = 0; n < PROJECT_DEPTH; n++) {
            sums[(n * PROJECT_ROWS + place) * PROJECT_PITCH + lane] = parts[n];
        }
        GRAM_SYNC();
        for (uint i = lid; i < 4u * PROJECT_CHUNK; i += ITEMS) {
            __local const float *at = (__local const float *)(sums + i / 4u * PROJECT_PITCH) + lid % 4u;
            float y = at[0];
#pragma unroll
            for (uint n = 1; n < PROJECT_LANES; n++) {
                y += at[4u * n];
            }
            if (row + i / 4u < f->rows && column < f->rank) {
                a[row + i / 4u] = y;
                largest = fmax(largest, fabs(y));
            }
        }
        row += PROJECT_CHUNK;
    } while (row < f->rows);
    GRAM_SYNC();
    ((__local float *)sums)[lid] = largest;
    GRAM_SYNC();
    if (lid < 4u) {
        for (uint i = lid + 4u; i < ITEMS; i += 4u) {
            largest = fmax(largest, ((__local float *)sums)[i]);
        }
        gear_fit_part(f, f->part)[column] = largest;
    }
    GRAM_SYNC();
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_4_lowrank_project(FIT_ARGUMENTS)
{
    __local float4 sums[PROJECT_CHUNK * PROJECT_PITCH > ITEMS / 4u ? PROJECT_CHUNK * PROJECT_PITCH : ITEMS / 4u];
    LONG_BEGIN((uint)get_group_id(0), f.parts)
    uint first = 0;
    do {
        gear_project(&f, sums, first, lid);
        first += 4u;
    } while (first < f.rank);
}

/* The largest of all parts: of 8 columns, each by ITEMS / 8 work-items. */
GEAR__INLINE void gear_store_largest(const gear_fit *f, __local float *room, __local float *largest, uint lid)
{
    const uint column = lid % 8u;
    float most = 0.0f;
    for (uint part = lid / 8u; part < f->parts; part += ITEMS / 8u) {
        most = fmax(most, column < f->rank ? gear_fit_part(f, part)[column] : 0.0f);
    }
    room[lid] = most;
    GRAM_SYNC();
    if (lid < 8u) {
        for (uint i = lid + 8u; i < ITEMS; i += 8u) {
            most = fmax(most, room[i]);
        }
        largest[lid] = most;
    }
    GRAM_SYNC();
}

/* A of the part and, by the first one, B. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_4_lowrank_store(FIT_ARGUMENTS)
{
    __local float room[ITEMS], largest[8];
    __local uint of_b[8]; /* floats that are not negative */
    LONG_BEGIN((uint)get_group_id(0), f.parts)
    const uint pairs = f.rows / 2u, halves = HEAD_DIM / 2u;
    if (lid < 8u) {
        of_b[lid] = 0u;
    }
    gear_store_largest(&f, room, largest, lid);
    for (uint n = lid; n < pairs; n += ITEMS) {
        __global uchar *columns = gear_fit_column_a(&f, part * (GEAR__FIT_ROWS / 64u) + n / 32u, 0u);
        float2 a[8];
#pragma unroll
        for (uint j = 0; j < 8u; j++) {
            a[j] = j < f.rank ? ((__global const float2 *)(f.a + j * f.a_stride))[n] : 0.0f;
        }
#pragma unroll
        for (uint j = 0; j < 8u; j++) {
            if (j < f.rank) {
                const uint scale = gear_factor_scale(largest[j], f.bits);
                gear_factor_put(columns + j * 8u * f.bits, n % 32u, f.bits, scale, a[j].x, a[j].y);
                if (n == 0u && part == 0u && f.bits < 16u) {
                    gear_fit_scales(&f)[j] = (ushort)scale;
                }
            }
        }
    }
    for (uint i = lid; i < f.rank * halves && part == 0u; i += ITEMS) {
        const float2 b = fabs(((__global const float2 *)gear_fit_b(&f))[i]);
        (void)atomic_max(of_b + i / halves, as_uint(fmax(b.x, b.y)));
    }
    GRAM_SYNC();
    for (uint i = lid; i < f.rank * halves && part == 0u; i += ITEMS) {
        const uint j = i / halves, pair = i % halves;
        const float2 b = ((__global const float2 *)gear_fit_b(&f))[i];
        const uint scale = gear_factor_scale(as_float(of_b[j]), f.bits);
        gear_factor_put(gear_fit_column_b(&f, j), pair, f.bits, scale, b.x, b.y);
        if (pair == 0u && f.bits < 16u) {
            gear_fit_scales(&f)[f.rank + j] = (ushort)scale;
        }
    }
}
