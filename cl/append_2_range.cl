/* append_2_range: the (scale, zero) pair of every group of one side (paper, eq. 4), kept values only.
 * Convention: docs/design.md, rule 5. Reference: src/ref/append_2_range.c. Groups of more than a block take two launches: the
 * range of each block, many work-groups; then those of a segment are joined. */
#include "fit.clh"
#include "pairs.clh"
#include "vectors.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

#define OF_ROW      (HEAD_DIM / 8u) /* vectors of eight channels; no group is shorter than two */
#define RANGE_SLICE 8u              /* tokens that a work-item goes over; the same */
#define RANGE_PITCH (OF_ROW + 1u)   /* odd: columns and rows both meet different banks */

/* Ranges of eight channels, of keys that order halves (pairs.clh); lo above hi where nothing is kept. */
typedef struct gear_ranges8 {
    ushort8 lo, hi;
} gear_ranges8;

GEAR__INLINE gear_ranges8 gear_no_ranges8(void)
{
    const gear_ranges8 none = {(ushort8)(0xffff), (ushort8)(0)};
    return none;
}

GEAR__INLINE void gear_widen_ranges8(gear_ranges8 *r, uint4 words, uchar8 mask)
{
    const ushort8 key = as_ushort8((uint4)(gear_pair(words.x), gear_pair(words.y), gear_pair(words.z), gear_pair(words.w)));
    const ushort8 is_out =
        as_ushort8(convert_ushort8(mask & (uchar8)(GEAR__MASK_OUTLIER | GEAR__MASK_PADDING)) != (ushort8)(0));
    r->lo = min(r->lo, key | is_out);
    r->hi = max(r->hi, key & ~is_out);
}

/* One range of them all: lo in the low half. */
GEAR__INLINE uint gear_fold_ranges8(gear_ranges8 r)
{
    const ushort4 lo4 = min(r.lo.lo, r.lo.hi), hi4 = max(r.hi.lo, r.hi.hi);
    const ushort2 lo2 = min(lo4.lo, lo4.hi), hi2 = max(hi4.lo, hi4.hi);
    return (uint)min(lo2.x, lo2.y) | (uint)max(hi2.x, hi2.y) << 16;
}

/* The range of two. */
GEAR__INLINE uint gear_join_ranges(uint a, uint b)
{
    return min(a & 0xffffu, b & 0xffffu) | max(a & 0xffff0000u, b & 0xffff0000u);
}

/* Writes the pair of a range: scale, and the zero `zero` halves further. */
GEAR__INLINE void gear_put_pair(__global ushort *at, uint zero, uint lo, uint hi, float reciprocal)
{
    const uint kept = lo <= hi, low = kept ? gear_half_of_key(lo) : 0u, high = kept ? gear_half_of_key(hi) : 0u;
    at[0] = (ushort)gear_half_from_float((gear_float_from_half(high) - gear_float_from_half(low)) * reciprocal);
    at[zero] = (ushort)low;
}

/* Where the ranges of a block wait to be joined: for each eight channels, lo of all and hi of all. */
GEAR__INLINE __global ushort *gear_parts_of(__global ushort *parts, uint num_rows, uint head, uint row_block)
{
    return parts + ((ulong)head * (num_rows / 64u) + row_block) * 2u * HEAD_DIM;
}

/* Groups along tokens; is_part: longer than a block, their ranges go to parts. Work-groups: (staging blocks, KV heads). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_2_range_channels(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, uint is_part, __global const ushort *x, __global const uchar *mask,
    __global ushort *parts)
{
    __local ushort8 lows[HEAD_DIM], highs[HEAD_DIM]; /* [slice][eight channels] */
    const uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    const ulong block = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    for (uint i = lid; i < 64u / RANGE_SLICE * OF_ROW; i += ITEMS) {
        const ulong at = block + i / OF_ROW * RANGE_SLICE * HEAD_DIM + i % OF_ROW * 8u;
        gear_ranges8 r = gear_no_ranges8();
#pragma unroll
        for (uint t = 0; t < RANGE_SLICE; t++) {
            gear_widen_ranges8(&r, *(__global const uint4 *)(x + at + t * HEAD_DIM),
                               *(__global const uchar8 *)(mask + at + t * HEAD_DIM));
        }
        lows[i] = r.lo;
        highs[i] = r.hi;
    }
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    const gear_pairs p = gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT],
                                       job[GEAR__JOB_CLASS], head);
    const uint group = min(1u << p.token_shift, 64u);
    const float reciprocal = gear_reciprocal_of_top(shape[GEAR_SIDE(is_v) + GEAR__SIDE_BITS]);
    __global ushort *part = gear_parts_of(parts, num_rows, head, row_block);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < 64u / group * HEAD_DIM; i += ITEMS) {
        const uint channel = i % HEAD_DIM, first = i / HEAD_DIM * group;
        uint lo = 0xffffu, hi = 0u;
        for (uint slice = first / RANGE_SLICE; slice < (first + group) / RANGE_SLICE; slice++) {
            lo = min(lo, (uint)((__local const ushort *)lows)[slice * HEAD_DIM + channel]);
            hi = max(hi, (uint)((__local const ushort *)highs)[slice * HEAD_DIM + channel]);
        }
        if (is_part) {
            __global ushort *to = part + channel / 8u * 16u + channel % 8u;
            to[0] = (ushort)lo;
            to[8] = (ushort)hi;
        } else {
            gear_put_pair(p.data + gear_pair_index(&p, first, channel), p.zero, lo, hi, reciprocal);
        }
    }
}

#if ITEMS < 8 || ITEMS & (ITEMS - 1)
#  error "the join halves its work-items"
#endif

/* Joins the ranges of the blocks of each segment. Work-groups: (vectors of eight channels, KV heads, jobs). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_2_range_join(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    uint num_rows, __global ushort *parts)
{
    __local ushort8 lows[ITEMS], highs[ITEMS];
    const uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS;
    const uint row_block = job[GEAR__JOB_ROW] / 64u, blocks = job[GEAR__JOB_BLOCKS];
    __global const ushort *part = gear_parts_of(parts, num_rows, head, row_block) + (uint)get_group_id(0) * 16u;
    gear_ranges8 r = gear_no_ranges8();
    for (uint b = lid; b < blocks; b += ITEMS) {
        __global const ushort8 *of_block = (__global const ushort8 *)(part + (ulong)b * 2u * HEAD_DIM);
        r.lo = min(r.lo, of_block[0]);
        r.hi = max(r.hi, of_block[1]);
    }
    lows[lid] = r.lo;
    highs[lid] = r.hi;
    uint rest = ITEMS;
    do {
        rest /= 2u;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid < rest) {
            lows[lid] = min(lows[lid], lows[lid + rest]);
            highs[lid] = max(highs[lid], highs[lid + rest]);
        }
    } while (rest > 1u);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < 8u) {
        const uint channel = (uint)get_group_id(0) * 8u + lid;
        __global const uint *entry = gear_entry_of(table, job, row_block);
        const gear_pairs p = gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT],
                                           job[GEAR__JOB_CLASS], head);
        gear_put_pair(p.data + gear_pair_index(&p, 0u, channel), p.zero, ((__local const ushort *)lows)[lid],
                      ((__local const ushort *)highs)[lid], gear_reciprocal_of_top(shape[GEAR_SIDE(is_v) + GEAR__SIDE_BITS]));
    }
}

/* Groups along channels; all_heads: and KV heads. Work-groups: (GEAR__RANGE_TOKENS of a staging block, KV heads; with all_heads
 * one). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_2_range_tokens(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, uint all_heads, __global const ushort *x, __global const uchar *mask)
{
    __local uint ranges[GEAR__RANGE_TOKENS * RANGE_PITCH]; /* [token][eight channels] */
    const uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1), heads = all_heads ? shape[GEAR__SHAPE_KV_HEADS] : 1u;
    const uint row = (uint)get_group_id(0) * GEAR__RANGE_TOKENS, row_block = row / 64u;
    const ulong of_head = (ulong)num_rows * HEAD_DIM, tokens = head * of_head + row * HEAD_DIM;
    for (uint i = lid; i < GEAR__RANGE_TOKENS * OF_ROW; i += ITEMS) {
        gear_ranges8 r = gear_no_ranges8();
#pragma unroll 4
        for (uint h = 0; h < heads; h++) {
            const ulong at = tokens + h * of_head + i * 8u;
            gear_widen_ranges8(&r, *(__global const uint4 *)(x + at), *(__global const uchar8 *)(mask + at));
        }
        ranges[i / OF_ROW * RANGE_PITCH + i % OF_ROW] = gear_fold_ranges8(r);
    }
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    const gear_pairs p = gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT],
                                       job[GEAR__JOB_CLASS], head);
    const uint group = min(1u << p.channel_shift, (uint)HEAD_DIM);
    const float reciprocal = gear_reciprocal_of_top(shape[GEAR_SIDE(is_v) + GEAR__SIDE_BITS]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < (HEAD_DIM + group - 1u) / group * GEAR__RANGE_TOKENS; i += ITEMS) {
        const uint token = i % GEAR__RANGE_TOKENS, first = i / GEAR__RANGE_TOKENS * group,
                   end = min(first + group, (uint)HEAD_DIM);
        uint all = ranges[token * RANGE_PITCH + first / 8u];
        for (uint piece = first / 8u + 1u; piece < end / 8u; piece++) {
            all = gear_join_ranges(all, ranges[token * RANGE_PITCH + piece]);
        }
        gear_put_pair(p.data + gear_pair_index(&p, row % 64u + token, first), p.zero, all & 0xffffu, all >> 16, reciprocal);
    }
}
