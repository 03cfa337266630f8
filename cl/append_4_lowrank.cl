/* append_4_lowrank: L = A B^T, the rank-r fit of the residual of one KV head over one segment, by block power iteration (paper,
 * Algorithm 2) with orthonormalisation in every pass; stores A in the blocks and B in the segment record. Convention:
 * docs/design.md, rule 8. Reference: src/ref/append_4_lowrank.c. r is [head][row][head_dim].
 *
 * Fits of up to GEAR__FIT_DIRECT_BLOCKS blocks, of which those of more than a block may be append_4_lowrank_fit_nvidia.cl's;
 * longer ones are append_4_lowrank_long.cl's. One work-group does all passes on R itself, which lies in the caches, or of a
 * single block on the Gram matrix of its rows. Work-groups are (1, KV head, job). */
#include "lowrank_group.clh"

#define BLOCK_KERNEL gear_k_append_4_lowrank_block
#include "lowrank_block.clh"

#if MOST_ITEMS < 64 || ITEMS < 64
#  error "a work-group has 64 work-items or more"
#endif

#define FIT_IS_LONG (f.parts > 1u)

/* A and B, unrounded, and the largest of each of their columns, by the Gram matrix of Y; the basis is R^T Y. first: the squares
 * of the columns of R B before they were made orthogonal. */
GEAR__INLINE void gear_fit_form(const gear_fit *f, const gear_fit_desk *d, __local const float *first, uint lid)
{
    gear_fit_pivots p;
    float unit[8], v[8];
    gear_fit_eliminate(d, f->rank, &p);
#pragma unroll
    for (uint j = 0; j < 8u; j++) {
        unit[j] = gear_fit_unit(p.at[j][j], p.own[j], first[j]);
    }
    float most[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    for (uint row = lid; row < f->all_rows; row += ITEMS) {
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
    for (uint c = lid; c < HEAD_DIM; c += ITEMS) {
#pragma unroll
        for (uint j = 0; j < 8u; j++) {
            v[j] = FIT_AT(d, j, c);
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

GEAR__INLINE void gear_fit_store(const gear_fit *f, const gear_fit_desk *d, uint lid)
{
    const uint pairs = f->all_rows / 2u;
    for (uint i = lid; i < f->rank * pairs; i += ITEMS) {
        const uint j = i / pairs, n = 2u * (i % pairs);
        __global const float *at = f->a + j * f->a_stride + n;
        const uint scale = gear_factor_scale(as_float(d->largest[j]), f->bits);
        gear_factor_put(gear_fit_column_a(f, n / 64u, j), n % 64u / 2u, f->bits, scale, at[0], at[1]);
    }
    for (uint i = lid; i < f->rank * (HEAD_DIM / 2u); i += ITEMS) {
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

/* A fit of one part and several blocks. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_4_lowrank_whole(FIT_ARGUMENTS)
{
    __local float4 basis[8u * FIT_PITCH], room[FIT_ROOM], chunk[FIT_CHUNK * FIT_PITCH + 1u], y[2u * FIT_CHUNK + 1u];
    __local float gram[64], first[8];
    __local uint largest[16];
    FIT_BEGIN(FIT_IS_LONG || FIT_IS_BLOCK)
    const gear_fit_desk d = {basis, room, gram, chunk, y, largest};
    gear_fit_sums sums;
    gear_fit_start_basis(&f, &d, lid);
    uint pass = 0;
    do {
        gear_fit_orthonormalise(&d, f.rank, lid);
        gear_fit_put_basis(&d, f.slots, lid);
        gear_fit_run(&f, &d, 0u, &sums, lid);
        gear_fit_put_sums(&d, &sums, lid);
    } while (++pass < f.passes);
    gear_fit_put_gram(&d, sums.gram, lid);
    if (lid < 8u) {
        first[lid] = gram[9u * lid];
    }
    for (uint i = lid; i < 16u; i += ITEMS) {
        largest[i] = 0u;
    }
    gear_fit_get_basis(&d, f.slots, lid);
    gear_fit_solve_basis(&d, f.rank, 0u, lid);
    gear_fit_run(&f, &d, 1u, &sums, lid);
    gear_fit_put_gram(&d, sums.gram, lid);
    gear_fit_put_sums(&d, &sums, lid);
    gear_fit_form(&f, &d, first, lid);
    gear_fit_store(&f, &d, lid);
}
