/* append_4_lowrank_gram_nvidia: append_4_lowrank_gram on tensor cores, for NVIDIA GPUs from sm_80 on (PTX ISA 7.0,
 * mma.m16n8k16). Reference: src/ref/append_4_lowrank.c. Work-groups are (part and share of the tiles, KV head, job). */
#include "lowrank_gram_nvidia.clh"

/* Without the attribute of the work-group size, with which the compiler takes all registers there are. */
__kernel void gear_k_append_4_lowrank_gram_nvidia(FIT_ARGUMENTS)
{
    __local uint chunk[GRAM_LOCAL] __attribute__((aligned(16)));
    const uint lid = (uint)get_local_id(0), part = (uint)get_group_id(0) / GRAM_GROUPS;
    const gear_fit f = FIT_OF_GROUP(part);
    if (f.parts < 2u || part >= gear_gram_parts(&f)) {
        return;
    }
    const gear_gram_share share = gear_gram_share_of((uint)get_group_id(0) % GRAM_GROUPS * GRAM_WARPS + lid / 32u);
    float4 sums[GRAM_SUMS];
    gear_gram_begin(gear_gram_residual(&f), gear_gram_rows(&f), chunk, lid);
    gear_gram_sum(gear_gram_residual(&f), gear_gram_rows(&f), &share, chunk, sums, lid);
    gear_gram_put_part(gear_gram_part(&f, part), &share, sums, lid % 32u);
}
