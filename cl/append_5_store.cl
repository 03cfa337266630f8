/* append_5_store: the sparse part S = X - D - L at the marked places, in 16 or 8 bits, as lists ordered by their consumer: K
 * one list for each token (and 128 channels), V one for each channel. Writes list lengths and bases to the blocks, entries to
 * the segment record. Convention: docs/design.md, rule 9; docs/format.md. Reference: src/ref/append_5_store.c. Three launches:
 * count, bases, store. */
#include "decode.clh"
#include "exact.clh"
#include "reduce.clh"

#if !defined HEAD_DIM || !defined IS_V || !defined BITS || !defined MOST_ITEMS
#  error "HEAD_DIM, IS_V, BITS or MOST_ITEMS is missing"
#endif

#define LISTS_PER_TOKEN ((HEAD_DIM + 127) / 128)
#if IS_V
#  define LISTS       HEAD_DIM
#  define LIST_PLACES 64 /* that a list may have entries for */
#else
#  define LISTS       (64 * LISTS_PER_TOKEN)
#  define LIST_PLACES (HEAD_DIM / LISTS_PER_TOKEN)
#endif
#define LIST_WORDS ((LIST_PLACES + 31) / 32)          /* of bits, one a place */
#define RUN        ((LISTS * LIST_WORDS + 15u) / 16u) /* words that one of 16 work-items counts */

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

/* Turns the totals of a segment into exclusive sums, head after head, and writes the segment header. Range: 64 work-items for
 * each job, of which each takes a run of (head, block) pairs. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_5_bases(__global const uint *shape,
                                                                                    __global uchar *pool,
                                                                                    __global const uint *table,
                                                                                    __global const uint *jobs)
{
    __local uint sums[64];
    const uint lid = (uint)get_local_id(0);
    __global const uint *job = jobs + (uint)get_group_id(0) * GEAR__JOB_WORDS;
    const uint blocks = job[GEAR__JOB_BLOCKS], pairs = blocks * shape[GEAR__SHAPE_KV_HEADS], run = (pairs + 63u) / 64u;
    const uint first = min(lid * run, pairs), end = min(first + run, pairs);
    table += job[GEAR__JOB_TABLE] * (ulong)GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET;
    uint sum = 0u;
    for (uint i = first; i < end; i++) {
        sum += *gear_base_of(pool, shape, table[i % blocks * GEAR__BLOCK_WORDS], i / blocks, IS_V);
    }
    sums[lid] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint before = 0u;
    for (uint i = 0; i < lid; i++) {
        before += sums[i];
    }
    for (uint i = first; i < end; i++) {
        __global uint *base = gear_base_of(pool, shape, table[i % blocks * GEAR__BLOCK_WORDS], i / blocks, IS_V);
        const uint total = *base;
        *base = before;
        before += total;
    }
    if (lid == 63u) {
        __global uint *header = (__global uint *)gear_record(pool, job[GEAR__JOB_SEGMENT]);
        header[GEAR__SEGMENT_OUTLIERS_K + IS_V] = before;
    }
}

/* Token and channel of a place of a list. */
GEAR__INLINE uint2 gear_place_of(uint list, uint place)
{
#if IS_V
    return (uint2)(place, list);
#else
    return (uint2)(list / LISTS_PER_TOKEN, list % LISTS_PER_TOKEN * LIST_PLACES + place);
#endif
}

/* Factors of the block and its segment as floats: [column][64 tokens, HEAD_DIM channels]. */
#define FACTORS (64u + HEAD_DIM)

/* What D + L leaves of a staged value. */
GEAR__INLINE float gear_rest(const gear_block_view *view, __local const float *factors, uint x, uint token, uint channel)
{
    float sum = 0.0f;
    for (uint j = 0; j < view->rank; j++) {
        sum = fma(factors[j * FACTORS + token], factors[j * FACTORS + 64u + channel], sum);
    }
    return gear_float_from_half(x) - gear_backbone(view, IS_V, BITS, HEAD_DIM, token, channel) - sum;
}

/* Writes the entries. Range: MOST_ITEMS work-items for each (staging block, KV head). A work-item has the words of bits lid,
 * lid + MOST_ITEMS, ... of the block's lists. */
__kernel __attribute__((reqd_work_group_size(MOST_ITEMS, 1, 1))) void gear_k_append_5_store(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask)
{
    __local uint bits[LISTS * LIST_WORDS], sums[16];
    __local float factors[GEAR__MAX_RANK * FACTORS], part[MOST_ITEMS];
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *side = shape + GEAR_SIDE(IS_V);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    uint block = entry[GEAR__BLOCK_OFFSET], segment = entry[GEAR__BLOCK_SEGMENT], cls = job[GEAR__JOB_CLASS];
    __global uchar *record = gear_block_head(pool, shape, block, cls, head);
    const uint is_short = side[GEAR__SIDE_OUTLIERS] == 8u;
    const gear_block_view view = gear_view_block(pool, shape, IS_V, HEAD_DIM, block, segment, cls, head);
    const uint base = *gear_base_of(pool, shape, block, head, IS_V);
    x += ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    gear_form_words(mask + ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM, bits, lid, MOST_ITEMS);
    for (uint i = lid; i < view.rank * 64u; i += MOST_ITEMS) {
        factors[i / 64u * FACTORS + i % 64u] = gear_factor_a(&view, i / 64u, i % 64u);
    }
    for (uint i = lid; i < view.rank * HEAD_DIM; i += MOST_ITEMS) {
        factors[i / HEAD_DIM * FACTORS + 64u + i % HEAD_DIM] = gear_factor_b(&view, i / HEAD_DIM, i % HEAD_DIM, HEAD_DIM);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < 16u) {
        uint sum = 0u;
        for (uint i = lid * RUN; i < min((lid + 1u) * RUN, (uint)(LISTS * LIST_WORDS)); i++) {
            sum += popcount(bits[i]);
        }
        sums[lid] = sum;
    }

    /* deltas of 8 bits share a scale: the largest first */
    float largest = 0.0f;
    for (uint i = lid; i < (is_short ? LISTS * LIST_WORDS : 0u); i += MOST_ITEMS) {
        for (uint rest = bits[i]; rest; rest &= rest - 1u) {
            const uint2 at = gear_place_of(i / LIST_WORDS, i % LIST_WORDS * 32u + 31u - clz(rest & -rest));
            largest = fmax(largest, fabs(gear_rest(&view, factors, x[at.x * HEAD_DIM + at.y], at.x, at.y)));
        }
    }
    part[lid] = largest;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < 16u) {
        for (uint i = 1; i < MOST_ITEMS / 16u; i++) {
            largest = fmax(largest, part[lid + 16u * i]);
        }
        part[lid] = largest;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid == 0u) {
        for (uint i = 1; i < 16u; i++) {
            largest = fmax(largest, part[i]);
        }
        part[0] = largest;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    largest = part[0];
    const uint scale_bits = gear_half_saturate(largest * 0x1.020408p-7f);
    const float scale = gear_float_from_half(scale_bits), inverse = scale_bits ? gear_inverse(scale_bits) : 0.0f;
    if (is_short && lid == 0u) {
        *(__global ushort *)(record + side[GEAR__SIDE_DELTA_SCALE]) = (ushort)scale_bits;
    }

    __global uchar *indices = gear_record(pool, segment) + job[GEAR__JOB_PARTS + 2u * IS_V];
    __global uchar *deltas = gear_record(pool, segment) + job[GEAR__JOB_PARTS + 2u * IS_V + 1u];
    for (uint i = lid; i < LISTS * LIST_WORDS; i += MOST_ITEMS) {
        if (!bits[i]) {
            continue;
        }
        uint next = base;
        for (uint run = 0; run < i / RUN; run++) {
            next += sums[run];
        }
        for (uint n = i / RUN * RUN; n < i; n++) {
            next += popcount(bits[n]);
        }
        for (uint rest = bits[i]; rest; rest &= rest - 1u) {
            const uint2 at = gear_place_of(i / LIST_WORDS, i % LIST_WORDS * 32u + 31u - clz(rest & -rest));
            const float delta = gear_rest(&view, factors, x[at.x * HEAD_DIM + at.y], at.x, at.y);
            indices[next] = (uchar)(IS_V ? at.x : at.y);
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
