/* append_1_outliers_cpu: append_1_outliers for CPU devices: the same arguments and marks, one work-item for 16 channels, 16
 * tokens, or a block of a KV head. A limit is found bit by bit: 16 values are compared at once, those of both ends in one
 * reading. Reference: src/ref/append_1_outliers.c. */
#include "block_rule.clh"
#include "order.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* Limits of 16 vectors, or of one in all lanes: the k-th largest value and the k-th smallest, negated so that both are looked
 * for from below; how many lie beyond them. */
typedef struct gear_limits {
    ushort16 most, least;
    ushort16 above, below;
} gear_limits;

#define SELECT_START(bits) as_short16((bits) ^ (ushort16)(0x8000))

/* Takes a bit into the limits where enough values reach the limit with it. */
GEAR__INLINE void gear_take_bit(gear_limits *l, ushort16 bit, ushort16 above, ushort16 below, ushort16 k)
{
    l->above = above >= k ? l->above : max(l->above, above);
    l->below = below >= k ? l->below : max(l->below, below);
    l->most = above >= k ? l->most | bit : l->most;
    l->least = below >= k ? l->least | bit : l->least;
}

/* Equals of the limits that are taken, and seen so far, of one vector. */
typedef struct gear_ties {
    int most, least; /* the limits */
    uint of_most, of_least, skip, seen_most, seen_least;
} gear_ties;

GEAR__INLINE gear_ties gear_ties_of(int most, int least, uint above, uint below, uint k)
{
    const gear_ties t = {most, least, k - above, k - below, most == least ? k - above : 0u, 0u, 0u};
    return t;
}

/* Whether a value at a limit is taken. */
GEAR__INLINE uchar gear_take_tie(gear_ties *t, int value)
{
    uint taken = 0u;
    if (value == t->most) {
        taken |= t->seen_most++ < t->of_most;
    }
    if (value == t->least) {
        taken |= t->seen_least >= t->skip && t->seen_least - t->skip < t->of_least;
        t->seen_least++;
    }
    return (uchar)taken;
}

/* Marks 16 values. ties: of the vectors of the lanes, `step` apart (0: one vector). */
GEAR__INLINE void gear_mark16(short16 v, short16 most, short16 least, __global uchar *mask, gear_ties *ties, uint step)
{
    vstore16(as_uchar16(convert_char16((v > most) | (v < least))) & (uchar16)(GEAR__MASK_OUTLIER), 0, mask);
    if (any((v == most) | (v == least))) {
        short value[16];
        vstore16(v, 0, value);
#pragma unroll 1
        for (uint i = 0; i < 16u; i++) {
            if (gear_take_tie(ties + i * step, value[i])) {
                mask[i] = GEAR__MASK_OUTLIER;
            }
        }
    }
}

/* Not inlined, here and below: PoCL puts three copies of a kernel into its program, and this way the work is compiled once. */
static __attribute__((noinline)) void gear_select_channels(__global const ushort *x, __global uchar *mask, uint tokens, uint k)
{
    uint exact = 0u; /* a sequence's first tokens, 64 at most */
    while (exact < tokens && mask[exact * HEAD_DIM] != 0) {
        exact++;
    }
    gear_limits l = {0, 0, 0, 0};
#pragma unroll 1
    for (uint at = 0x8000u; at && k; at >>= 1) {
        const ushort16 bit = (ushort)at;
        const short16 most = SELECT_START(l.most | bit), least = -SELECT_START(l.least | bit);
        ushort16 above = 0, below = 0;
        for (uint t = exact; t < tokens; t++) {
            const short16 v = gear_order16(vload16(0, x + t * HEAD_DIM));
            above -= as_ushort16(v >= most);
            below -= as_ushort16(v <= least);
        }
        gear_take_bit(&l, bit, above, below, (ushort16)((ushort)k));
    }
    if (!k) {
        return;
    }
    const short16 most = SELECT_START(l.most), least = -SELECT_START(l.least);
    short of_most[16], of_least[16];
    ushort above[16], below[16];
    gear_ties ties[16];
    vstore16(most, 0, of_most);
    vstore16(least, 0, of_least);
    vstore16(l.above, 0, above);
    vstore16(l.below, 0, below);
    for (uint i = 0; i < 16u; i++) {
        ties[i] = gear_ties_of(of_most[i], of_least[i], above[i], below[i], k);
    }
#pragma unroll 1
    for (uint t = exact; t < tokens; t++) {
        gear_mark16(gear_order16(vload16(0, x + t * HEAD_DIM)), most, least, mask + t * HEAD_DIM, ties, 1u);
    }
}

/* Vector rule, K: 16 channels over their segment. Range: (groups of 16 channels, KV heads, jobs). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_1_outliers_channels_cpu(__global const uint *jobs,
                                                                                                   uint is_v, uint num_rows,
                                                                                                   __global const ushort *x,
                                                                                                   __global uchar *mask)
{
    __global const uint *job = jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS;
    const ulong at = ((ulong)get_group_id(1) * num_rows + job[GEAR__JOB_ROW]) * HEAD_DIM + 16u * (uint)get_group_id(0);
    gear_select_channels(x + at, mask + at, job[GEAR__JOB_TOKENS], GEAR__PER_END_OF(job[GEAR__JOB_PER_END], is_v));
}

/* A token over all heads, `head_stride` values apart. */
static __attribute__((noinline)) void gear_select_token(__global const ushort *x, __global uchar *mask, ulong head_stride,
                                                        uint heads, uint k)
{
    uint most = 0u, least = 0u, above = 0u, below = 0u;
#pragma unroll 1
    for (uint bit = 0x8000u; bit; bit >>= 1) {
        const short16 from = (short16)((short)((most | bit) ^ 0x8000u)), to = -(short16)((short)((least | bit) ^ 0x8000u));
        ushort16 many = 0, few = 0; /* up to 2^14 in each lane */
#pragma unroll 1
        for (uint head = 0; head < heads; head++) {
            __global const ushort *values = x + head * head_stride;
            for (uint i = 0; i < HEAD_DIM; i += 16u) {
                const short16 v = gear_order16(vload16(0, values + i));
                many -= as_ushort16(v >= from);
                few -= as_ushort16(v <= to);
            }
        }
        const uint high = gear_sum_ushort16(many), low = gear_sum_ushort16(few);
        above = high >= k ? above : max(above, high);
        below = low >= k ? below : max(below, low);
        most |= high >= k ? bit : 0u;
        least |= low >= k ? bit : 0u;
    }
    const short from = (short)(most ^ 0x8000u), to = (short)-(short)(least ^ 0x8000u);
    gear_ties ties = gear_ties_of(from, to, above, below, k);
#pragma unroll 1
    for (uint head = 0; head < heads; head++) {
#pragma unroll 1
        for (uint i = 0; i < HEAD_DIM; i += 16u) {
            const ulong at = head * head_stride + i;
            gear_mark16(gear_order16(vload16(0, x + at)), (short16)(from), (short16)(to), mask + at, &ties, 0u);
        }
    }
}

/* Vector rule, V and the token backbone: 16 tokens over all heads. Range: (groups of 16 staging rows). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_1_outliers_tokens_cpu(uint per_end, uint num_rows,
                                                                                                 uint heads,
                                                                                                 __global const ushort *x,
                                                                                                 __global uchar *mask)
{
    const uint row0 = 16u * (uint)get_group_id(0);
#pragma unroll 1
    for (uint row = row0; row < row0 + 16u; row++) {
        const ulong at = (ulong)row * HEAD_DIM;
        if (mask[at] == 0) { /* exact and padding tokens have none */
            gear_select_token(x + at, mask + at, (ulong)num_rows * HEAD_DIM, heads, per_end);
        }
    }
}

/* The `budget` largest keys of a block. */
static __attribute__((noinline)) void gear_select_block(const gear_groups *g, __global const ushort *x, __global uchar *mask,
                                                        uint budget)
{
    uint key[64 * HEAD_DIM], available = 0u, limit = 0u, above = 0u;
#pragma unroll 1
    for (uint i = 0; i < 64u * HEAD_DIM; i++) {
        key[i] = mask[i] ? 0u : 1u + gear_distance_key(g, x[i], i / HEAD_DIM, i % HEAD_DIM);
        available += key[i] != 0u;
    }
    const uint k = min(budget, available);
#pragma unroll 1
    for (uint bit = 0x80000000u; bit; bit >>= 1) {
        uint count = 0u;
        for (uint i = 0; i < 64u * HEAD_DIM; i++) { /* which compilers turn into vectors themselves */
            count += key[i] >= (limit | bit);
        }
        above = count >= k ? above : max(above, count);
        limit |= count >= k ? bit : 0u;
    }
    uint ties = k - above;
#pragma unroll 1
    for (uint i = 0; i < 64u * HEAD_DIM && k; i++) {
        if (key[i] > limit || (key[i] == limit && ties)) {
            ties -= key[i] == limit;
            mask[i] = GEAR__MASK_OUTLIER;
        }
    }
}

/* Block rule: a budget for each (KV head, block). Range: (staging blocks, KV heads). The records hold the pairs of the groups
 * with nothing marked (append_2 ran before). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_1_outliers_block_cpu(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint budget, uint num_rows, __global const ushort *x, __global uchar *mask)
{
    const uint row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    gear_groups g;
    gear_find_groups(&g, pool, shape, is_v, HEAD_DIM, gear_entry_of(table, job, row_block), job[GEAR__JOB_CLASS], head);
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    gear_select_block(&g, x + at, mask + at, budget);
}
