/* append_3_quantize: codes of one side in fragment order, and the residual R = X - D for the low-rank fit (paper, eq. 4).
 * Convention: docs/design.md, rules 6 and 7. Reference: src/ref/append_3_quantize.c.
 * A work-group for each (staging block, KV head): the planes are put together in local memory, then copied out. */
#include "mixed_encode.clh"

#if !defined HEAD_DIM || !defined BITS || !defined IS_V
#  error "HEAD_DIM, BITS or IS_V is missing"
#endif

/* BITS 0: the mixed backbone, whose segments are shape words; planes of up to 8 bits. */
#define WIDTH       (BITS == 0 ? 8 : BITS == 3 ? 2 : BITS == 5 ? 4 : BITS)
#define PLANE_WORDS (HEAD_DIM * 2 * WIDTH)
#define HIGH_WORDS  (BITS == 3 || BITS == 5 ? HEAD_DIM * 2 : 0)

#if BITS > 0 && BITS < 16
#  define MOST_PAIRS (4 * HEAD_DIM) /* of a block and KV head: groups have 16 values or more */

/* Pairs of a block next to each other: groups of tokens x groups of channels. */
GEAR__INLINE uint gear_quantize_place(const gear_pairs *p, uint token, uint channel)
{
    const uint across = ((HEAD_DIM - 1u) >> p->channel_shift) + 1u;
    return (token >> p->token_shift) * across + (channel >> p->channel_shift);
}

/* The pairs of a block as floats, scales with their inverses: a quotient of integers for each value would take most of the
 * time. */
GEAR__INLINE void gear_quantize_pairs(const gear_pairs *p, __local float *scales, __local float *lows, __local float *inverses,
                                      uint lid)
{
    const uint across = ((HEAD_DIM - 1u) >> p->channel_shift) + 1u, count = ((63u >> p->token_shift) + 1u) * across;
    for (uint i = lid; i < count; i += ITEMS) {
        const uint index = i / across * p->token_step + i % across * p->channel_step, scale = p->data[index];
        scales[i] = gear_float_from_half(scale);
        lows[i] = gear_float_from_half(p->data[index + p->zero]);
        inverses[i] = scale ? gear_inverse(scale) : 0.0f;
    }
}
#endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_3_quantize(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask, __global ushort *r)
{
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    uint cls = job[GEAR__JOB_CLASS], block = entry[GEAR__BLOCK_OFFSET];
    __global uint *codes =
        (__global uint *)(gear_block_head(pool, shape, block, cls, head) + shape[GEAR_SIDE(IS_V) + GEAR__SIDE_CODES]);
    ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
#if BITS == 16 /* halves as they are; the mask excludes nothing */
    (void)mask;
    for (uint i = lid; i < 64u * HEAD_DIM; i += ITEMS) {
        uint bit = gear_code_bit(IS_V, 16u, HEAD_DIM, i / HEAD_DIM, i % HEAD_DIM);
        ((__global ushort *)codes)[bit >> 4] = x[at + i];
        r[at + i] = 0;
    }
#else
    __local uint plane[PLANE_WORDS + HIGH_WORDS];
#  if BITS > 0
    __local float scales[MOST_PAIRS], lows[MOST_PAIRS], inverses[MOST_PAIRS];
#  endif
    for (uint i = lid; i < PLANE_WORDS + HIGH_WORDS; i += ITEMS) {
        plane[i] = 0u;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#  if BITS == 0
    __global const uint *side = shape + GEAR_SIDE(IS_V);
    __global const uchar *record = gear_block_head(pool, shape, block, cls, head);
    const uint used = gear_mixed_words(side);
    for (uint i = lid; i < 64u * HEAD_DIM; i += ITEMS) {
        uint token = i / HEAD_DIM, channel = i % HEAD_DIM;
        gear_segment_view segment = gear_segment_of(side, channel);
        float residual;
        uint code = gear_mixed_quantize(record, side, &segment, IS_V, token, channel, x[at + i], mask[at + i], &residual);
        r[at + i] = (ushort)gear_half_saturate(residual);
        uint width = gear__main_plane(segment.bits), bit = gear_mixed_main_bit(&segment, IS_V, token, channel);
        atomic_or(&plane[bit >> 5], (code & ((1u << width) - 1u)) << (bit & 31u));
        if (gear__high_plane(segment.bits)) {
            bit = gear_mixed_high_bit(&segment, IS_V, token, channel);
            atomic_or(&plane[bit >> 5], (code >> width) << (bit & 31u));
        }
    }
#  else
    const uint used = PLANE_WORDS + HIGH_WORDS;
    const gear_pairs p = gear_pairs_of(pool, shape, IS_V, HEAD_DIM, block, entry[GEAR__BLOCK_SEGMENT], cls, head);
    const float top = (float)((1u << BITS) - 1u);
    gear_quantize_pairs(&p, scales, lows, inverses, lid);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < 64u * HEAD_DIM; i += ITEMS) {
        uint token = i / HEAD_DIM, channel = i % HEAD_DIM, m = mask[at + i], code = 0u;
        float residual = 0.0f;
        if (!(m & GEAR__MASK_PADDING)) {
            const uint pair = gear_quantize_place(&p, token, channel);
            const float scale = scales[pair], value = gear_float_from_half(x[at + i]) - lows[pair];
            if (m & GEAR__MASK_OUTLIER) {
                code = scale > 0.0f ? 1u << (BITS - 1) : 0u;
            } else {
                code = gear_code(value, scale, inverses[pair], top);
                residual = m ? 0.0f : gear_float_from_half(x[at + i]) - fma((float)code, scale, lows[pair]);
            }
        }
        r[at + i] = (ushort)gear_half_saturate(residual);
        uint bit = gear_code_bit(IS_V, WIDTH, HEAD_DIM, token, channel);
        atomic_or(&plane[bit >> 5], (code & ((1u << WIDTH) - 1u)) << (bit & 31u));
#    if HIGH_WORDS
        bit = gear_code_bit(IS_V, 1u, HEAD_DIM, token, channel);
        atomic_or(&plane[PLANE_WORDS + (bit >> 5)], (code >> WIDTH) << (bit & 31u));
#    endif
    }
#  endif
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < used; i += ITEMS) {
        codes[i] = plane[i];
    }
#endif
}
