/* upload: writes words that travel as kernel arguments into a table. The host enqueues it instead of a buffer write, because
 * arguments are copied at enqueue time: no host memory has to outlive the call, and nothing waits. Three kernels: the words
 * as they are; page table entries from runs of them; the jobs of staging blocks from the job list. */
#include "argument_words.clh"
#include "layout.h"

#define GEAR_PUT(n, component)                                                                                                 \
  if (first + n < count) {                                                                                                     \
    table[offset + first + n] = component;                                                                                     \
  }

/* Range: 64 work-items, the first twelve write 16 words each. */
__kernel void gear_k_upload(__global uint *table, uint offset, uint count, GEAR_ARGUMENT_WORDS)
{
    const uint i = (uint)get_global_id(0), first = 16u * i;
    if (i >= GEAR__UPLOAD_WORDS / 16u) {
        return;
    }
    const uint16 w = GEAR_WORDS_OF(i);
    GEAR_PUT(0u, w.s0)
    GEAR_PUT(1u, w.s1)
    GEAR_PUT(2u, w.s2)
    GEAR_PUT(3u, w.s3)
    GEAR_PUT(4u, w.s4)
    GEAR_PUT(5u, w.s5)
    GEAR_PUT(6u, w.s6)
    GEAR_PUT(7u, w.s7)
    GEAR_PUT(8u, w.s8)
    GEAR_PUT(9u, w.s9)
    GEAR_PUT(10u, w.sa)
    GEAR_PUT(11u, w.sb)
    GEAR_PUT(12u, w.sc)
    GEAR_PUT(13u, w.sd)
    GEAR_PUT(14u, w.se)
    GEAR_PUT(15u, w.sf)
}

/* Runs of page table entries (GEAR__RUN_*). Range: 64 work-items for each run. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_upload_table(__global uint *table, GEAR_ARGUMENT_WORDS)
{
    const uint run = (uint)get_group_id(1), lid = (uint)get_local_id(0);
    const uint8 r = GEAR_EIGHT_WORDS_OF(run);
    __global uint *out = table + (ulong)r.s0 * GEAR__BLOCK_WORDS;
    if (r.s1 == 0u) {
        if (lid == 0u) {
            vstore4(r.s2345, 0, out);
        }
        return;
    }
    for (uint i = lid; i < r.s1; i += 64u) {
        const uint tokens = min(r.s6 - 64u * i, 64u);
        vstore4((uint4)(r.s2 + i * r.s3, r.s4, r.s5 + 64u * i, tokens | (r.s7 + (i << 16))), i, out);
    }
}

/* Staging blocks of every job. Range: 64 work-items for each job. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_upload_rows(__global const uint *jobs,
                                                                                 __global uint *row_jobs)
{
    const uint j = (uint)get_group_id(0);
    __global const uint *job = jobs + j * GEAR__JOB_WORDS;
    for (uint b = (uint)get_local_id(0); b < job[GEAR__JOB_BLOCKS]; b += 64u) {
        row_jobs[job[GEAR__JOB_ROW] / 64u + b] = j;
    }
}
