/* append_5_store: the sparse part S = half(X - D - L) at the marked places, as lists ordered by their consumer: K one list for
 * each token (and 128 channels), V one for each channel. Writes list lengths and bases to the blocks, entries to the segment
 * record. Convention: docs/design.md, rule 9; docs/format.md. Reference: src/ref/append_5_store.c. Three launches: count,
 * bases, store. */
#include "decode.clh"
#include "exact.clh"

#if !defined HEAD_DIM || !defined IS_V || !defined BITS
#  error "HEAD_DIM, IS_V or BITS is missing"
#endif

#define LISTS_PER_TOKEN ((HEAD_DIM + 127) / 128)
#if IS_V
#  define LISTS HEAD_DIM
#else
#  define LISTS (64 * LISTS_PER_TOKEN)
#endif

/* Counts the entries of each list. Range: 64 work-items for each (staging block, KV head). The total goes to the base word. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_5_count(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const uchar *mask)
{
    __local uint part[64];
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    uint block = entry[GEAR__BLOCK_OFFSET];
    __global uchar *counts =
        gear_block_head(pool, shape, block, job[GEAR__JOB_CLASS], head) + shape[GEAR_SIDE(IS_V) + GEAR__SIDE_COUNTS];
    __global const uchar *marks = mask + ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    uint total = 0u;
    for (uint list = lid; list < LISTS; list += 64u) {
        uint count = 0u;
#if IS_V
        for (uint t = 0; t < 64u; t++) {
            count += marks[t * HEAD_DIM + list] == GEAR__MASK_OUTLIER;
        }
#else
        uint t = list / LISTS_PER_TOKEN, first = list % LISTS_PER_TOKEN * 128u;
        for (uint c = first; c < min(first + 128u, (uint)HEAD_DIM); c++) {
            count += marks[t * HEAD_DIM + c] == GEAR__MASK_OUTLIER;
        }
#endif
        counts[list] = (uchar)count;
        total += count;
    }
    part[lid] = total;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid == 0u) {
        uint sum = 0u;
        for (uint i = 0; i < 64u; i++) {
            sum += part[i];
        }
        ((__global uint *)(gear_record(pool, block) + shape[GEAR__SHAPE_BASES]))[2u * head + IS_V] = sum;
    }
}

/* Turns the totals of a segment into exclusive sums, head after head, and writes the segment header. Range: (jobs). */
__kernel void gear_k_append_5_bases(__global const uint *shape, __global uchar *pool, __global const uint *table,
                                    __global const uint *jobs, uint num_jobs)
{
    uint j = (uint)get_global_id(0);
    if (j >= num_jobs) {
        return;
    }
    __global const uint *job = jobs + j * GEAR__JOB_WORDS;
    uint sum = 0u;
    for (uint head = 0; head < shape[GEAR__SHAPE_KV_HEADS]; head++) {
        for (uint i = 0; i < job[GEAR__JOB_BLOCKS]; i++) {
            uint block = table[(job[GEAR__JOB_TABLE] + i) * (ulong)GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET];
            __global uint *base = (__global uint *)(gear_record(pool, block) + shape[GEAR__SHAPE_BASES]) + 2u * head + IS_V;
            uint total = *base;
            *base = sum;
            sum += total;
        }
    }
    __global uint *header = (__global uint *)gear_record(pool, job[GEAR__JOB_SEGMENT]);
    header[GEAR__SEGMENT_OUTLIERS_K + IS_V] = sum;
}

/* Writes the entries. Range: 64 work-items for each (staging block, KV head). */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_5_store(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask)
{
    __local uint start[LISTS];
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    uint block = entry[GEAR__BLOCK_OFFSET], segment = entry[GEAR__BLOCK_SEGMENT], cls = job[GEAR__JOB_CLASS];
    __global const uchar *counts = gear_block_head(pool, shape, block, cls, head) + shape[GEAR_SIDE(IS_V) + GEAR__SIDE_COUNTS];
    if (lid == 0u) {
        uint sum = ((__global uint *)(gear_record(pool, block) + shape[GEAR__SHAPE_BASES]))[2u * head + IS_V];
        for (uint i = 0; i < LISTS; i++) {
            start[i] = sum;
            sum += counts[i];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    gear_block_view view = gear_view_block(pool, shape, IS_V, HEAD_DIM, block, segment, cls, head);
    __global uchar *indices = gear_record(pool, segment) + job[GEAR__JOB_PARTS + 2u * IS_V];
    __global ushort *deltas = (__global ushort *)(gear_record(pool, segment) + job[GEAR__JOB_PARTS + 2u * IS_V + 1u]);
    ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    for (uint list = lid; list < LISTS; list += 64u) {
        uint next = start[list];
#if IS_V
        for (uint token = 0; token < 64u; token++) {
            uint channel = list, index = token;
#else
        uint token = list / LISTS_PER_TOKEN, first = list % LISTS_PER_TOKEN * 128u;
        for (uint channel = first; channel < min(first + 128u, (uint)HEAD_DIM); channel++) {
            uint index = channel;
#endif
            ulong i = at + token * HEAD_DIM + channel;
            if (mask[i] != GEAR__MASK_OUTLIER) {
                continue;
            }
            float delta = gear_float_from_half(x[i]) - gear_backbone(&view, IS_V, BITS, HEAD_DIM, token, channel) -
                          gear_lowrank(&view, token, channel, HEAD_DIM);
            indices[next] = (uchar)index;
            deltas[next] = (ushort)gear_half_saturate(delta);
            next++;
        }
    }
}
