/* append_4_lowrank_long_nvidia: `project` of append_4_lowrank_long.cl on tensor cores, for NVIDIA GPUs from sm_80 on (PTX
 * ISA 7.4, mma.m16n8k16): the same results but for the order of sums. Reference: src/ref/append_4_lowrank.c. Work-groups are
 * (part of GEAR__GRAM_ROWS rows, KV head, job). */
#define PROJECT_ITEMS GEAR__PROJECT_NV_ITEMS
#include "lowrank_project_nvidia.clh"

/* Without the attribute of the work-group size, with which the compiler takes all registers there are. */
__kernel void gear_k_append_4_lowrank_project_nvidia(FIT_ARGUMENTS)
{
    __local float columns[4u * PROJECT_PITCH] __attribute__((aligned(16))), room[4u * PROJECT_WARPS];
    const uint lid = (uint)get_local_id(0), part = (uint)get_group_id(0);
    const gear_fit f = FIT_OF_GROUP(part);
    if (f.parts < 2u || part >= gear_gram_parts(&f)) {
        return;
    }
    const uint rows = gear_gram_rows(&f);
    gear_project_rows x;
    uint first = 0;
    do {
        gear_project_begin(&f, rows, &x, lid);
        gear_project(&f, &x, columns, room, first, rows, lid);
        gear_project_put(&f, columns, room, first, rows, lid);
        barrier(CLK_LOCAL_MEM_FENCE);
        first += 4u;
    } while (first < f.rank);
}
