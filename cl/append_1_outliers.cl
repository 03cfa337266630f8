/* append_1_outliers: marks the outliers of one side in the staging mask (paper, section 3: the s/2 largest and smallest of a
 * vector). Convention: docs/design.md, rule 4. Reference: src/ref/append_1_outliers.c. Where a layer takes append_block,
 * append_1_marks marks instead. */
#include "block_rule.clh"
#include "reduce.clh"
#include "select.clh"

/* What both kernels of the vector rule know of staged values. x, mask: of vector 0 at index 0. */
GEAR__INLINE void gear_select_staged(gear_select *s, __global const ushort *x, __global uchar *mask, uint num_rows)
{
    s->plain = x;
    s->stride_token = HEAD_DIM;
    s->stride_head = (ulong)num_rows * HEAD_DIM;
    s->mask = mask;
    s->marks = 0;
    s->num_rows = num_rows;
}

/* Vector rule, K: a channel over its segment. Range: MOST_ITEMS work-items for each (16 channels, KV head, job). */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_1_outliers_channels(
    __global const uint *jobs, uint is_v, uint num_rows, __global const ushort *x, __global uchar *mask)
{
    GEAR_SELECT_MEMORY
    __local uint exact;
    const uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS;
    const uint tokens = job[GEAR__JOB_TOKENS], per_end = GEAR__PER_END_OF(job[GEAR__JOB_PER_END], is_v);
    ulong at = ((ulong)head * num_rows + job[GEAR__JOB_ROW]) * HEAD_DIM + (uint)get_group_id(0) * SELECT_VECTORS;
    if (lid == 0u) {
        exact = 0u;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < min(tokens, 64u) && mask[at + lid * HEAD_DIM] != 0) { /* a sequence's first tokens, 64 at most */
        (void)atomic_max(&exact, lid + 1u);
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); /* the mask was read, and will be written */
    gear_select s = GEAR_SELECT_OF(0u);
    at += exact * HEAD_DIM;
    gear_select_staged(&s, x + at, mask + at, num_rows);
    s.pieces = tokens - exact;
    gear_select_outliers(&s, per_end, per_end);
}

/* Vector rule, V and the token backbone: a token over all heads. Range: MOST_ITEMS work-items for each 16 staging rows. */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_1_outliers_tokens(uint per_end,
                                                                                                      uint num_rows, uint heads,
                                                                                                      __global const ushort *x,
                                                                                                      __global uchar *mask)
{
    GEAR_SELECT_MEMORY
    const ulong at = (ulong)get_group_id(0) * SELECT_VECTORS * HEAD_DIM;
    gear_select s = GEAR_SELECT_OF(1u);
    gear_select_staged(&s, x + at, mask + at, num_rows);
    s.pieces = heads * (HEAD_DIM / 8u);
    s.last = SELECT_VECTORS - 1u;
    const uint is_marked = mask[at + s.lid % SELECT_VECTORS * HEAD_DIM] != 0; /* exact and padding: none */
    barrier(CLK_GLOBAL_MEM_FENCE);                                            /* the mask was read, and will be written */
    gear_select_outliers(&s, per_end, is_marked ? 0u : per_end);
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
