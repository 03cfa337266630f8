/* append_4_lowrank_gram_nvidia: append_4_lowrank_gram on tensor cores, for NVIDIA GPUs from sm_80 on
 * (PTX ISA 7.0, mma.m16n8k8 with tf32 operands). Reference: src/ref/append_4_lowrank.c.
 *
 * Operands have the 11 digits of a half and the exponents of a float. So G is that of a residual whose values are up to 2^-12
 * off, which turns the columns that come of it by as little; A and the errors of L come from the residual itself. Tensor cores
 * cut what they add, so sums of 16 rows are added up in float32. Work-groups are (part and share of the tiles, KV head,
 * job); a warp has two tiles. */
#include "lowrank.clh"
#include "nvidia.clh"

#define WARPS      GEAR__GRAM_NV_WARPS(HEAD_DIM)
#define GROUPS     GEAR__GRAM_NV_GROUPS(HEAD_DIM)
#define GRAM_ITEMS (32u * WARPS)
#define QUADS      (HEAD_DIM / 4u)
#define ROWS       (HEAD_DIM > 128 ? 8u : 16u) /* of a chunk in local memory */
#define STAGES     4u                          /* chunks in local memory, all but one under way */
#define PITCH      (HEAD_DIM + 8u)             /* floats of a row: 4 rows x 8 channels lie in 32 banks */

/* Starts the copy of a chunk; an empty one behind the last. */
GEAR__INLINE void gear_gram_copy(__global const float *rows, __local const uint *chunk, uint has_rows, uint lid)
{
    for (uint i = lid; i < ROWS * QUADS && has_rows; i += GRAM_ITEMS) {
        nv_copy_16(nv_address(chunk + i / QUADS * PITCH + i % QUADS * 4u), rows + 4u * i);
    }
    nv_commit();
}

/* Adds the products of a chunk to a tile of 32 x 32. a, b: where the tile's rows and columns begin in a row of the chunk. */
GEAR__INLINE void gear_gram_add(__local const uint *a, __local const uint *b, float4 sums[2][4], uint lane)
{
    const uint at = lane % 4u * PITCH + lane / 4u;
    float part[2][4][4];
#pragma unroll
    for (uint i = 0; i < 8u; i++) {
        part[i / 4u][i % 4u][0] = part[i / 4u][i % 4u][1] = part[i / 4u][i % 4u][2] = part[i / 4u][i % 4u][3] = 0.0f;
    }
#pragma unroll
    for (uint k = 0; k < ROWS / 8u; k++) {
        const uint n = at + k * 8u * PITCH;
        uint left[2][4], right[4][2];
#pragma unroll
        for (uint i = 0; i < 2u; i++) {
            left[i][0] = nv_tf32(a[n + 16u * i]);
            left[i][1] = nv_tf32(a[n + 16u * i + 8u]);
            left[i][2] = nv_tf32(a[n + 16u * i + 4u * PITCH]);
            left[i][3] = nv_tf32(a[n + 16u * i + 4u * PITCH + 8u]);
        }
#pragma unroll
        for (uint j = 0; j < 4u; j++) {
            right[j][0] = nv_tf32(b[n + 8u * j]);
            right[j][1] = nv_tf32(b[n + 8u * j + 4u * PITCH]);
        }
#pragma unroll
        for (uint i = 0; i < 8u; i++) {
            nv_mma_tf32(part[i / 4u][i % 4u], left[i / 4u], right[i % 4u]);
        }
    }
#pragma unroll
    for (uint i = 0; i < 8u; i++) {
        const float *p = part[i / 4u][i % 4u];
        sums[i / 4u][i % 4u] += (float4)(p[0], p[1], p[2], p[3]);
    }
}

/* Without the attribute of the work-group size, with which the compiler takes all registers there are. */
__kernel void gear_k_append_4_lowrank_gram_nvidia(FIT_ARGUMENTS)
{
    __local uint chunk[STAGES * ROWS * PITCH + 32u] __attribute__((aligned(16))); /* a last tile of fewer channels reads on */
    const uint lid = (uint)get_local_id(0), part = (uint)get_group_id(0) / GROUPS, lane = lid % 32u;
    const gear_fit f = FIT_OF_GROUP(part);
    if (f.parts < 2u || part >= gear_gram_parts(&f)) {
        return;
    }
    const uint rows = gear_gram_rows(&f);
    __global const float *residual = gear_gram_residual(&f);
    const uint tile = ((uint)get_group_id(0) % GROUPS * WARPS + lid / 32u) * 2u;
    const uint2 first = gear_gram_place(min(tile, GEAR__GRAM_TILES(HEAD_DIM) - 1u));
    const uint2 second = gear_gram_place(min(tile + 1u, GEAR__GRAM_TILES(HEAD_DIM) - 1u));
    float4 sums[2][2][4];
#pragma unroll
    for (uint i = 0; i < 16u; i++) {
        sums[i / 8u][i / 4u % 2u][i % 4u] = 0.0f;
    }
#pragma unroll
    for (uint n = 0; n < STAGES - 1u; n++) {
        gear_gram_copy(residual + n * ROWS * HEAD_DIM, chunk + n * ROWS * PITCH, n * ROWS < rows, lid);
    }
    for (uint n = 0; n * ROWS < rows; n++) {
        const uint ahead = n + STAGES - 1u;
        NV_WAIT(2); /* STAGES - 2 */
        barrier(CLK_LOCAL_MEM_FENCE);
        gear_gram_copy(residual + ahead * ROWS * HEAD_DIM, chunk + ahead % STAGES * ROWS * PITCH, ahead * ROWS < rows, lid);
        __local const uint *now = chunk + n % STAGES * ROWS * PITCH;
        gear_gram_add(now + first.x, now + first.y, sums[0], lane);
        gear_gram_add(now + second.x, now + second.y, sums[1], lane);
    }
#pragma unroll
    for (uint n = 0; n < 2u; n++) {
        __global float *to = gear_gram_part(&f, part) + (tile + n) * 1024u + lane / 4u * 32u + lane % 4u * 2u;
#pragma unroll
        for (uint i = 0; i < 8u; i++) {
            const float4 sum = sums[n][i / 4u][i % 4u];
            if (tile + n < GEAR__GRAM_TILES(HEAD_DIM)) {
                *(__global float2 *)(to + i / 4u * 512u + i % 4u * 8u) = sum.lo;
                *(__global float2 *)(to + i / 4u * 512u + i % 4u * 8u + 256u) = sum.hi;
            }
        }
    }
}
