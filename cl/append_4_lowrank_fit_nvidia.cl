/* append_4_lowrank_fit_nvidia: fits of more than a block in one launch, on tensor cores, for NVIDIA GPUs from sm_80
 * on (PTX ISA 7.8: mma.m16n8k16, movmatrix), of up to four columns and 128 channels. Reference: src/ref/append_4_lowrank.c.
 *
 * A part of a fit is GEAR__GRAM_ROWS rows. A work-group takes the next task: those of `gram`, of all fits, come first; the last
 * of a fit adds its parts in order and iterates, while others go on with the next fits. Then those of `project`, in the same
 * order: each waits until the columns of its fit are there, which are made by work-groups that came before it and wait for
 * nothing, so that there is no deadlock, whatever the device runs at a time. They store A as halves; where it is codes, whose
 * scale is that of all rows, tasks of `store` follow, which wait for those of `project`.
 *
 * Work-groups are (parts of all jobs, for each kind of task; KV heads), in no order. counters: zeros, left as zeros: the tasks
 * taken, then GEAR__FIT_NV_COUNTERS for each staging block and KV head. Those of a fit's blocks are its own; it uses four. */
#include "lowrank_iterate_nvidia.clh"
#define PROJECT_ITEMS GRAM_ITEMS
#include "lowrank_project_nvidia.clh"

/* Words of local memory, which gram, iterate and project have in turn. */
#define FIT_PROJECT (4u * PROJECT_PITCH + 4u * PROJECT_WARPS)
#define FIT_LATER   (FIT_ITERATE > FIT_PROJECT ? FIT_ITERATE : FIT_PROJECT)
#define FIT_LOCAL   (GRAM_LOCAL > FIT_LATER ? GRAM_LOCAL : FIT_LATER)

#if 2u * GEAR__FIT_NV_COUNTERS < 4u || GEAR__FIT_NV_PARTS(1)
#  error "the shortest fit has fewer counters than it uses"
#endif

#define FIT_JOINED    0u /* parts of G that are there */
#define FIT_READY     1u /* the columns are there */
#define FIT_PROJECTED 2u /* parts of A that are there */
#define FIT_STORED    3u /* parts of A that are stored as codes */

/* Adds 1 to a counter, behind what the work-group wrote, and returns what was there; so do others see it that count after. */
GEAR__INLINE uint gear_fit_count(__global uint *counter, __local uint *room, uint lid)
{
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lid == 0u) {
        *room = nv_count(counter);
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    const uint count = *room;
    barrier(CLK_LOCAL_MEM_FENCE);
    return count;
}

/* Where a part has sum i of those of a warp, as its lanes hold them. */
GEAR__INLINE __global float *gear_gram_sum_at(const gear_fit *f, uint part, const gear_gram_share *share, uint i, uint lane)
{
    const uint row = i >= 6u && share->is_diagonal ? share->right : share->left;
    const uint column = share->is_diagonal ? row : share->right;
    return gear_gram_part(f, part) + gear_gram_number(row, column) * 1024u + (share->is_diagonal ? i % 6u : i) * 128u +
           lane * 4u;
}

/* Whether this work-group is the last of its fit, which then has the sums of all parts, added in order. */
GEAR__INLINE uint gear_gram_join(const gear_fit *f, __global uint *counter, __local uint *room, const gear_gram_share *share,
                                 float4 sums[GRAM_SUMS], uint lid)
{
    const uint parts = gear_gram_parts(f), lane = lid % 32u;
    if (parts < 2u) {
        return 1u;
    }
#pragma unroll
    for (uint i = 0; i < GRAM_SUMS; i++) {
        if (gear_gram_has_sum(share, i)) {
            *(__global float4 *)gear_gram_sum_at(f, f->part, share, i, lane) = sums[i];
        }
    }
    if (gear_fit_count(counter, room, lid) + 1u < parts) {
        return 0u;
    }
    if (lid == 0u) {
        *counter = 0u;
    }
#pragma unroll
    for (uint i = 0; i < GRAM_SUMS; i++) {
        sums[i] = 0.0f;
    }
#pragma unroll 1
    for (uint part = 0; part < parts; part++) {
#pragma unroll
        for (uint i = 0; i < GRAM_SUMS; i++) {
            if (gear_gram_has_sum(share, i)) {
                sums[i] += nv_load_4_here(gear_gram_sum_at(f, part, share, i, lane));
            }
        }
    }
    return 1u;
}

/* The columns and B of a fit, by its last part of G. */
GEAR__INLINE void gear_fit_gram_part(const gear_fit *f, __global uint *counters, __local uint *room, uint lid)
{
    /* before the rank is known, which takes a second access to memory */
    gear_gram_begin(gear_gram_residual(f), gear_gram_rows(f), room, lid);
    if (!f->parts) {
        NV_WAIT(0);
        return;
    }
    const gear_gram_share share = gear_gram_share_of(lid / 32u);
    float4 sums[GRAM_SUMS];
    gear_gram_sum(gear_gram_residual(f), gear_gram_rows(f), &share, room, sums, lid);
    if (gear_gram_join(f, counters + FIT_JOINED, room, &share, sums, lid)) {
        gear_fit_finish(f, room, &share, sums, lid);
        (void)gear_fit_count(counters + FIT_READY, room, lid);
    }
}

/* A of a part. */
GEAR__INLINE void gear_fit_project_part(const gear_fit *f, __global uint *counters, __local uint *room, uint lid)
{
    __local float *columns = (__local float *)room, *largest = columns + 4u * PROJECT_PITCH;
    const uint rows = gear_gram_rows(f);
    gear_project_rows x;
    gear_project_begin(f, rows, &x, lid);
    if (!f->parts) {
        return;
    }
    if (lid == 0u) {
        nv_wait_for(counters + FIT_READY, 1u);
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    gear_project(f, &x, columns, largest, 0u, rows, lid);
    gear_project_put(f, columns, largest, 0u, rows, lid);
    if (f->bits == 16u) {
        gear_project_halves(f, columns, rows, lid);
    }
    const uint is_last = gear_fit_count(counters + FIT_PROJECTED, room, lid) + 1u == gear_gram_parts(f);
    if (is_last && f->bits == 16u && lid == 0u) {
        counters[FIT_READY] = counters[FIT_PROJECTED] = 0u;
    }
}

/* A of a part as codes. */
GEAR__INLINE void gear_fit_store_part(const gear_fit *f, __global uint *counters, __local uint *room, uint lid)
{
    if (!f->parts) {
        return;
    }
    if (lid == 0u) {
        nv_wait_for(counters + FIT_PROJECTED, gear_gram_parts(f));
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    gear_project_codes(f, gear_gram_rows(f), lid);
    if (gear_fit_count(counters + FIT_STORED, room, lid) + 1u == gear_gram_parts(f) && lid == 0u) {
        counters[FIT_READY] = counters[FIT_PROJECTED] = counters[FIT_STORED] = 0u;
    }
}

/* The parts before those of a job, and how many it has. */
GEAR__INLINE uint2 gear_fit_parts(__global const uint *jobs, uint j)
{
    __global const uint *job = jobs + j * GEAR__JOB_WORDS;
    return (uint2)(job[GEAR__JOB_FIT], GEAR__FIT_NV_PARTS(job[GEAR__JOB_BLOCKS]));
}

/* Without the attribute of the work-group size, with which the compiler takes all registers there are. */
__kernel void gear_k_append_4_lowrank_fit_nvidia(FIT_ARGUMENTS, __global uint *counters, uint num_jobs)
{
    __local uint room[FIT_LOCAL] __attribute__((aligned(16)));
    const uint lid = (uint)get_local_id(0), heads = (uint)get_num_groups(1), tasks = (uint)get_num_groups(0) * heads;
    const uint of_kind = tasks / GEAR__FIT_NV_KINDS(shape[GEAR_SIDE(is_v) + GEAR__SIDE_FACTOR_BITS]);
    uint j = lid;
    uint2 parts = gear_fit_parts(jobs, min(j, num_jobs - 1u)); /* asked for while the task is not known */
    if (lid == 0u) {
        const uint taken = nv_count(counters);
        *room = taken;
        if (taken + 1u == tasks) {
            *counters = 0u;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const uint task = *room, kind = task / of_kind, place = task % of_kind;
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    while (j < num_jobs) { /* parts of a job, then KV heads, then jobs */
        if (place / heads - parts.x < parts.y) {
            room[0] = j;
            room[1] = place - parts.x * heads;
            room[2] = parts.y;
        }
        j += GRAM_ITEMS;
        parts = gear_fit_parts(jobs, min(j, num_jobs - 1u));
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const uint number = room[0], part = room[1] % room[2], head = room[1] / room[2];
    barrier(CLK_LOCAL_MEM_FENCE);
    const gear_fit f =
        gear_fit_of(shape, is_v, pool, table, jobs + number * GEAR__JOB_WORDS, num_rows, slot, r, scratch, part, head);
    __global uint *own =
        counters + 1u + GEAR__FIT_NV_COUNTERS * (f.job[GEAR__JOB_ROW] / 64u * heads + head * f.job[GEAR__JOB_BLOCKS]);
    if (kind == 0u) {
        gear_fit_gram_part(&f, own, room, lid);
    } else if (kind == 1u) {
        gear_fit_project_part(&f, own, room, lid);
    } else {
        gear_fit_store_part(&f, own, room, lid);
    }
}
