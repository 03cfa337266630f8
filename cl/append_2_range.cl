/* append_2_range: the (scale, zero) pair of every group of one side (paper, eq. 4), kept values only.
 * Convention: docs/design.md, rule 5. Reference: src/ref/append_2_range.c. */
#include "fit.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

typedef struct gear_range {
    float lo, hi;
    uint kept;
} gear_range;

GEAR__INLINE void gear_widen(gear_range *r, uint half_x, uint mask)
{
    if (mask & (GEAR__MASK_OUTLIER | GEAR__MASK_PADDING)) {
        return;
    }
    float x = gear_float_from_half(half_x) + 0.0f; /* -0 becomes +0: the bits must not depend on the order of reading */
    r->lo = r->kept ? fmin(r->lo, x) : x;
    r->hi = r->kept ? fmax(r->hi, x) : x;
    r->kept = 1u;
}

GEAR__INLINE void gear_widen8(gear_range *r, ushort8 x, uchar8 mask)
{
    gear_widen(r, x.s0, mask.s0);
    gear_widen(r, x.s1, mask.s1);
    gear_widen(r, x.s2, mask.s2);
    gear_widen(r, x.s3, mask.s3);
    gear_widen(r, x.s4, mask.s4);
    gear_widen(r, x.s5, mask.s5);
    gear_widen(r, x.s6, mask.s6);
    gear_widen(r, x.s7, mask.s7);
}

/* Writes the pair: scale, and the zero `zero` halves further. */
GEAR__INLINE void gear_put_pair(__global ushort *at, uint zero, const gear_range *r, float reciprocal)
{
    at[0] = (ushort)gear_half_from_float((r->hi - r->lo) * reciprocal);
    at[zero] = (ushort)gear_half_from_float(r->lo);
}

/* Groups along tokens. Range: (channels, KV heads, staging blocks) with whole_segment 0, (channels, KV heads, jobs) with 1. */
__kernel void gear_k_append_2_range_channels(__global const uint *shape, uint is_v, __global uchar *pool,
                                             __global const uint *table, __global const uint *jobs,
                                             __global const uint *row_jobs, uint num_rows, uint whole_segment,
                                             __global const ushort *x, __global const uchar *mask)
{
    uint channel = (uint)get_global_id(0), head = (uint)get_global_id(1), z = (uint)get_global_id(2);
    if (channel >= HEAD_DIM || head >= shape[GEAR__SHAPE_KV_HEADS]) {
        return;
    }
    __global const uint *job = jobs + (whole_segment ? z : row_jobs[z]) * GEAR__JOB_WORDS;
    uint row_block = whole_segment ? job[GEAR__JOB_ROW] / 64u : z;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    gear_pairs p = gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT],
                                 job[GEAR__JOB_CLASS], head);
    uint rows = whole_segment ? job[GEAR__JOB_TOKENS] : 64u, group = whole_segment ? rows : 1u << p.token_shift;
    float reciprocal = gear_reciprocal_of_top(shape[GEAR_SIDE(is_v) + GEAR__SIDE_BITS]);
    ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM + channel;
    for (uint first = 0; first < rows; first += group) {
        gear_range r = {0.0f, 0.0f, 0u};
        for (uint t = first; t < first + group; t++) {
            gear_widen(&r, x[at + t * HEAD_DIM], mask[at + t * HEAD_DIM]);
        }
        gear_put_pair(p.data + gear_pair_index(&p, whole_segment ? 0u : first, channel), p.zero, &r, reciprocal);
    }
}

/* Groups along channels. Range: (staging rows, KV heads) with all_heads 0, (staging rows, 1) with 1. */
__kernel void gear_k_append_2_range_tokens(__global const uint *shape, uint is_v, __global uchar *pool,
                                           __global const uint *table, __global const uint *jobs, __global const uint *row_jobs,
                                           uint num_rows, uint all_heads, __global const ushort *x, __global const uchar *mask)
{
    uint row = (uint)get_global_id(0), head = (uint)get_global_id(1), heads = shape[GEAR__SHAPE_KV_HEADS];
    if (row >= num_rows || head >= heads) {
        return;
    }
    __global const uint *job = jobs + row_jobs[row / 64u] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row / 64u);
    gear_pairs p = gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT],
                                 job[GEAR__JOB_CLASS], head);
    uint group = all_heads ? HEAD_DIM : min(1u << p.channel_shift, (uint)HEAD_DIM);
    float reciprocal = gear_reciprocal_of_top(shape[GEAR_SIDE(is_v) + GEAR__SIDE_BITS]);
    for (uint first = 0; first < HEAD_DIM; first += group) {
        gear_range r = {0.0f, 0.0f, 0u};
        for (uint h = head; h < (all_heads ? heads : head + 1u); h++) {
            ulong at = ((ulong)h * num_rows + row) * HEAD_DIM;
            for (uint c = first; c < min(first + group, (uint)HEAD_DIM); c += 8u) {
                gear_widen8(&r, *(__global const ushort8 *)(x + at + c), *(__global const uchar8 *)(mask + at + c));
            }
        }
        gear_put_pair(p.data + gear_pair_index(&p, row & 63u, first), p.zero, &r, reciprocal);
    }
}
