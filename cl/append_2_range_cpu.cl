/* append_2_range_cpu: append_2_range for CPU devices: the same arguments and pairs, 16 values at a time as integers of the
 * order of halves. Reference: src/ref/append_2_range.c. */
#include "fit.clh"
#include "order.clh"
#include "vectors.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* Of 16 groups, or of 16 parts of one: lo above hi where nothing is kept. */
typedef struct gear_ranges16 {
    short16 lo, hi;
} gear_ranges16;

GEAR__INLINE gear_ranges16 gear_no_ranges16(void)
{
    const gear_ranges16 none = {(short16)(0x7fff), (short16)(-0x7fff)};
    return none;
}

GEAR__INLINE void gear_widen16(gear_ranges16 *r, __global const ushort *x, __global const uchar *mask)
{
    const short16 v = gear_order16(vload16(0, x));
    const short16 is_out =
        convert_short16(vload16(0, mask) & (uchar16)(GEAR__MASK_OUTLIER | GEAR__MASK_PADDING)) != (short16)(0);
    r->lo = is_out ? r->lo : min(r->lo, v);
    r->hi = is_out ? r->hi : max(r->hi, v);
}

/* Half of the pairs of gear_put_pairs16. */
GEAR__INLINE ushort8 gear_scales8(float8 lo, float8 hi, float reciprocal)
{
    return gear_halves8((hi - lo) * reciprocal);
}

/* Writes 16 pairs that lie side by side: scales, and the zeros `zero` halves further. */
GEAR__INLINE void gear_put_pairs16(__global ushort *at, uint zero, gear_ranges16 r, float reciprocal)
{
    const short16 is_kept = r.lo <= r.hi;
    const ushort16 lo = gear_half_of_order16(r.lo & is_kept), hi = gear_half_of_order16(r.hi & is_kept);
    const ushort8 low8 = gear_scales8(gear_unpack8(as_uint4(lo.lo)), gear_unpack8(as_uint4(hi.lo)), reciprocal);
    const ushort8 high8 = gear_scales8(gear_unpack8(as_uint4(lo.hi)), gear_unpack8(as_uint4(hi.hi)), reciprocal);
    vstore16((ushort16)(low8, high8), 0, at);
    vstore16(lo, 0, at + zero);
}

/* Channels first .. first + channels - 1 of `rows` tokens, in groups of `group` tokens. */
static __attribute__((noinline)) void gear_range_channels(const gear_pairs *p, __global const ushort *x,
                                                          __global const uchar *mask, uint first, uint channels, uint rows,
                                                          uint group, float reciprocal)
{
#pragma unroll 1
    for (uint channel = first; channel < first + channels; channel += 16u) {
#pragma unroll 1
        for (uint token = 0; token < rows; token += group) {
            gear_ranges16 r = gear_no_ranges16();
#pragma unroll 2
            for (uint t = token; t < token + group; t++) {
                gear_widen16(&r, x + t * HEAD_DIM + channel, mask + t * HEAD_DIM + channel);
            }
            gear_put_pairs16(p->data + gear_pair_index(p, token, channel), p->zero, r, reciprocal);
        }
    }
}

/* Groups along tokens. Range: (parts of the channels, KV heads, staging blocks) with whole_segment 0, (parts of the channels,
 * KV heads, jobs) with 1. A part is a multiple of 16 channels. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_2_range_channels_cpu(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, uint whole_segment, __global const ushort *x, __global const uchar *mask)
{
    const uint head = (uint)get_group_id(1), z = (uint)get_group_id(2), channels = HEAD_DIM / (uint)get_num_groups(0);
    __global const uint *job = jobs + (whole_segment ? z : row_jobs[z]) * GEAR__JOB_WORDS;
    const uint row_block = whole_segment ? job[GEAR__JOB_ROW] / 64u : z;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    const gear_pairs p = gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT],
                                       job[GEAR__JOB_CLASS], head);
    const uint rows = whole_segment ? job[GEAR__JOB_TOKENS] : 64u, group = whole_segment ? rows : 1u << p.token_shift;
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    gear_range_channels(&p, x + at, mask + at, channels * (uint)get_group_id(0), channels, rows, group,
                        gear_reciprocal_of_top(shape[GEAR_SIDE(is_v) + GEAR__SIDE_BITS]));
}

/* The tokens of a block, in groups of channels first .. end - 1 of `heads` heads, `head_stride` values apart. */
GEAR__INLINE void gear_range_tokens(__global const ushort *x, __global const uchar *mask, uint first, uint end, uint heads,
                                    ulong head_stride, __global ushort *pairs, uint zero, float reciprocal)
{
    short lo[64], hi[64];
#pragma unroll 1
    for (uint token = 0; token < 64u; token++) {
        gear_ranges16 r = gear_no_ranges16();
#pragma unroll 1
        for (uint head = 0; head < heads; head++) {
            const ulong at = head * head_stride + token * HEAD_DIM;
#pragma unroll 2
            for (uint c = first; c < end; c += 16u) {
                gear_widen16(&r, x + at + c, mask + at + c);
            }
        }
        lo[token] = gear_first16(r.lo);
        hi[token] = gear_last16(r.hi);
    }
#pragma unroll 1
    for (uint i = 0; i < 4u; i++) {
        const gear_ranges16 r = {vload16(i, lo), vload16(i, hi)};
        gear_put_pairs16(pairs + 16u * i, zero, r, reciprocal);
    }
}

static __attribute__((noinline)) void gear_range_token_groups(const gear_pairs *p, __global const ushort *x,
                                                              __global const uchar *mask, uint group, uint heads,
                                                              ulong head_stride, float reciprocal)
{
#pragma unroll 1
    for (uint first = 0; first < HEAD_DIM; first += group) {
        gear_range_tokens(x, mask, first, min(first + group, (uint)HEAD_DIM), heads, head_stride,
                          p->data + gear_pair_index(p, 0u, first), p->zero, reciprocal);
    }
}

/* Groups along channels. Range: (staging blocks, KV heads) with all_heads 0, (staging blocks, 1) with 1. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_2_range_tokens_cpu(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, uint all_heads, __global const ushort *x, __global const uchar *mask)
{
    const uint row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    const gear_pairs p = gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT],
                                       job[GEAR__JOB_CLASS], head);
    const uint group = all_heads ? HEAD_DIM : min(1u << p.channel_shift, (uint)HEAD_DIM);
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    gear_range_token_groups(&p, x + at, mask + at, group, all_heads ? shape[GEAR__SHAPE_KV_HEADS] : 1u,
                            (ulong)num_rows * HEAD_DIM, gear_reciprocal_of_top(shape[GEAR_SIDE(is_v) + GEAR__SIDE_BITS]));
}
