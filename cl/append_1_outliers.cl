/* append_1_outliers: marks the outliers of one side in the staging mask (paper, section 3: the s/2 largest and smallest of a
 * vector). Convention: docs/design.md, rule 4. Reference: src/ref/append_1_outliers.c. Values compare by a 16-bit key, so the
 * k-th largest is found by 16 counting passes, bit by bit, with no sort. */
#include "exact.clh"
#include "mixed.clh"
#include "reduce.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* Order of halves as unsigned numbers; -0 equals +0. */
GEAR__INLINE uint gear_key(uint half_bits)
{
    uint h = half_bits == 0x8000u ? 0u : half_bits;
    return h & 0x8000u ? 0xffffu & ~h : h | 0x8000u;
}

/* A vector of values in the staging array: two nested strides. */
typedef struct gear_vector {
    __global const ushort *x;
    __global uchar *mask;
    ulong outer_stride, inner_stride;
    uint outer, inner;
} gear_vector;

/* Marks the k values of largest (flip = 0) or smallest (flip = 0xffff) key that no mark excludes; equal keys by lower index. */
GEAR__INLINE void gear_mark_extremes(const gear_vector *v, uint k, uint flip)
{
    if (!k) {
        return;
    }
    uint threshold = 0u, above = 0u;
    for (uint bit = 0x8000u; bit; bit >>= 1) {
        uint candidate = threshold | bit, count = 0u;
        for (uint i = 0; i < v->outer; i++) {
            for (uint j = 0; j < v->inner; j++) {
                ulong at = i * v->outer_stride + j * v->inner_stride;
                count += v->mask[at] == 0 && (gear_key(v->x[at]) ^ flip) >= candidate;
            }
        }
        if (count >= k) {
            threshold = candidate;
        } else {
            above = max(above, count);
        }
    }
    uint ties = k - above; /* values equal to the threshold that are still taken */
    for (uint i = 0; i < v->outer; i++) {
        for (uint j = 0; j < v->inner; j++) {
            ulong at = i * v->outer_stride + j * v->inner_stride;
            uint key = gear_key(v->x[at]) ^ flip;
            if (v->mask[at] == 0 && key >= threshold && (key > threshold || ties)) {
                ties -= key == threshold;
                v->mask[at] = GEAR__MASK_OUTLIER;
            }
        }
    }
}

GEAR__INLINE void gear_mark_both_ends(const gear_vector *v, uint per_end)
{
    gear_mark_extremes(v, per_end, 0u);
    gear_mark_extremes(v, per_end, 0xffffu);
}

/* Vector rule, K: a channel over its segment. Range: (channels, KV heads, jobs). */
__kernel void gear_k_append_1_outliers_channels(__global const uint *jobs, uint is_v, uint num_rows, uint heads,
                                                __global const ushort *x, __global uchar *mask)
{
    uint channel = (uint)get_global_id(0), head = (uint)get_global_id(1), j = (uint)get_global_id(2);
    if (channel >= HEAD_DIM || head >= heads) {
        return;
    }
    __global const uint *job = jobs + j * GEAR__JOB_WORDS;
    ulong at = ((ulong)head * num_rows + job[GEAR__JOB_ROW]) * HEAD_DIM + channel;
    gear_vector v = {x + at, mask + at, HEAD_DIM, 0ul, job[GEAR__JOB_TOKENS], 1u};
    gear_mark_both_ends(&v, job[GEAR__JOB_PER_END + is_v]);
}

/* Vector rule, V and the token backbone: a token over all heads. Range: (staging rows). */
__kernel void gear_k_append_1_outliers_tokens(uint per_end, uint num_rows, uint heads, __global const ushort *x,
                                              __global uchar *mask)
{
    uint row = (uint)get_global_id(0);
    if (row >= num_rows || mask[(ulong)row * HEAD_DIM] != 0) { /* exact and padding tokens have none */
        return;
    }
    ulong at = (ulong)row * HEAD_DIM;
    gear_vector v = {x + at, mask + at, (ulong)num_rows * HEAD_DIM, 1ul, heads, HEAD_DIM};
    gear_mark_both_ends(&v, per_end);
}

GEAR_REDUCE_64(gear_count_64, uint, GEAR_ADD)

/* Where the block rule finds the middle and the scale of a value's group. */
typedef struct gear_groups {
    gear_pairs pairs;
    __global const uint *side;
    __global const uchar *record;
    uint is_v, mixed;
    float half_top;
} gear_groups;

/* Distance from the middle of the group in units of its scale; a float >= 0 compares like its bits. */
GEAR__INLINE uint gear_distance_key(const gear_groups *g, uint half_x, uint token, uint channel)
{
    float x = gear_float_from_half(half_x);
    if (g->mixed) {
        const gear_segment_view segment = gear_segment_of(g->side, channel);
        float2 pair = gear_mixed_pair(g->record, g->side, g->is_v, segment.index, token, channel);
        __global const ushort *supers = (__global const ushort *)(g->record + g->side[GEAR__SIDE_SUPERS]);
        uint super = supers[g->is_v ? 0u : 3u * segment.index];
        uint steps = (uint)rint(pair.x * gear_inverse(super)); /* pair.x is that many super scales */
        return as_uint(fabs(x - pair.y) * (gear_inverse(super) * gear_inverse_count(max(steps, 1u))));
    }
    uint i = gear_pair_index(&g->pairs, token, channel), scale_bits = g->pairs.data[i];
    if (!scale_bits) {
        return 0u;
    }
    float scale = gear_float_from_half(scale_bits);
    float middle = fma(g->half_top, scale, gear_float_from_half(g->pairs.data[i + g->pairs.zero]));
    return as_uint(fabs(x - middle) * gear_inverse(scale_bits));
}

/* Block rule: a budget for each (KV head, block). Range: 64 work-items, one a token, for each (staging block, KV head).
 * The records hold the pairs of the groups with nothing marked (append_2_range ran before). */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_1_outliers_block(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint budget, uint num_rows, __global const ushort *x, __global uchar *mask)
{
    __local uint part[64];
    uint token = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    uint cls = job[GEAR__JOB_CLASS];
    __global const uint *side = shape + GEAR_SIDE(is_v);
    const uint axis = side[GEAR__SIDE_AXIS], bits = side[GEAR__SIDE_BITS];
    const gear_groups g = {
        gear_pairs_of(pool, shape, is_v, HEAD_DIM, entry[GEAR__BLOCK_OFFSET], entry[GEAR__BLOCK_SEGMENT], cls, head),
        side,
        gear_block_head(pool, shape, entry[GEAR__BLOCK_OFFSET], cls, head),
        is_v,
        axis == GEAR__AXIS_MIXED_CHANNEL || axis == GEAR__AXIS_MIXED_TOKEN,
        0.5f * (float)((1u << bits) - 1u),
    };
    ulong at = ((ulong)head * num_rows + row_block * 64u + token) * HEAD_DIM;
    __global const ushort *values = x + at;
    __global uchar *marks = mask + at;

    uint available = gear_count_64(part, token, marks[0] == 0 ? HEAD_DIM : 0u), k = min(budget, available);
    uint threshold = 0u, above = 0u, bit = 0x40000000u;
    do {
        uint candidate = threshold | bit, count = 0u;
        for (uint c = 0; c < HEAD_DIM; c++) {
            count += marks[c] == 0 && gear_distance_key(&g, values[c], token, c) >= candidate;
        }
        count = gear_count_64(part, token, count);
        if (count >= k) {
            threshold = candidate;
        } else {
            above = max(above, count);
        }
        bit >>= 1;
    } while (bit);
    uint equal = 0u;
    for (uint c = 0; c < HEAD_DIM; c++) {
        equal += marks[c] == 0 && gear_distance_key(&g, values[c], token, c) == threshold;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    part[token] = equal;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint before = 0u;
    for (uint t = 0; t < token; t++) {
        before += part[t];
    }
    uint ties = k - above; /* of the whole block, lower index first */
    for (uint c = 0; c < HEAD_DIM; c++) {
        if (marks[c] != 0 || !k) {
            continue;
        }
        uint key = gear_distance_key(&g, values[c], token, c);
        if (key > threshold || (key == threshold && before < ties)) {
            marks[c] = GEAR__MASK_OUTLIER;
        }
        before += key == threshold;
    }
}
