/* top1.cl: the index of the largest of `count` logits of each row, the lowest of equals. A work-group of LANES does one row. */
#include "lanes.clh"

__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void llm_k_top1(__global const float *logits, uint count,
                                                                            __global uint *out)
{
    const uint lane = (uint)get_local_id(0);
    const __global float *row = logits + (ulong)get_group_id(0) * count;
    uint best = min(lane, count - 1u);
    float most = row[best];
    for (uint i = lane + LANES; i < count; i += LANES)
        if (row[i] > most) {
            most = row[i];
            best = i;
        }
#if LANES > 1
    __local float part[LANES];
    __local uint index[LANES];
    part[lane] = most;
    index[lane] = best;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane == 0)
        for (uint i = 1; i < LANES; i++)
            if (part[i] > most || (part[i] >= most && index[i] < best)) {
                most = part[i];
                best = index[i];
            }
#endif
    if (lane == 0)
        out[get_group_id(0)] = best;
}
