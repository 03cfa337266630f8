/* append_4_lowrank_gram: the first kernel of long fits (append_4_lowrank_long.cl): G = R^T R of each part of GEAR__GRAM_ROWS
 * rows of the residual, in tiles of 32 x 32 on and above the diagonal. Convention: docs/design.md, rule 8. Reference:
 * src/ref/append_4_lowrank.c. Work-groups are (part and share of the tiles, KV head, job). */
#include "lowrank.clh"

#if !defined MOST_ITEMS || MOST_ITEMS < 64
#  error "a work-group has 64 work-items or more"
#endif

#define GRAM_ROW   (HEAD_DIM / 4u)                        /* float4s of a row */
#define GRAM_SHARE GEAR__GRAM_SHARE(HEAD_DIM, MOST_ITEMS) /* tiles of 32 x 32 that a work-item has 4 x 4 values of */
#define GRAM_MOST  (4u * MOST_ITEMS)                      /* most float4s of a chunk of rows */
#define GRAM_CHUNK                                                                                                             \
  (GRAM_MOST >= 32u * GRAM_ROW ? 32u : GRAM_MOST >= 16u * GRAM_ROW ? 16u : GRAM_MOST >= 8u * GRAM_ROW ? 8u : 4u)

GEAR__INLINE void gear_gram_read(__global const ushort *rows, uint2 ahead[4], uint lid)
{
#pragma unroll
    for (uint k = 0; k < 4u; k++) {
        ahead[k] = ((__global const uint2 *)rows)[min(lid + k * MOST_ITEMS, GRAM_CHUNK * GRAM_ROW - 1u)];
    }
}

__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_4_lowrank_gram(FIT_ARGUMENTS)
{
    __local float4 chunk[GRAM_CHUNK * GRAM_ROW];
    const uint groups = GEAR__GRAM_GROUPS(HEAD_DIM, MOST_ITEMS), group = (uint)get_group_id(0) % groups;
    const uint lid = (uint)get_local_id(0), part = (uint)get_group_id(0) / groups;
    const gear_fit f = FIT_OF_GROUP(part);
    if (f.parts < 2u || part >= gear_gram_parts(&f)) {
        return;
    }
    const uint rows = gear_gram_rows(&f);
    __global const ushort *residual = gear_gram_residual(&f);
    const uint tile = (group * (MOST_ITEMS / 64u) + lid / 64u) * GRAM_SHARE, down = lid / 8u % 8u, across = lid % 8u;
    uint2 ahead[4]; /* halves */
    float4 sums[4u * GRAM_SHARE];
    uint at[GRAM_SHARE], by[GRAM_SHARE]; /* float4s of a row */
#pragma unroll
    for (uint k = 0; k < GRAM_SHARE; k++) {
        const uint2 place = gear_gram_place(min(tile + k, GEAR__GRAM_TILES(HEAD_DIM) - 1u)) / 4u;
        at[k] = min(place.x + down, GRAM_ROW - 1u);
        by[k] = min(place.y + across, GRAM_ROW - 1u);
        sums[4u * k] = sums[4u * k + 1u] = sums[4u * k + 2u] = sums[4u * k + 3u] = 0.0f;
    }
    gear_gram_read(residual, ahead, lid);
    uint row = 0;
    do {
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (uint k = 0; k < 4u; k++) {
            if (lid + k * MOST_ITEMS < GRAM_CHUNK * GRAM_ROW) {
                chunk[lid + k * MOST_ITEMS] = gear_floats_of2(ahead[k]);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        row += GRAM_CHUNK;
        gear_gram_read(residual + min(row, rows - GRAM_CHUNK) * HEAD_DIM, ahead, lid);
#pragma unroll 1
        for (uint n = 0; n < GRAM_CHUNK * GRAM_ROW; n += GRAM_ROW) {
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
                ((__global float4 *)to)[8u * i + across] = sums[4u * k + i];
            }
        }
    }
}
