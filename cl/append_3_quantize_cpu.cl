/* append_3_quantize_cpu: append_3_quantize for CPU devices: the same arguments, codes and residual, one work-item for each
 * (staging block, KV head). A block is encoded with the vectors of append_block as if nothing were marked; then the few marked
 * values get their code. Reference: src/ref/append_3_quantize.c. */
#include "block_codes.clh"
#include "marks.clh"
#include "mixed_encode.clh"

#if !defined HEAD_DIM || !defined BITS || !defined IS_V
#  error "HEAD_DIM, BITS or IS_V is missing"
#endif

/* A block and where its results go. */
typedef struct gear_quantize {
    __global const uint *side; /* shape words */
    gear_pairs pairs;
    __global uchar *record; /* head part of the block */
    __global uint *codes;
    __global const ushort *x; /* this, mask and residual: of the block */
    __global const uchar *mask;
    __global ushort *residual;
    uint tokens;
} gear_quantize;

#if BITS == 0
/* Mixed: value by value. */
static __attribute__((noinline)) void gear_quantize_block(const gear_quantize *q)
{
    const uint words = gear_mixed_words(q->side);
    uint plane[HEAD_DIM * 16]; /* of up to 8 bits */
#  pragma unroll 1
    for (uint i = 0; i < words; i++) {
        plane[i] = 0u;
    }
#  pragma unroll 1
    for (uint channel = 0; channel < HEAD_DIM; channel++) {
        const gear_segment_view segment = gear_segment_of(q->side, channel);
        const uint width = gear__main_plane(segment.bits), high = gear__high_plane(segment.bits);
#  pragma unroll 1
        for (uint token = 0; token < 64u; token++) {
            const uint i = token * HEAD_DIM + channel;
            float left;
            const uint code =
                gear_mixed_quantize(q->record, q->side, &segment, IS_V, token, channel, q->x[i], q->mask[i], &left);
            uint bit = gear_mixed_main_bit(&segment, IS_V, token, channel);
            q->residual[i] = (ushort)gear_half_saturate(left);
            plane[bit >> 5] |= (code & ((1u << width) - 1u)) << (bit & 31u);
            if (high) {
                bit = gear_mixed_high_bit(&segment, IS_V, token, channel);
                plane[bit >> 5] |= (code >> width) << (bit & 31u);
            }
        }
    }
#  pragma unroll 1
    for (uint i = 0; i < words; i++) {
        q->codes[i] = plane[i];
    }
}
#else
#  define GROUP 16u /* what the pairs at hand are spread to: 16 tokens of a channel, or 16 channels of a token */

/* Pairs of groups of 16, [low, step, inverse]. */
typedef struct gear_spread {
    float8 low[HEAD_DIM / 2], step[HEAD_DIM / 2], inverse[HEAD_DIM / 2];
} gear_spread;

/* by_token: groups along channels. */
GEAR__INLINE void gear_spread_pairs(const gear_pairs *p, uint by_token, gear_spread *s)
{
    const uint parts = by_token ? HEAD_DIM / GROUP : 64u / GROUP, vectors = by_token ? 8u : HEAD_DIM / 8;
#  pragma unroll 1
    for (uint part = 0; part < parts; part++) {
        __global const half *at =
            (__global const half *)p->data + gear_pair_index(p, by_token ? 0u : GROUP * part, by_token ? GROUP * part : 0u);
#  pragma unroll 1
        for (uint i = 0; i < vectors; i++) {
            const float8 step = vload_half8(i, at);
            s->step[part * vectors + i] = step;
            s->low[part * vectors + i] = vload_half8(i, at + p->zero);
            s->inverse[part * vectors + i] = step > 0.0f ? 1.0f / step : 0.0f;
        }
    }
}

GEAR__INLINE void gear_set_code(__global uint *plane, uint width, uint token, uint channel, uint code)
{
    const uint bit = gear_code_bit(IS_V, width, HEAD_DIM, token, channel), shift = bit & 31u;
    plane[bit >> 5] = (plane[bit >> 5] & ~(((1u << width) - 1u) << shift)) | code << shift;
}

/* Marked values have the code of the middle, 0 where the scale is 0, and leave nothing. */
GEAR__INLINE void gear_set_marked(const gear_quantize *q)
{
    ushort places[GEAR_MOST_PLACES];
    const uint count = gear_list_marks(q->mask, places), width = gear__main_plane(BITS), top = 1u << (BITS - 1);
#  pragma unroll 1
    for (uint n = 0; n < count; n++) {
        const uint token = places[n] / HEAD_DIM, channel = places[n] % HEAD_DIM;
        const uint code = q->pairs.data[gear_pair_index(&q->pairs, token, channel)] ? top : 0u;
        gear_set_code(q->codes, width, token, channel, code & ((1u << width) - 1u));
        if (gear__high_plane(BITS)) {
            gear_set_code(q->codes + HEAD_DIM * 2u * width, 1u, token, channel, code >> width);
        }
        q->residual[places[n]] = 0;
    }
}

/* Not inlined: PoCL puts three copies of a kernel into its program, and this way the work is compiled once. */
static __attribute__((noinline)) void gear_quantize_block(const gear_quantize *q)
{
    ushort16 halves[64 * HEAD_DIM / 16];
    gear_spread spread;
    uint exact = 0u;
#  pragma unroll 4
    for (uint i = 0; i < 64u * HEAD_DIM / 16u; i++) {
        halves[i] = vload16(i, q->x);
    }
    while (exact < 64u && q->mask[exact * HEAD_DIM] == GEAR__MASK_EXACT) {
        exact++;
    }
    const gear_block_codes e = {(const ushort *)halves,
                                HEAD_DIM,
                                q->tokens,
                                0u,
                                (const float *)spread.low,
                                (const float *)spread.step,
                                (const float *)spread.inverse,
                                q->codes,
                                q->residual,
                                exact,
                                0,
                                0};
#  if BITS == 16
#    pragma unroll 1
    for (uint i = 0; i < 8u * HEAD_DIM; i++) {
        vstore8((ushort8)(0), i, q->residual);
    }
    if (IS_V) {
        gear_copy_v(&e);
    } else {
        gear_copy_k(&e);
    }
#  else
    const uint by_token = IS_V || q->pairs.channel_shift != 0u;
    gear_spread_pairs(&q->pairs, by_token, &spread);
    if (IS_V) {
        gear_encode_v(&e, BITS, 0u, GROUP);
    } else {
        gear_encode_k(&e, BITS, 0u, HEAD_DIM, 0u, by_token, GROUP);
    }
    gear_set_marked(q);
#  endif
}
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_3_quantize_cpu(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask, __global ushort *r)
{
    const uint row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS, *side = shape + GEAR_SIDE(IS_V);
    __global const uint *entry = gear_entry_of(table, job, row_block);
    const uint cls = job[GEAR__JOB_CLASS], block = entry[GEAR__BLOCK_OFFSET];
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    __global uchar *record = gear_block_head(pool, shape, block, cls, head);
    const gear_quantize q = {side,   gear_pairs_of(pool, shape, IS_V, HEAD_DIM, block, entry[GEAR__BLOCK_SEGMENT], cls, head),
                             record, (__global uint *)(record + side[GEAR__SIDE_CODES]),
                             x + at, mask + at,
                             r + at, min(job[GEAR__JOB_TOKENS] + job[GEAR__JOB_ROW] - row_block * 64u, 64u)};
    gear_quantize_block(&q);
}
