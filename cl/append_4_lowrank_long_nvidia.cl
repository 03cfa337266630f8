/* append_4_lowrank_long_nvidia: `project` of append_4_lowrank_long.cl on tensor cores, for NVIDIA GPUs from sm_80 on (PTX
 * ISA 7.0, mma.m16n8k16): the same results but for the order of sums. Reference: src/ref/append_4_lowrank.c.
 *
 * The residual is halves, C is two: what its halves round off, times 2^11, takes the columns 4 to 7 of the same product. A warp
 * has 16 rows at a time, which lanes read where they are: 16 bytes, 8 channels, a lane; any order of channels will do if C has
 * it too. Work-groups are (part, KV head, job). */
#include "lowrank.clh"
#include "nvidia.clh"

#define WARPS  (ITEMS / 32u)
#define PIECES (HEAD_DIM / 32u) /* of a row: 32 channels, 8 of a lane; where 16 are left, 4 of a lane */
#define STEPS  (HEAD_DIM / 16u) /* products, of 16 channels */

/* 4 channels of a column of C, first .. first + 3 of those from `from` on, or what their halves round off. */
GEAR__INLINE uint2 gear_project_operand(__global const float *from, uint first, uint is_rest)
{
    const float4 c = *(__global const float4 *)(from + first);
    const uint2 high = (uint2)(nv_pack(c.x, c.y), nv_pack(c.z, c.w));
    const float4 rest = (c - gear_floats_of2(high)) * 0x1p+11f;
    return is_rest ? (uint2)(nv_pack(rest.x, rest.y), nv_pack(rest.z, rest.w)) : high;
}

/* The columns first .. first + 3 of C as operands; those from the rank on are 0. */
GEAR__INLINE void gear_project_columns(const gear_fit *f, uint first, uint2 c[STEPS], uint lane)
{
    const uint quarter = lane % 4u, column = first + lane / 4u % 4u, is_rest = lane / 16u;
    __global const float *from = f->slots + column * HEAD_DIM;
#pragma unroll
    for (uint n = 0; n < STEPS; n++) {
        const uint channel = n / 2u < PIECES ? n / 2u * 32u + quarter * 8u + n % 2u * 4u : n * 16u + quarter * 4u;
        const uint2 operand = gear_project_operand(from, channel, is_rest);
        c[n] = column < f->rank ? operand : (uint2)(0u);
    }
}

/* sum = the products of 16 rows from `row` on, of which this lane has row lane / 4 and the eighth behind. */
GEAR__INLINE void gear_project_rows(const gear_fit *f, uint row, const uint2 c[STEPS], float sum[4], uint lane)
{
    __global const ushort *at = f->residual + (row + lane / 4u) * HEAD_DIM + lane % 4u * 8u;
    uint4 low[PIECES], high[PIECES];
#pragma unroll
    for (uint n = 0; n < PIECES; n++) {
        low[n] = *(__global const uint4 *)(at + 32u * n);
        high[n] = *(__global const uint4 *)(at + 8u * HEAD_DIM + 32u * n);
    }
    sum[0] = sum[1] = sum[2] = sum[3] = 0.0f;
#pragma unroll
    for (uint n = 0; n < PIECES; n++) {
        nv_mma_16(sum, low[n].x, high[n].x, low[n].y, high[n].y, c[2u * n].x, c[2u * n].y);
        nv_mma_16(sum, low[n].z, high[n].z, low[n].w, high[n].w, c[2u * n + 1u].x, c[2u * n + 1u].y);
    }
    if (STEPS % 2u) {
        __global const ushort *rest = at + 32u * PIECES - lane % 4u * 4u;
        const uint2 left = *(__global const uint2 *)rest, right = *(__global const uint2 *)(rest + 8u * HEAD_DIM);
        nv_mma_16(sum, left.x, right.x, left.y, right.y, c[STEPS - 1u].x, c[STEPS - 1u].y);
    }
}

/* Columns first .. first + 3 of the part: Y to A; squares and largest of each column to what the part leaves. room: [WARPS][4],
 * squares and largest. */
GEAR__INLINE void gear_project(const gear_fit *f, __local float2 *room, uint first, uint lid)
{
    const uint lane = lid % 32u, warp = lid / 32u, is_rest = lane / 2u % 2u, column = first + lane % 2u * 2u;
    __global float *a = f->a + column * f->a_stride + lane / 4u + 8u * is_rest;
    uint2 c[STEPS];
    float4 most = 0.0f; /* squares and largest of two columns */
    gear_project_columns(f, first, c, lane);
#pragma unroll 1
    for (uint row = 16u * warp; row < f->rows; row += 16u * WARPS) {
        float sum[4];
        gear_project_rows(f, row, c, sum, lane);
        /* lanes of the sums give their second row away, those of the rest their first */
        const float2 given = is_rest ? (float2)(sum[0], sum[1]) : (float2)(sum[2], sum[3]);
        const float2 kept = is_rest ? (float2)(sum[2], sum[3]) : (float2)(sum[0], sum[1]);
        const float2 taken = (float2)(nv_shuffle_xor(given.x, 2u), nv_shuffle_xor(given.y, 2u));
        const float2 y = is_rest ? fma(kept, (float2)(0x1p-11f), taken) : fma(taken, (float2)(0x1p-11f), kept);
        if (column < f->rank) {
            a[row] = y.x;
        }
        if (column + 1u < f->rank) {
            a[f->a_stride + row] = y.y;
        }
        most = (float4)(fma(y, y, most.lo), fmax(most.hi, fabs(y)));
    }
#pragma unroll
    for (uint mask = 2u; mask < 32u; mask *= 2u) {
        most.x += nv_shuffle_xor(most.x, mask);
        most.y += nv_shuffle_xor(most.y, mask);
        most.z = fmax(most.z, nv_shuffle_xor(most.z, mask));
        most.w = fmax(most.w, nv_shuffle_xor(most.w, mask));
    }
    if (lane < 2u) {
        room[4u * warp + 2u * lane] = most.xz;
        room[4u * warp + 2u * lane + 1u] = most.yw;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < 4u) {
        float2 all = room[lid];
#pragma unroll
        for (uint n = 1; n < WARPS; n++) {
            const float2 next = room[4u * n + lid];
            all = (float2)(all.x + next.x, fmax(all.y, next.y));
        }
        gear_fit_part(f, f->part)[first + lid] = all.x;
        gear_fit_part(f, f->part)[GEAR__MAX_RANK + first + lid] = all.y;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* Without the attribute of the work-group size, with which the compiler takes all registers there are. */
__kernel void gear_k_append_4_lowrank_project_nvidia(FIT_ARGUMENTS)
{
    __local float2 room[4u * WARPS];
    const uint lid = (uint)get_local_id(0), part = (uint)get_group_id(0);
    const gear_fit f = FIT_OF_GROUP(part);
    if (f.parts < 2u || part >= f.parts) {
        return;
    }
    uint first = 0;
    do {
        gear_project(&f, room, first, lid);
        first += 4u;
    } while (first < f.rank);
}
