/* append_5_store: the sparse part S = X - D - L at the marked places, in 16 or 8 bits, as lists ordered by their consumer: K
 * one list for each token (and 128 channels), V one for each channel. Writes list lengths and bases to the blocks, entries to
 * the segment record. Convention: docs/design.md, rule 9; docs/format.md. Reference: src/ref/append_5_store.c. Three launches:
 * count, bases, store. */
#include "decode.clh"
#include "exact.clh"

#if !defined HEAD_DIM || !defined IS_V || !defined BITS
#  error "HEAD_DIM, IS_V or BITS is missing"
#endif

#define LISTS_PER_TOKEN ((HEAD_DIM + 127) / 128)
#if IS_V
#  define LISTS       HEAD_DIM
#  define LIST_PLACES 64 /* that a list may have entries for */
#else
#  define LISTS       (64 * LISTS_PER_TOKEN)
#  define LIST_PLACES (HEAD_DIM / LISTS_PER_TOKEN)
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

/* What D + L leaves of a staged value. */
GEAR__INLINE float gear_rest(const gear_block_view *view, uint x, uint token, uint channel)
{
    return gear_float_from_half(x) - gear_backbone(view, IS_V, BITS, HEAD_DIM, token, channel) -
           gear_lowrank(view, token, channel, HEAD_DIM);
}

/* Writes the entries. Range: 64 work-items for each (staging block, KV head). */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_5_store(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask)
{
    __local uint start[LISTS];
    __local float part[64];
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *side = shape + GEAR_SIDE(IS_V);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    uint block = entry[GEAR__BLOCK_OFFSET], segment = entry[GEAR__BLOCK_SEGMENT], cls = job[GEAR__JOB_CLASS];
    __global uchar *record = gear_block_head(pool, shape, block, cls, head);
    __global const uchar *counts = record + side[GEAR__SIDE_COUNTS];
    const uint is_short = side[GEAR__SIDE_OUTLIERS] == 8u;
    const gear_block_view view = gear_view_block(pool, shape, IS_V, HEAD_DIM, block, segment, cls, head);
    x += ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    mask += ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    if (lid == 0u) {
        uint sum = ((__global uint *)(gear_record(pool, block) + shape[GEAR__SHAPE_BASES]))[2u * head + IS_V];
        for (uint i = 0; i < LISTS; i++) {
            start[i] = sum;
            sum += counts[i];
        }
    }

    /* deltas of 8 bits share a scale: the largest first */
    float largest = 0.0f;
    for (uint i = lid; i < (is_short ? 64u * HEAD_DIM : 0u); i += 64u) {
        if (mask[i] == GEAR__MASK_OUTLIER) {
            largest = fmax(largest, fabs(gear_rest(&view, x[i], i / HEAD_DIM, i % HEAD_DIM)));
        }
    }
    part[lid] = largest;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = 0; i < 64u; i++) {
        largest = fmax(largest, part[i]);
    }
    const uint scale_bits = gear_half_saturate(largest * 0x1.020408p-7f);
    const float scale = gear_float_from_half(scale_bits), inverse = scale_bits ? gear_inverse(scale_bits) : 0.0f;
    if (is_short && lid == 0u) {
        *(__global ushort *)(record + side[GEAR__SIDE_DELTA_SCALE]) = (ushort)scale_bits;
    }

    __global uchar *indices = gear_record(pool, segment) + job[GEAR__JOB_PARTS + 2u * IS_V];
    __global uchar *deltas = gear_record(pool, segment) + job[GEAR__JOB_PARTS + 2u * IS_V + 1u];
    for (uint list = lid; list < LISTS; list += 64u) {
        uint next = start[list];
        for (uint i = 0; i < LIST_PLACES; i++) {
#if IS_V
            uint token = i, channel = list, index = token;
#else
            uint token = list / LISTS_PER_TOKEN, channel = list % LISTS_PER_TOKEN * LIST_PLACES + i, index = channel;
#endif
            if (mask[token * HEAD_DIM + channel] != GEAR__MASK_OUTLIER) {
                continue;
            }
            float delta = gear_rest(&view, x[token * HEAD_DIM + channel], token, channel);
            indices[next] = (uchar)index;
            if (is_short) {
                int code = (int)gear_code(fabs(delta), scale, inverse, 127.0f);
                ((__global char *)deltas)[next] = (char)(delta < 0.0f ? -code : code);
            } else {
                ((__global ushort *)deltas)[next] = (ushort)gear_half_saturate(delta);
            }
            next++;
        }
    }
}
