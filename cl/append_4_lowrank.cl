/* append_4_lowrank: L = A B^T, the rank-r fit of the residual of one KV head over one segment, by block power iteration (paper,
 * Algorithm 2) with orthonormalisation in every pass; stores A in the blocks and B in the segment record. Convention:
 * docs/design.md, rule 8. Reference: src/ref/append_4_lowrank.c. r is [head][row][head_dim].
 *
 * Of a fit of more than GEAR__FIT_DIRECT_BLOCKS blocks the residual is read twice, however many passes there are:
 *     gram      G = R^T R, each part of GEAR__GRAM_ROWS rows by itself
 *     iterate   adds the parts; B <- orthonormal G B; then columns C of the same span with C^T G C diagonal
 *     project   Y = R C, which has nearly orthogonal columns; leaves R^T Y and Y^T Y of each part of GEAR__FIT_ROWS rows
 *     store     A = Y T and B = (R^T Y) T, with T such that A is orthonormal; rounds and stores them
 * A shorter fit is one part: one work-group does all passes on R itself, which then lies in the caches, or of a single block on
 * the Gram matrix of its rows. Work-groups are (part, KV head, job). */
#include "lowrank_group.clh"
#include "reduce.clh"

#define ROW_ITEMS   MOST_ITEMS
#define ROW_COLUMNS GEAR__MAX_RANK
#include "lowrank_rows.clh"

#if MOST_ITEMS < 64 || ITEMS < 64
#  error "a work-group has 64 work-items or more"
#endif

/* The fit of a work-group, which returns where `unless`. Barriers are not conditional: PoCL 3.1 leads some work-items
 * astray. */
#define FIT_BEGIN(group_part, unless)                                                                                          \
  const uint lid = (uint)get_local_id(0), part = (group_part), head = (uint)get_group_id(1);                                   \
  const gear_fit f =                                                                                                           \
      gear_fit_of(shape, is_v, pool, table, jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS, num_rows, r, scratch, part, head); \
  if (!f.rank || (unless)) {                                                                                                   \
    return;                                                                                                                    \
  }
#define FIT_IS_LONG  (f.parts > 1u)
#define FIT_IS_BLOCK (f.all_rows == 64u)
#define FIT_DESK(items, chunk_rows)                                                                                            \
  __local float4 basis[8u * FIT_PITCH], room[FIT_ROOM(items)], chunk[(chunk_rows)*FIT_PITCH + 1u];                             \
  __local float4 y[2u * (chunk_rows) + 1u];                                                                                    \
  __local float gram[64];                                                                                                      \
  __local uint largest[16];                                                                                                    \
  const gear_fit_desk d = {basis, room, gram, chunk, y, largest};

#define GRAM_SHARE GEAR__GRAM_SHARE(HEAD_DIM, MOST_ITEMS) /* tiles of 32 x 32 that a work-item has 4 x 4 values of */
#define GRAM_QUADS (4u * MOST_ITEMS)                      /* most float4s of a chunk of rows */
#define GRAM_CHUNK                                                                                                             \
  (GRAM_QUADS >= 32u * FIT_QUADS ? 32u : GRAM_QUADS >= 16u * FIT_QUADS ? 16u : GRAM_QUADS >= 8u * FIT_QUADS ? 8u : 4u)

GEAR__INLINE void gear_gram_read(__global const float *rows, float4 ahead[4], uint lid)
{
#pragma unroll
    for (uint k = 0; k < 4u; k++) {
        ahead[k] = vload4(min(lid + k * MOST_ITEMS, GRAM_CHUNK * FIT_QUADS - 1u), rows);
    }
}

/* R^T R of a part, tiles on and above the diagonal, in turn by GEAR__GRAM_GROUPS work-groups. */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_4_lowrank_gram(FIT_ARGUMENTS)
{
    __local float4 chunk[GRAM_CHUNK * FIT_QUADS];
    const uint groups = GEAR__GRAM_GROUPS(HEAD_DIM, MOST_ITEMS), group = (uint)get_group_id(0) % groups;
    FIT_BEGIN((uint)get_group_id(0) / groups, !FIT_IS_LONG || part >= gear_gram_parts(&f))
    const uint rows = min(f.all_rows - part * GEAR__GRAM_ROWS, GEAR__GRAM_ROWS);
    __global const float *residual = f.residual + part * (GEAR__GRAM_ROWS - GEAR__FIT_ROWS) * HEAD_DIM;
    const uint tile = (group * (MOST_ITEMS / 64u) + lid / 64u) * GRAM_SHARE, down = lid / 8u % 8u, across = lid % 8u;
    float4 ahead[4], sums[4u * GRAM_SHARE];
    uint at[GRAM_SHARE], by[GRAM_SHARE]; /* float4s of a row */
#pragma unroll
    for (uint k = 0; k < GRAM_SHARE; k++) {
        const uint2 place = gear_gram_place(min(tile + k, GEAR__GRAM_TILES(HEAD_DIM) - 1u)) / 4u;
        at[k] = min(place.x + down, FIT_QUADS - 1u);
        by[k] = min(place.y + across, FIT_QUADS - 1u);
        sums[4u * k] = sums[4u * k + 1u] = sums[4u * k + 2u] = sums[4u * k + 3u] = 0.0f;
    }
    gear_gram_read(residual, ahead, lid);
    uint row = 0;
    do {
        FIT_SYNC();
#pragma unroll
        for (uint k = 0; k < 4u; k++) {
            if (lid + k * MOST_ITEMS < GRAM_CHUNK * FIT_QUADS) {
                chunk[lid + k * MOST_ITEMS] = ahead[k];
            }
        }
        FIT_SYNC();
        row += GRAM_CHUNK;
        gear_gram_read(residual + min(row, rows - GRAM_CHUNK) * HEAD_DIM, ahead, lid);
#pragma unroll 1
        for (uint n = 0; n < GRAM_CHUNK * FIT_QUADS; n += FIT_QUADS) {
#pragma unroll
            for (uint k = 0; k < GRAM_SHARE; k++) {
                const float4 a = chunk[n + at[k]], b = chunk[n + by[k]];
                sums[4u * k] = fma((float4)(a.x), b, sums[4u * k]);
                sums[4u * k + 1u] = fma((float4)(a.y), b, sums[4u * k + 1u]);
                sums[4u * k + 2u] = fma((float4)(a.z), b, sums[4u * k + 2u]);
                sums[4u * k + 3u] = fma((float4)(a.w), b, sums[4u * k + 3u]);
            }
        }
    } while (row < rows);
#pragma unroll
    for (uint k = 0; k < GRAM_SHARE; k++) {
        __global float *to = gear_gram_part(&f, part) + (tile + k) * 1024u + down * 128u;
#pragma unroll
        for (uint i = 0; i < 4u; i++) {
            if (tile + k < GEAR__GRAM_TILES(HEAD_DIM)) {
                vstore4(sums[4u * k + i], 8u * i + across, to);
            }
        }
    }
}

/* G, from its parts. */
GEAR__INLINE void gear_gram_add_parts(const gear_fit *f, uint lid)
{
    __global float *to = gear_gram(f);
    for (uint i = lid; i < 256u * GEAR__GRAM_TILES(HEAD_DIM); i += MOST_ITEMS) {
        const uint2 place = gear_gram_place(i / 256u);
        const uint row = place.x + i / 8u % 32u, column = place.y + i % 8u * 4u;
        float4 sum = 0.0f;
        for (uint part = 0; part < gear_gram_parts(f); part++) {
            sum += vload4(i, gear_gram_part(f, part));
        }
        if (row < HEAD_DIM && column < HEAD_DIM) {
            vstore4(sum, 0, to + row * HEAD_DIM + column);
            if (place.x != place.y) {
                to[column * HEAD_DIM + row] = sum.x;
                to[(column + 1u) * HEAD_DIM + row] = sum.y;
                to[(column + 2u) * HEAD_DIM + row] = sum.z;
                to[(column + 3u) * HEAD_DIM + row] = sum.w;
            }
        }
    }
    FIT_SYNC();
}

/* Sums G b for 4 channels and 4 columns. */
GEAR__INLINE float4 gear_gram_step(float4 sum, float4 g, __local const float4 *b)
{
    const float4 b0 = b[0], b1 = b[FIT_PITCH], b2 = b[2 * FIT_PITCH], b3 = b[3 * FIT_PITCH];
    sum = fma((float4)(g.x), (float4)(b0.x, b1.x, b2.x, b3.x), sum);
    sum = fma((float4)(g.y), (float4)(b0.y, b1.y, b2.y, b3.y), sum);
    sum = fma((float4)(g.z), (float4)(b0.z, b1.z, b2.z, b3.z), sum);
    return fma((float4)(g.w), (float4)(b0.w, b1.w, b2.w, b3.w), sum);
}

/* Sums G B. */
GEAR__INLINE void gear_gram_multiply(const gear_fit *f, const gear_fit_desk *d, gear_fit_sums *s, uint lid)
{
    gear_fit_clear(s);
#pragma unroll 2
    for (uint n = 0; n < FIT_QUADS; n += FIT_SLICES(MOST_ITEMS)) {
        const uint q = n + FIT_SLICE(MOST_ITEMS, lid);
        if (q >= FIT_QUADS) {
            continue;
        }
#pragma unroll
        for (uint k = 0; k < FIT_CHANNELS(MOST_ITEMS); k++) {
            __global const float *at =
                gear_gram(f) + 4u * q * HEAD_DIM + min(gear_fit_channel(k, MOST_ITEMS, lid), HEAD_DIM - 1u);
            const float4 g = (float4)(at[0], at[HEAD_DIM], at[2 * HEAD_DIM], at[3 * HEAD_DIM]);
            s->low[k] = gear_gram_step(s->low[k], g, d->basis + q);
            if (f->rank > 4u) {
                s->high[k] = gear_gram_step(s->high[k], g, d->basis + q + 4u * FIT_PITCH);
            }
        }
    }
    FIT_SYNC();
}

/* All passes on G, and the columns C. */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_4_lowrank_iterate(FIT_ARGUMENTS)
{
    FIT_DESK(MOST_ITEMS, 0u)
    FIT_BEGIN(0u, !FIT_IS_LONG)
    gear_fit_sums sums;
    gear_gram_add_parts(&f, lid);
    gear_fit_start_basis(&f, &d, MOST_ITEMS, lid);
    uint pass = 0;
    do {
        gear_fit_orthonormalise(&d, f.rank, MOST_ITEMS, lid);
        gear_fit_put_basis(&d, f.slots, MOST_ITEMS, lid);
        gear_gram_multiply(&f, &d, &sums, lid);
        gear_fit_put_sums(&d, &sums, MOST_ITEMS, lid);
    } while (++pass < f.passes);
    /* B^T G B: one factor in scratch, the other here */
    float4 sum = 0.0f;
    for (uint q = lid >> 6; q < FIT_QUADS; q += MOST_ITEMS / 64u) {
        sum = fma(vload4((lid >> 3 & 7u) * FIT_QUADS + q, f.slots), d.basis[(lid & 7u) * FIT_PITCH + q], sum);
    }
    gear_fit_put_gram(&d, (sum.x + sum.y) + (sum.z + sum.w), MOST_ITEMS, lid);
    if (lid < 8u) {
        gear_fit_squares(&f)[lid] = d.gram[9u * lid];
    }
    FIT_SYNC();
    gear_fit_get_basis(&d, f.slots, MOST_ITEMS, lid);
    gear_fit_solve_basis(&d, f.rank, 1u, 0u, MOST_ITEMS, lid);
    gear_fit_put_basis(&d, f.slots, MOST_ITEMS, lid);
}

/* What a part leaves. */
GEAR__INLINE void gear_fit_leave(const gear_fit *f, const gear_fit_desk *d, const gear_fit_sums *s, uint lid)
{
    gear_fit_put_gram(d, s->gram, ITEMS, lid);
    gear_fit_put_sums(d, s, ITEMS, lid);
    gear_fit_put_basis(d, gear_fit_part(f, f->part), ITEMS, lid);
    for (uint i = lid; i < 64u; i += ITEMS) {
        gear_fit_part(f, f->part)[8u * HEAD_DIM + i] = d->gram[i];
    }
    FIT_SYNC();
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_4_lowrank_project(FIT_ARGUMENTS)
{
    FIT_DESK(ITEMS, FIT_CHUNK)
    FIT_BEGIN((uint)get_group_id(0), !FIT_IS_LONG || part >= f.parts)
    gear_fit_sums sums;
    gear_fit_get_basis(&d, f.slots, ITEMS, lid);
    gear_fit_run(&f, &d, 1u, &sums, lid);
    gear_fit_leave(&f, &d, &sums, lid);
}

/* A and B, unrounded, and the largest of each of their columns. */
GEAR__INLINE void gear_fit_form(const gear_fit *f, const gear_fit_desk *d, uint items, uint lid)
{
    float sum = 0.0f, v[8];
    for (uint part = 0; part < f->parts && lid < 64u; part++) {
        sum += gear_fit_part(f, part)[8u * HEAD_DIM + lid];
    }
    if (lid < 16u) {
        d->largest[lid] = 0u;
    }
    gear_fit_put_gram(d, lid < 64u ? sum : 0.0f, items, lid);
    gear_fit_pivots p;
    float unit[8];
    gear_fit_eliminate(d, f->rank, 0u, &p);
#pragma unroll
    for (uint j = 0; j < 8u; j++) {
        unit[j] = gear_fit_unit(p.at[j][j], p.own[j], gear_fit_squares(f)[j]);
    }
    float most[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    for (uint row = lid; row < f->all_rows; row += items) {
#pragma unroll
        for (uint j = 0; j < 8u; j++) {
            v[j] = j < f->rank ? f->a[j * f->a_stride + row] : 0.0f;
        }
        gear_fit_solve(&p, v);
#pragma unroll
        for (uint j = 0; j < 8u; j++) {
            v[j] *= unit[j];
            most[j] = fmax(most[j], fabs(v[j]));
            if (j < f->rank) {
                f->a[j * f->a_stride + row] = v[j];
            }
        }
    }
    for (uint c = lid; c < HEAD_DIM; c += items) {
#pragma unroll
        for (uint j = 0; j < 8u; j++) {
            v[j] = 0.0f;
        }
        for (uint part = 0; part < f->parts; part++) {
#pragma unroll
            for (uint j = 0; j < 8u; j++) {
                v[j] += gear_fit_part(f, part)[j * HEAD_DIM + c];
            }
        }
        gear_fit_solve(&p, v);
#pragma unroll
        for (uint j = 0; j < 8u; j++) {
            gear_fit_b(f)[j * HEAD_DIM + c] = v[j] * unit[j];
            (void)atomic_max(d->largest + 8u + j, as_uint(fabs(v[j] * unit[j])));
        }
    }
#pragma unroll
    for (uint j = 0; j < 8u; j++) {
        (void)atomic_max(d->largest + j, as_uint(most[j]));
    }
    FIT_SYNC();
}

GEAR__INLINE void gear_fit_store(const gear_fit *f, const gear_fit_desk *d, uint items, uint lid)
{
    const uint pairs = f->all_rows / 2u;
    for (uint i = lid; i < f->rank * pairs; i += items) {
        const uint j = i / pairs, n = 2u * (i % pairs);
        __global const float *at = f->a + j * f->a_stride + n;
        const uint scale = gear_factor_scale(as_float(d->largest[j]), f->bits);
        gear_factor_put(gear_fit_column_a(f, n / 64u, j), n % 64u / 2u, f->bits, scale, at[0], at[1]);
    }
    for (uint i = lid; i < f->rank * (HEAD_DIM / 2u); i += items) {
        const uint j = i / (HEAD_DIM / 2u), pair = i % (HEAD_DIM / 2u);
        __global const float *at = gear_fit_b(f) + j * HEAD_DIM + 2u * pair;
        const uint scale = gear_factor_scale(as_float(d->largest[8u + j]), f->bits);
        gear_factor_put(gear_fit_column_b(f, j), pair, f->bits, scale, at[0], at[1]);
        if (pair == 0u && f->bits < 16u) {
            gear_fit_scales(f)[j] = (ushort)gear_factor_scale(as_float(d->largest[j]), f->bits);
            gear_fit_scales(f)[f->rank + j] = (ushort)scale;
        }
    }
}

__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_4_lowrank_store(FIT_ARGUMENTS)
{
    FIT_DESK(MOST_ITEMS, 0u)
    FIT_BEGIN(0u, !FIT_IS_LONG)
    gear_fit_form(&f, &d, MOST_ITEMS, lid);
    gear_fit_store(&f, &d, MOST_ITEMS, lid);
}

/* A fit of one part and several blocks. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_4_lowrank_whole(FIT_ARGUMENTS)
{
    FIT_DESK(ITEMS, FIT_CHUNK)
    FIT_BEGIN(0u, FIT_IS_LONG || FIT_IS_BLOCK)
    gear_fit_sums sums;
    gear_fit_start_basis(&f, &d, ITEMS, lid);
    uint pass = 0;
    do {
        gear_fit_orthonormalise(&d, f.rank, ITEMS, lid);
        gear_fit_put_basis(&d, f.slots, ITEMS, lid);
        gear_fit_run(&f, &d, 0u, &sums, lid);
        gear_fit_put_sums(&d, &sums, ITEMS, lid);
    } while (++pass < f.passes);
    gear_fit_put_gram(&d, sums.gram, ITEMS, lid);
    if (lid < 8u) {
        gear_fit_squares(&f)[lid] = d.gram[9u * lid];
    }
    FIT_SYNC();
    gear_fit_get_basis(&d, f.slots, ITEMS, lid);
    gear_fit_solve_basis(&d, f.rank, 0u, 0u, ITEMS, lid);
    gear_fit_run(&f, &d, 1u, &sums, lid);
    gear_fit_leave(&f, &d, &sums, lid);
    gear_fit_form(&f, &d, ITEMS, lid);
    gear_fit_store(&f, &d, ITEMS, lid);
}

/* A fit of one block. */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_4_lowrank_block(FIT_ARGUMENTS)
{
    __local float4 a[ROW_A], room[ROW_ROOM];
    __local float grams[ROW_GRAMS] __attribute__((aligned(16)));
    FIT_BEGIN(0u, !FIT_IS_BLOCK)
    const gear_row_desk d = {a, room, grams};
    const gear_row_fit fit = {f.rank,
                              f.usable,
                              f.bits,
                              f.passes,
                              f.residual,
                              gear_fit_column_a(&f, 0u, 0u),
                              gear_fit_column_b(&f, 0u),
                              gear_fit_scales(&f)};
    gear_fit_rows(&fit, &d, lid);
    for (uint i = lid; i < f.rank * 64u; i += MOST_ITEMS) {
        f.a[i / 64u * f.a_stride + i % 64u] = ROW_A_AT(&d, i / 64u, i % 64u);
    }
    for (uint i = lid; i < f.rank * HEAD_DIM; i += MOST_ITEMS) {
        gear_fit_b(&f)[i] = ROW_B_AT(&d, i / HEAD_DIM, i % HEAD_DIM);
    }
}
