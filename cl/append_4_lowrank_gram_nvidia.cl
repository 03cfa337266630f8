/* append_4_lowrank_gram_nvidia: append_4_lowrank_gram on tensor cores, for NVIDIA GPUs from sm_80 on
 * (PTX ISA 7.0, mma.m16n8k16). Reference: src/ref/append_4_lowrank.c.
 *
 * The residual is halves, so products are exact. Tensor cores cut what they add, so sums of 32 rows are added up in float32.
 * Work-groups are (part and share of the tiles, KV head, job); a warp has two tiles. */
#include "lowrank.clh"
#include "nvidia.clh"

#define WARPS      GEAR__GRAM_NV_WARPS(HEAD_DIM)
#define GROUPS     GEAR__GRAM_NV_GROUPS(HEAD_DIM)
#define TILES      2u /* of a warp, as GEAR__GRAM_NV_WARPS counts them */
#define GRAM_ITEMS (32u * WARPS)
#define PIECES     (HEAD_DIM / 8u)              /* of 16 bytes, in a row */
#define ROWS       (HEAD_DIM > 128 ? 16u : 32u) /* of a chunk in local memory */
#define STAGES     4u                           /* chunks in local memory, all but one under way */
#define PITCH      (HEAD_DIM / 2u + 4u)         /* words of a row: eight rows of 16 bytes lie in 32 banks */

/* Starts the copy of a chunk; an empty one behind the last. */
GEAR__INLINE void gear_gram_copy(__global const ushort *rows, __local const uint *chunk, uint has_rows, uint lid)
{
    for (uint i = lid; i < ROWS * PIECES && has_rows; i += GRAM_ITEMS) {
        nv_copy_16(nv_address(chunk + i / PIECES * PITCH + i % PIECES * 4u), rows + 8u * i);
    }
    nv_commit();
}

/* Adds the products of a chunk to a tile of 32 x 32. a, b: addresses of this lane's line of the first 16 rows and channels of
 * the tile's rows and columns. Of 16 rows x 16 channels ldmatrix makes an operand of 16 channels, or two of 8. */
GEAR__INLINE void gear_gram_add(uint a, uint b, float4 sums[2][4])
{
    float part[2][4][4];
#pragma unroll
    for (uint i = 0; i < 8u; i++) {
        part[i / 4u][i % 4u][0] = part[i / 4u][i % 4u][1] = part[i / 4u][i % 4u][2] = part[i / 4u][i % 4u][3] = 0.0f;
    }
#pragma unroll
    for (uint k = 0; k < ROWS / 16u; k++) {
        const uint4 left[2] = {nv_load_transposed(a + k * 64u * PITCH), nv_load_transposed(a + k * 64u * PITCH + 32u)};
        const uint4 right[2] = {nv_load_transposed(b + k * 64u * PITCH), nv_load_transposed(b + k * 64u * PITCH + 32u)};
#pragma unroll
        for (uint i = 0; i < 8u; i++) {
            const uint4 of_a = left[i / 4u], of_b = right[i % 4u / 2u];
            nv_mma_16(part[i / 4u][i % 4u], of_a.x, of_a.y, of_a.z, of_a.w, i % 2u ? of_b.y : of_b.x, i % 2u ? of_b.w : of_b.z);
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
    __local uint chunk[STAGES * ROWS * PITCH + 16u] __attribute__((aligned(16))); /* a last tile of fewer channels reads on */
    const uint lid = (uint)get_local_id(0), part = (uint)get_group_id(0) / GROUPS, lane = lid % 32u;
    const gear_fit f = FIT_OF_GROUP(part);
    if (f.parts < 2u || part >= gear_gram_parts(&f)) {
        return;
    }
    const uint rows = gear_gram_rows(&f);
    __global const ushort *residual = gear_gram_residual(&f);
    const uint tile = ((uint)get_group_id(0) % GROUPS * WARPS + lid / 32u) * TILES;
    uint2 place[TILES];
    const uint line = nv_address(chunk + (lane % 8u + lane / 16u * 8u) * PITCH + lane / 8u % 2u * 4u);
    float4 sums[TILES][2][4];
#pragma unroll
    for (uint n = 0; n < TILES; n++) {
        place[n] = 2u * gear_gram_place(min(tile + n, GEAR__GRAM_TILES(HEAD_DIM) - 1u));
    }
#pragma unroll
    for (uint i = 0; i < 8u * TILES; i++) {
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
        const uint now = line + n % STAGES * ROWS * PITCH * 4u;
#pragma unroll
        for (uint i = 0; i < TILES; i++) {
            gear_gram_add(now + place[i].x, now + place[i].y, sums[i]);
        }
    }
#pragma unroll
    for (uint n = 0; n < TILES; n++) {
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
