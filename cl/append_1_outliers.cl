/* append_1_outliers: marks the outliers of one side in the staging mask (paper, section 3: the s/2 largest and smallest of a
 * vector). Convention: docs/design.md, rule 4. Reference: src/ref/append_1_outliers.c. Values compare by a 16-bit key. The k-th
 * largest and smallest keys are found by histograms of 6, then 5 and 5 bits of the key, those of both ends at once, with no
 * sort. */
#include "block_rule.clh"
#include "reduce.clh"

#if !defined HEAD_DIM || !defined MOST_ITEMS
#  error "HEAD_DIM or MOST_ITEMS is missing"
#endif

/* Order of halves as unsigned numbers; -0 equals +0. */
GEAR__INLINE uint gear_key(uint half_bits)
{
    uint h = half_bits == 0x8000u ? 0u : half_bits;
    return h & 0x8000u ? 0xffffu & ~h : h | 0x8000u;
}

/* Vectors of the staging array that a work-group selects from: 16 at a time. Values are read as pairs: of two vectors
 * (channels), or of two places of one vector (tokens). Pairs `slot`, slot + slots, ... of a vector (or two) are a work-item's
 * where their order does not matter, and a run of `run` pairs where it does. */
#define SELECT_VECTORS 16u
#define SELECT_WORDS   1024u /* 64 bins, twice 32 bins or at most 32 slots x 2 ends, of each vector */
#define SELECT_AHEAD   8u    /* pairs read before the first is used */

typedef struct gear_select {
    __global const ushort *x;
    __global uchar *mask;
    ulong outer_stride;                  /* values, from a pair (channels) or a head (tokens) to the next */
    uint by_token;                       /* a constant in each kernel */
    uint pairs, slots, run, slot, first; /* first: the vector of the low value; the high one's is 1 on unless by token */
    __local uint *words, *prefix, *rest; /* of each end and vector: the key's bits so far; how many still to find */
} gear_select;

GEAR__INLINE ulong gear_pair_at(const gear_select *s, uint pair)
{
    return s->by_token ? pair / (HEAD_DIM / 2u) * s->outer_stride + 2u * (pair % (HEAD_DIM / 2u)) : pair * s->outer_stride;
}

/* Counts a key where its upper bits are those found: the largest end (0) in the first bins, the smallest (1) behind them. */
GEAR__INLINE void gear_count_key(const gear_select *s, uint vector, uint key, uint round, uint shift, uint top, uint bottom)
{
    const uint upper = round ? key >> (shift + 5u) : 0u, bin = key >> shift & (round ? 31u : 63u);
    if (upper == top) {
        (void)atomic_inc(s->words + bin * SELECT_VECTORS + vector);
    }
    if (round && upper == bottom) {
        (void)atomic_inc(s->words + (32u + bin) * SELECT_VECTORS + vector);
    }
}

/* Reads SELECT_AHEAD pairs, `step` apart; those beyond the last repeat it. */
GEAR__INLINE void gear_read_pairs(const gear_select *s, uint pair, uint step, uint values[SELECT_AHEAD])
{
#pragma unroll
    for (uint i = 0; i < SELECT_AHEAD; i++) {
        values[i] = *(__global const uint *)(s->x + gear_pair_at(s, min(pair + i * step, s->pairs - 1u)));
    }
}

GEAR__INLINE void gear_count_keys(const gear_select *s, uint round, uint shift)
{
    const uint second = s->first + (s->by_token ? 0u : 1u);
    const uint top0 = s->prefix[s->first], bottom0 = s->prefix[SELECT_VECTORS + s->first];
    const uint top1 = s->prefix[second], bottom1 = s->prefix[SELECT_VECTORS + second];
    for (uint pair = s->slot; pair < s->pairs; pair += SELECT_AHEAD * s->slots) {
        uint values[SELECT_AHEAD];
        gear_read_pairs(s, pair, s->slots, values);
#pragma unroll
        for (uint i = 0; i < SELECT_AHEAD; i++) {
            if (pair + i * s->slots < s->pairs) {
                gear_count_key(s, s->first, gear_key(values[i] & 0xffffu), round, shift, top0, bottom0);
                gear_count_key(s, second, gear_key(values[i] >> 16), round, shift, top1, bottom1);
            }
        }
    }
}

/* Extends the key of one end of one vector by the bin in which the k-th key from that end lies. */
GEAR__INLINE void gear_find_bin(const gear_select *s, uint vector, uint end, uint round)
{
    const uint at = end * SELECT_VECTORS + vector, bins = round ? 32u : 64u, need = s->rest[at];
    __local const uint *bin0 = s->words + (round && end ? 32u * SELECT_VECTORS : 0u) + vector;
    uint seen = 0u, before = 0u, found = 0u, bin = 0u;
    for (uint i = 0; i < bins; i++) {
        const uint b = end ? i : bins - 1u - i, count = bin0[b * SELECT_VECTORS];
        bin = found ? bin : b;
        before = found ? before : seen;
        seen += count;
        found |= seen >= need;
    }
    s->prefix[at] = (round ? s->prefix[at] << 5 : 0u) | bin;
    s->rest[at] = need - before;
}

/* The limits of a vector: keys beyond them are outliers, and `of_most` and `of_least` of those equal to them, by lower index;
 * `skip` equals of the least are taken as the largest. seen_*: equals that went before. */
typedef struct gear_cut {
    uint most, least, of_most, of_least, skip, seen_most, seen_least;
} gear_cut;

GEAR__INLINE gear_cut gear_cut_of(const gear_select *s, uint vector)
{
    const uint other = SELECT_VECTORS + vector, equal = s->prefix[vector] == s->prefix[other];
    const gear_cut c = {
        s->prefix[vector], s->prefix[other], s->rest[vector], s->rest[other], equal ? s->rest[vector] : 0u, 0u, 0u};
    return c;
}

/* Whether a key is an outlier. */
GEAR__INLINE uint gear_is_extreme(gear_cut *c, uint key)
{
    const uint is_most = key == c->most, is_least = key == c->least;
    const uint taken = key > c->most || key < c->least || (is_most && c->seen_most < c->of_most) ||
                       (is_least && c->seen_least >= c->skip && c->seen_least - c->skip < c->of_least);
    c->seen_most += is_most;
    c->seen_least += is_least;
    return taken;
}

/* Goes through the run of a work-item; marks, or only counts the equals. by token both cuts are of one vector: the second value
 * of a pair follows the first. */
GEAR__INLINE void gear_walk_run(const gear_select *s, gear_cut *first, gear_cut *second, uint marks)
{
    const uint begin = s->slot * s->run, end = min(begin + s->run, s->pairs);
    for (uint pair = begin; pair < end; pair += SELECT_AHEAD) {
        uint values[SELECT_AHEAD];
        gear_read_pairs(s, pair, 1u, values);
#pragma unroll
        for (uint i = 0; i < SELECT_AHEAD; i++) {
            if (pair + i < end) {
                const uint low = gear_is_extreme(first, gear_key(values[i] & 0xffffu));
                const uint high = gear_is_extreme(s->by_token ? first : second, gear_key(values[i] >> 16));
                const ulong at = gear_pair_at(s, pair + i);
                if (marks && low) {
                    s->mask[at] = GEAR__MASK_OUTLIER;
                }
                if (marks && high) {
                    s->mask[at + 1u] = GEAR__MASK_OUTLIER;
                }
            }
        }
    }
}

/* Marks what was found. The limits' equals go by lower index: each work-item counts those of its run, then goes through it
 * again with the number of those in the runs before. */
GEAR__INLINE void gear_mark_extremes(const gear_select *s)
{
    const uint second = s->first + (s->by_token ? 0u : 1u), others = s->slots * SELECT_VECTORS;
    gear_cut cut0 = gear_cut_of(s, s->first), cut1 = gear_cut_of(s, second);
    gear_walk_run(s, &cut0, &cut1, 0u);
    if (!s->by_token) {
        s->words[s->slot * SELECT_VECTORS + second] = cut1.seen_most;
        s->words[others + s->slot * SELECT_VECTORS + second] = cut1.seen_least;
    }
    s->words[s->slot * SELECT_VECTORS + s->first] = cut0.seen_most;
    s->words[others + s->slot * SELECT_VECTORS + s->first] = cut0.seen_least;
    barrier(CLK_LOCAL_MEM_FENCE);
    cut0.seen_most = cut0.seen_least = cut1.seen_most = cut1.seen_least = 0u;
    for (uint i = 0; i < s->slot; i++) {
        cut0.seen_most += s->words[i * SELECT_VECTORS + s->first];
        cut0.seen_least += s->words[others + i * SELECT_VECTORS + s->first];
        cut1.seen_most += s->words[i * SELECT_VECTORS + second];
        cut1.seen_least += s->words[others + i * SELECT_VECTORS + second];
    }
    gear_walk_run(s, &cut0, &cut1, 1u);
}

/* Selects and marks per_end values of each end; rest[..] holds their number. */
GEAR__INLINE void gear_select_extremes(const gear_select *s, uint lid)
{
    uint round = 0u;
    do {
        for (uint i = lid; i < SELECT_WORDS; i += MOST_ITEMS) {
            s->words[i] = 0u;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        gear_count_keys(s, round, 10u - 5u * round);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid < 2u * SELECT_VECTORS) {
            gear_find_bin(s, lid % SELECT_VECTORS, lid / SELECT_VECTORS, round);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    } while (++round < 3u);
    gear_mark_extremes(s);
}

/* Vector rule, K: a channel over its segment. Range: MOST_ITEMS work-items for each (16 channels, KV head, job). */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_1_outliers_channels(
    __global const uint *jobs, uint is_v, uint num_rows, __global const ushort *x, __global uchar *mask)
{
    __local uint words[SELECT_WORDS], prefix[2u * SELECT_VECTORS], rest[2u * SELECT_VECTORS], exact;
    const uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS;
    const uint tokens = job[GEAR__JOB_TOKENS], group = (uint)get_group_id(0) * SELECT_VECTORS;
    const ulong at = ((ulong)head * num_rows + job[GEAR__JOB_ROW]) * HEAD_DIM + group;
    if (lid == 0u) {
        exact = 0u;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < min(tokens, 64u) && mask[at + lid * HEAD_DIM] != 0) { /* a sequence's first tokens, 64 at most */
        (void)atomic_max(&exact, lid + 1u);
    }
    if (lid < 2u * SELECT_VECTORS) {
        prefix[lid] = 0u;
        rest[lid] = job[GEAR__JOB_PER_END + is_v];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); /* the mask was read, and will be written */
    const uint pairs = tokens - exact, slots = MOST_ITEMS / (SELECT_VECTORS / 2u);
    const gear_select s = {x + at + exact * HEAD_DIM + 2u * (lid % 8u),
                           mask + at + exact * HEAD_DIM + 2u * (lid % 8u),
                           HEAD_DIM,
                           0u,
                           pairs,
                           slots,
                           (pairs + slots - 1u) / slots,
                           lid / 8u,
                           2u * (lid % 8u),
                           words,
                           prefix,
                           rest};
    gear_select_extremes(&s, lid);
}

/* Vector rule, V and the token backbone: a token over all heads. Range: MOST_ITEMS work-items for each 16 staging rows. */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_1_outliers_tokens(uint per_end,
                                                                                                      uint num_rows, uint heads,
                                                                                                      __global const ushort *x,
                                                                                                      __global uchar *mask)
{
    __local uint words[SELECT_WORDS], prefix[2u * SELECT_VECTORS], rest[2u * SELECT_VECTORS];
    const uint lid = (uint)get_local_id(0), slots = MOST_ITEMS / SELECT_VECTORS, vector = lid / slots;
    const uint pairs = heads * (HEAD_DIM / 2u), row0 = (uint)get_group_id(0) * SELECT_VECTORS;
    const ulong at = (ulong)(row0 + vector) * HEAD_DIM;
    if (lid < 2u * SELECT_VECTORS) {
        prefix[lid] = 0u;
        rest[lid] = mask[(ulong)(row0 + lid % SELECT_VECTORS) * HEAD_DIM] ? 0u : per_end; /* exact and padding: none */
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); /* the mask was read, and will be written */
    const gear_select s = {x + at,
                           mask + at,
                           (ulong)num_rows * HEAD_DIM,
                           1u,
                           pairs,
                           slots,
                           (pairs + slots - 1u) / slots,
                           lid % slots,
                           vector,
                           words,
                           prefix,
                           rest};
    gear_select_extremes(&s, lid);
}

GEAR_REDUCE_64(gear_count_64, uint, GEAR_ADD)

/* Block rule: a budget for each (KV head, block). Range: 64 work-items, one a token, for each (staging block, KV head).
 * The records hold the pairs of the groups with nothing marked (append_2_range ran before). */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_1_outliers_block(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint budget, uint num_rows, __global const ushort *x, __global uchar *mask)
{
    __local uint part[64], bins[256], prefix, rest;
    const uint token = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    gear_groups g;
    gear_find_groups(&g, pool, shape, is_v, HEAD_DIM, entry, job[GEAR__JOB_CLASS], head);
    const ulong at = ((ulong)head * num_rows + row_block * 64u + token) * HEAD_DIM;
    __global const ushort *values = x + at;
    __global uchar *marks = mask + at;

    const uint places = marks[0] == 0 ? HEAD_DIM : 0u; /* exact and padding tokens have none */
    const uint k = min(budget, gear_count_64(part, token, places));
    if (token == 0u) {
        prefix = 0u;
        rest = k;
    }
    uint shift = 32u;
    do { /* 8 bits of the key of the k-th largest */
        shift -= 8u;
        for (uint i = token; i < 256u; i += 64u) {
            bins[i] = 0u;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        const uint found = prefix, need = rest;
        for (uint c = 0; c < places; c++) {
            const uint key = gear_distance_key(&g, values[c], token, c);
            if (key >> shift >> 8 == found) {
                (void)atomic_inc(bins + (key >> shift & 255u));
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        uint bin = 255u - 4u * token; /* of 4 that this work-item looks at, the largest first */
        const uint own = bins[bin] + bins[bin - 1u] + bins[bin - 2u] + bins[bin - 3u];
        part[token] = own;
        barrier(CLK_LOCAL_MEM_FENCE);
        uint before = 0u;
        for (uint i = 0; i < token; i++) {
            before += part[i];
        }
        if (before < need && before + own >= need) {
            while (before + bins[bin] < need) {
                before += bins[bin--];
            }
            prefix = found << 8 | bin;
            rest = need - before;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    } while (shift);
    const uint threshold = prefix, ties = rest; /* of the whole block, lower index first */
    uint equal = 0u;
    for (uint c = 0; c < places; c++) {
        equal += gear_distance_key(&g, values[c], token, c) == threshold;
    }
    part[token] = equal;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint before = 0u;
    for (uint i = 0; i < token; i++) {
        before += part[i];
    }
    for (uint c = 0; c < (k ? places : 0u); c++) {
        const uint key = gear_distance_key(&g, values[c], token, c);
        if (key > threshold || (key == threshold && before < ties)) {
            marks[c] = GEAR__MASK_OUTLIER;
        }
        before += key == threshold;
    }
}
