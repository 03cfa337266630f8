/* append_5_store: the sparse part S = X - D - L at the marked places, in 16 or 8 bits, as lists ordered by their consumer: K
 * one list for each token (and 128 channels), V one for each channel. Writes list lengths and bases to the blocks, entries to
 * the segment record. Convention: docs/design.md, rule 9; docs/format.md. Reference: src/ref/append_5_store.c. Three launches:
 * count, bases, store; append_block does the first itself. */
#include "mark_words.clh"
#include "outlier_lists.clh"
#include "reduce.clh"

GEAR_REDUCE_64(gear_entries_64, uint, GEAR_ADD)

/* Words of bits of a block's lists: bit i of bits[LIST_WORDS * list + word] is place 32 * word + i. No other mark has the bit
 * of an outlier. Called by `items` work-items. */
#define MARKS (0x01010101u * GEAR__MASK_OUTLIER)

#if IS_V
/* Four channels at a time: their marks of 8 tokens make 4 bytes of a word. */
GEAR__INLINE void gear_form_words(__global const uchar *mask, __local uint *bits, uint lid, uint items)
{
    for (uint i = lid; i < HEAD_DIM / 4u * LIST_WORDS; i += items) {
        const uint channel = i % (HEAD_DIM / 4u) * 4u, word = i / (HEAD_DIM / 4u);
        __global const uint *at = (__global const uint *)(mask + 32u * word * HEAD_DIM + channel);
        uint bytes[4];
#  pragma unroll
        for (uint n = 0; n < 4u; n++) {
            bytes[n] = 0u;
#  pragma unroll
            for (uint t = 0; t < 8u; t++) {
                bytes[n] |= (at[(8u * n + t) * (HEAD_DIM / 4u)] & MARKS) << t;
            }
        }
#  pragma unroll
        for (uint n = 0; n < 4u; n++) {
            bits[(channel + n) * LIST_WORDS + word] = (bytes[0] >> 8u * n & 255u) | (bytes[1] >> 8u * n & 255u) << 8 |
                                                      (bytes[2] >> 8u * n & 255u) << 16 | (bytes[3] >> 8u * n & 255u) << 24;
        }
    }
}
#else
/* The marks of 4 bytes as 4 bits. */
GEAR__INLINE uint gear_mark_bits(uint marks)
{
    return (marks & MARKS) * 0x01020408u >> 24 & 15u;
}

GEAR__INLINE void gear_form_words(__global const uchar *mask, __local uint *bits, uint lid, uint items)
{
    for (uint i = lid; i < LISTS * LIST_WORDS; i += items) {
        const uint list = i / LIST_WORDS, first = i % LIST_WORDS * 32u, places = min(LIST_PLACES - first, 32u); /* 32 or 16 */
        __global const uchar *at = mask + list / LISTS_PER_TOKEN * HEAD_DIM + list % LISTS_PER_TOKEN * LIST_PLACES + first;
        uint word = 0u;
        for (uint n = 0; n < places; n += 16u) {
            const uint4 marks = *(__global const uint4 *)(at + n);
            word |= (gear_mark_bits(marks.x) | gear_mark_bits(marks.y) << 4 | gear_mark_bits(marks.z) << 8 |
                     gear_mark_bits(marks.w) << 12)
                    << n;
        }
        bits[i] = word;
    }
}
#endif

/* Counts the entries of each list. Range: 64 work-items for each (staging block, KV head). The total goes to the base word. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_5_count(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const uchar *mask)
{
    __local uint bits[LISTS * LIST_WORDS], part[64];
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    uint block = entry[GEAR__BLOCK_OFFSET];
    __global uchar *counts =
        gear_block_head(pool, shape, block, job[GEAR__JOB_CLASS], head) + shape[GEAR_SIDE(IS_V) + GEAR__SIDE_COUNTS];
    uint total = 0u;
    gear_form_words(mask + ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM, bits, lid, 64u);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint list = lid; list < LISTS; list += 64u) {
        uint count = 0u;
        for (uint word = 0; word < LIST_WORDS; word++) {
            count += popcount(bits[list * LIST_WORDS + word]);
        }
        counts[list] = (uchar)count;
        total += count;
    }
    total = gear_entries_64(part, lid, total);
    if (lid == 0u) {
        *gear_base_of(pool, shape, block, head, IS_V) = total;
    }
}

/* Turns the totals of a segment into exclusive sums, head after head, and writes the segment header. Range: MOST_ITEMS
 * work-items for each job, of which each takes a run of (head, block) pairs. */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_5_bases(__global const uint *shape,
                                                                                            __global uchar *pool,
                                                                                            __global const uint *table,
                                                                                            __global const uint *jobs)
{
    __local uint sums[MOST_ITEMS], runs[16];
    const uint lid = (uint)get_local_id(0);
    __global const uint *job = jobs + (uint)get_group_id(0) * GEAR__JOB_WORDS;
    const uint blocks = job[GEAR__JOB_BLOCKS], pairs = blocks * shape[GEAR__SHAPE_KV_HEADS];
    const uint run = (pairs + MOST_ITEMS - 1u) / MOST_ITEMS, first = min(lid * run, pairs), end = min(first + run, pairs);
    table += job[GEAR__JOB_TABLE] * (ulong)GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET;
    uint sum = 0u;
#pragma unroll 4
    for (uint i = first; i < end; i++) {
        sum += *gear_base_of(pool, shape, table[i % blocks * GEAR__BLOCK_WORDS], i / blocks, IS_V);
    }
    sums[lid] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < 16u) {
        sum = 0u;
        for (uint i = 0; i < MOST_ITEMS / 16u; i++) {
            sum += sums[lid * (MOST_ITEMS / 16u) + i];
        }
        runs[lid] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const uint part = lid / (MOST_ITEMS / 16u);
    uint before = 0u;
    for (uint i = 0; i < part; i++) {
        before += runs[i];
    }
    for (uint i = part * (MOST_ITEMS / 16u); i < lid; i++) {
        before += sums[i];
    }
    for (uint i = first; i < end; i++) {
        __global uint *base = gear_base_of(pool, shape, table[i % blocks * GEAR__BLOCK_WORDS], i / blocks, IS_V);
        const uint total = *base;
        *base = before;
        before += total;
    }
    if (lid == MOST_ITEMS - 1u) {
        __global uint *header = (__global uint *)gear_record(pool, job[GEAR__JOB_SEGMENT]);
        header[GEAR__SEGMENT_OUTLIERS_K + IS_V] = before;
    }
}

/* Writes the entries. Range: ITEMS work-items for each (staging block, KV head). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_5_store(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask)
{
    GEAR_LISTS_MEMORY
    const uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    gear_lists lists = GEAR_LISTS_OF(pool, shape, table, jobs + row_jobs[row_block] * GEAR__JOB_WORDS, row_block, head, lid);
    lists.x = x + at;
    gear_form_words(mask + at, bits, lid, ITEMS);
    gear_store_lists(&lists);
}

#if IS_V
/* Bits of 16 tokens and those of the 16 tokens in between as bits of 32 tokens. */
GEAR__INLINE uint gear_interleave(uint halves)
{
    uint x = halves, swap = (x ^ (x >> 8)) & 0x0000ff00u;
    x ^= swap ^ (swap << 8), swap = (x ^ (x >> 4)) & 0x00f000f0u;
    x ^= swap ^ (swap << 4), swap = (x ^ (x >> 2)) & 0x0c0c0c0cu;
    x ^= swap ^ (swap << 2), swap = (x ^ (x >> 1)) & 0x22222222u;
    return x ^ swap ^ (swap << 1);
}
#endif

/* Words of bits of the block's lists, from its marks. */
GEAR__INLINE void gear_bits_of_marks(__local const uint *marks, __local uint *bits, uint lid)
{
    for (uint i = lid; i < WORDS; i += ITEMS) {
        const uint list = i / LIST_WORDS, first = i % LIST_WORDS * 32u;
        uint word = 0u;
#if IS_V
#  pragma unroll
        for (uint t = 0; t < 16u; t++) { /* a list is a channel; its bits of two tokens go to t and t + 16 */
            word |= rotate(marks[list / 16u * 32u + first / 2u + t], t - list % 16u) & 0x00010001u << t;
        }
        word = gear_interleave(word);
#else
        const uint token = list / LISTS_PER_TOKEN, channel = list % LISTS_PER_TOKEN * LIST_PLACES + first;
        for (uint c = 0; c < min(LIST_PLACES - first, 32u); c += 16u) {
            word |= (marks[(channel + c) / 16u * 32u + token / 2u] >> 16u * (token & 1u) & 0xffffu) << c;
        }
#endif
        bits[i] = word;
    }
}

/* The same where append_block has counted the entries: marks are bits (append_1_marks), values come from the window or the
 * caller's tensor. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_5_store_marked(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, __global const uint *row_jobs, __global const ushort *window, __global const uchar *input,
    ulong input_offset, ulong stride_seq, ulong stride_head, ulong stride_token, uint type, uint num_rows,
    __global const uint *marks)
{
    GEAR_LISTS_MEMORY
    const uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    uint words[MARKS_OF_ITEM]; /* first, for they come from far away */
    gear_fetch_marks(marks + gear__mark_at(HEAD_DIM, num_rows, head, 0u, row_block * 64u) / 2u, num_rows / 2u, words, lid);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    const uint entry = job[GEAR__JOB_ENTRY];
    gear_lists lists = GEAR_LISTS_OF(pool, shape, table, job, row_block, head, lid);
    lists.source = (gear_gather){gear_sequence_of(seqs, entry),
                                 window,
                                 input + input_offset,
                                 stride_seq,
                                 stride_head,
                                 stride_token,
                                 entry,
                                 type,
                                 shape[GEAR__SHAPE_WINDOW],
                                 shape[GEAR__SHAPE_KV_HEADS],
                                 IS_V,
                                 head,
                                 0u};
    if (type == 0u && lists.first >= lists.source.seq.length) {
        lists.x = (__global const ushort *)lists.source.input + gear_input_index(lists.source.seq.row, entry,
                                                                                 lists.first - lists.source.seq.length, head,
                                                                                 0u, stride_seq, stride_head, stride_token);
        lists.stride = stride_token;
    }
    __local uint *room = (__local uint *)places; /* not needed before */
#pragma unroll
    for (uint n = 0; n < MARKS_OF_ITEM; n++) {
        if (lid + n * ITEMS < MARK_WORDS) {
            room[lid + n * ITEMS] = words[n];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    gear_bits_of_marks(room, bits, lid);
    gear_store_lists(&lists);
}
