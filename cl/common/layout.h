/* layout.h: where every code, scale and record word lives. Shared by the C host code and every kernel; prose: docs/format.md.
 *
 * Unit: a block of 64 tokens x one KV head. Codes are kept in planes of w = 1, 2, 4, 8 or 16 bits (3 bits: a 2-bit plane, then
 * a 1-bit plane with the value 4; 5 bits: 4 + 1). A plane of n steps (a step is 16 channels) takes 128 n w bytes, in the order
 * in which a group of 32 lanes reads it: lane = 4 row + quarter, row 0..7, quarter 0..3.
 *   K  lane (row, quarter) holds channels 4 quarter .. 4 quarter + 3 of each step and tokens 8 j + row, j 0..7. Steps go
 *      together in groups of 4, the rest in groups of 2 and 1, so that a 2-bit word of a group of 4 is 16 channels of one
 *      token.
 *   V  lane (row, quarter) holds channels 16 step + row and + 8 and tokens 16 m + 2 quarter, + 1, + 8, + 9, m 0..3 (the order
 *      in which a matrix unit leaves probabilities); a 2-bit word is 16 tokens of one channel.
 * Inside a word two neighbours (channels 2i, 2i+1 for K, tokens for V) sit 16 bits apart, so that one AND with a mask such as
 * 0x00030003 gives both as 16-bit floats of a matrix fragment.
 */
#ifndef GEAR_LAYOUT_H
#define GEAR_LAYOUT_H

#ifdef __OPENCL_C_VERSION__
typedef uint gear__u32;
/* A function that has a pointer to local memory is inlined: PoCL 3.1 passes wrong ones to a function that is not. */
#  define GEAR__INLINE static inline __attribute__((always_inline))
#else
#  include <stdint.h>
typedef uint32_t gear__u32;
#  define GEAR__INLINE static inline
#endif

#define GEAR__BLOCK        64u /* tokens of a block */
#define GEAR__STEP         16u /* channels of a step */
#define GEAR__GRANULE      64u /* pool offsets count these many bytes */
#define GEAR__RECORD_ALIGN 16u /* every part of a record starts at a multiple of this */
#define GEAR__MAX_RANK     8u

/* Codec axis of one side: which values share a (scale, zero) pair, and where the pairs live. */
#define GEAR__AXIS_NONE            0u /* 16 bits: halves, no pairs */
#define GEAR__AXIS_CHANNEL_GROUP   1u /* `group` tokens of one channel; head record [token group][scale, zero][head_dim] */
#define GEAR__AXIS_TOKEN_GROUP     2u /* `group` channels of one token and head; head record [channel group][scale, zero][64] */
#define GEAR__AXIS_CHANNEL_SEGMENT 3u /* one channel over the segment; segment record, per head [scale, zero][head_dim] */
#define GEAR__AXIS_TOKEN_ALL       4u /* one token over all heads; block record, shared part [scale, zero][64] */

/* The mixed backbone: 64 tokens of one channel, supers by channel segment [S, Z0, Zs], pairs of 6 + 6 bits, 12 a channel; and
 * 64 channels of one token, super [S], pairs of 6 + 4 bits, 10 a token, group after group. */
#define GEAR__AXIS_MIXED_CHANNEL 5u
#define GEAR__AXIS_MIXED_TOKEN   6u

/* Record classes: a segment is of the prompt or of decoding; they differ in the rank of L and so in record size. */
#define GEAR__PROMPT 0u
#define GEAR__DECODE 1u

/* Page table entry of a block: 4 words. */
#define GEAR__BLOCK_WORDS       4u
#define GEAR__BLOCK_OFFSET      0u /* block record, granules into the layer's pool */
#define GEAR__BLOCK_SEGMENT     1u /* segment record, granules */
#define GEAR__BLOCK_FIRST       2u /* position in the sequence of the block's first token */
#define GEAR__BLOCK_INFO        3u /* bits 0..7: tokens 0..64; bit 8: class; bits 16..31: index of the block in its segment */
#define GEAR__INFO_TOKENS(info) ((info)&0xffu)
#define GEAR__INFO_CLASS(info)  (((info) >> 8) & 1u)
#define GEAR__INFO_INDEX(info)  ((info) >> 16)

/* Segment record header: 4 words. */
#define GEAR__SEGMENT_WORDS      4u
#define GEAR__SEGMENT_TOKENS     0u
#define GEAR__SEGMENT_BLOCKS     1u
#define GEAR__SEGMENT_OUTLIERS_K 2u /* entries of all heads and blocks */
#define GEAR__SEGMENT_OUTLIERS_V 3u

/* Work list of the compressor: one segment to compress, 16 words. */
#define GEAR__JOB_WORDS   16u
#define GEAR__JOB_SEGMENT 0u /* segment record, granules */
#define GEAR__JOB_TABLE   1u /* index of its first block's entry in the page table */
#define GEAR__JOB_BLOCKS  2u
#define GEAR__JOB_TOKENS  3u
#define GEAR__JOB_ROW     4u /* first staging row, a multiple of 64 */
#define GEAR__JOB_FIRST   5u /* position in the sequence of its first token */
#define GEAR__JOB_ENTRY   6u /* index into the batch's sequence list */
#define GEAR__JOB_CLASS   7u
#define GEAR__JOB_PER_END 8u  /* outliers at each end of a vector of the segment, vector rule along tokens: K, V << 16 */
#define GEAR__JOB_FIT     9u  /* GEAR__FIT_NV_PARTS of the jobs before it */
#define GEAR__JOB_PARTS   10u /* by side, 2 words: byte offsets of the outlier indices and deltas in the segment record */
#define GEAR__JOB_OFFSET  14u /* record of its first block, granules, and how far apart those of its blocks are; or */
#define GEAR__JOB_STEP    15u /* GEAR__NO_STEP: page table entries come as runs */
#define GEAR__NO_STEP     0xffffffffu

/* A side's half of GEAR__JOB_PER_END, out of the word and into it. */
#define GEAR__PER_END_OF(word, is_v)    (((word) >> (16u * (is_v))) & 0xffffu)
#define GEAR__PER_END_AS(per_end, is_v) ((per_end) << (16u * (is_v)))

/* What append_block needs to know of a staging block, 16 words, read at once; from GEAR__PLACE_HEADER on the header of the
 * sequence's page table row. */
#define GEAR__PLACE_WORDS   16u
#define GEAR__PLACE_ENTRY   0u /* of its job, as all up to GEAR__PLACE_TOKENS; the word after that is spare */
#define GEAR__PLACE_FIRST   1u
#define GEAR__PLACE_TOKENS  2u
#define GEAR__PLACE_SLOT    4u /* of its sequence, as all up to GEAR__PLACE_ROW */
#define GEAR__PLACE_LENGTH  5u
#define GEAR__PLACE_ROW     6u
#define GEAR__PLACE_INFO    7u /* class, and its index in the segment from bit 16 on */
#define GEAR__PLACE_OFFSET  8u /* its record, granules; GEAR__NO_STEP: the page table has it */
#define GEAR__PLACE_SEGMENT 9u
#define GEAR__PLACE_TABLE   10u /* index of its entry in the page table; the next word is spare */
#define GEAR__PLACE_HEADER  12u

/* Work list of a verb: one sequence of the batch, 8 words. */
#define GEAR__SEQ_WORDS    8u
#define GEAR__SEQ_SLOT     0u
#define GEAR__SEQ_LENGTH   1u /* tokens before this call (append); tokens in the cache (attend) */
#define GEAR__SEQ_COUNT    2u /* new tokens (append); queries (attend) */
#define GEAR__SEQ_ROW      3u /* sum of the counts before it: the packed input row, and the output row */
#define GEAR__SEQ_FIRST    4u /* position of the oldest token in the window; of the first new one that stays, or 0 (append) */
#define GEAR__SEQ_BLOCKS   5u /* compressed blocks */
#define GEAR__SEQ_TAIL     6u /* exact tail tokens (attend) */
#define GEAR__SEQ_TAIL_ROW 7u /* sum of the tails before it */
#define GEAR__SEQ_HEADER   5u /* 3 words (append of several blocks): what the header of its page table row says */

/* Tensors of an attend call: 4 unsigned 64-bit words each. Apart from the kernel arguments, because the strides rarely change
 * and the scalar registers of a GPU are few. */
#define GEAR__CALL_Q            0u
#define GEAR__CALL_TAIL_K       4u
#define GEAR__CALL_TAIL_V       8u
#define GEAR__CALL_STRIDE_SEQ   0u
#define GEAR__CALL_STRIDE_HEAD  1u
#define GEAR__CALL_STRIDE_TOKEN 2u
#define GEAR__CALL_TYPE         3u
#define GEAR__CALL_WORDS        24u /* 32-bit words */

/* Shape words: what differs between layers without changing the code's shape; a small read-only buffer per layer. Byte offsets
 * are those of model/shape.h. Words with a class take + GEAR__PROMPT or + GEAR__DECODE. */
#define GEAR__SHAPE_KV_HEADS        0u
#define GEAR__SHAPE_HEAD_FIRST      1u
#define GEAR__SHAPE_BASES           2u
#define GEAR__SHAPE_HEAD_STRIDE     4u /* by class */
#define GEAR__SHAPE_SEG_HEAD_FIRST  6u
#define GEAR__SHAPE_SEG_HEAD_STRIDE 8u  /* by class */
#define GEAR__SHAPE_SEG_BYTES       10u /* by class */
#define GEAR__SHAPE_WINDOW          12u
#define GEAR__SHAPE_EXACT_MAX       13u
#define GEAR__SHAPE_TABLE_ROW       14u /* entries of a slot's page table row: 1 + blocks */
#define GEAR__SHAPE_SIDE            16u /* first word of side 0; side 1 follows */
#define GEAR__SHAPE_SIDE_WORDS      32u
#define GEAR__SIDE_AXIS             0u
#define GEAR__SIDE_BITS             1u
#define GEAR__SIDE_GROUP_SHIFT      2u /* log2 of the group; 7 for a single group of up to 128 channels */
#define GEAR__SIDE_CODES            3u
#define GEAR__SIDE_PAIRS            4u
#define GEAR__SIDE_SHARED_PAIRS     5u
#define GEAR__SIDE_SEG_PAIRS        6u /* by class */
#define GEAR__SIDE_OUTLIERS         8u /* bits of a delta, 8 or 16; 0 without outliers */
#define GEAR__SIDE_COUNTS           9u
#define GEAR__SIDE_RANK             10u /* by class */
#define GEAR__SIDE_A                12u /* by class */
#define GEAR__SIDE_B                14u /* by class */
#define GEAR__SIDE_FACTORS          16u /* by class */
#define GEAR__SIDE_FACTOR_BITS      18u
#define GEAR__SIDE_ITERATIONS       19u
#define GEAR__SIDE_SUPERS           20u /* mixed: halves of the super scales */
#define GEAR__SIDE_ROTATE           21u
#define GEAR__SIDE_NORMAL           22u /* Lloyd-Max levels */
#define GEAR__SIDE_SEGMENTS         23u /* number of channel segments, at least 1 */
#define GEAR__SIDE_SEGMENT          24u /* by segment: channels | bits << 16 */
#define GEAR__SIDE_DELTA_SCALE      28u /* 8-bit deltas: the half that scales those of (head, block) */
#define GEAR__SHAPE_WORDS           (GEAR__SHAPE_SIDE + 2u * GEAR__SHAPE_SIDE_WORDS)

/* A slot's page table row starts with the sequence header: the exact record (granules) and the number of exact tokens. */
#define GEAR__HEADER_EXACT  0u
#define GEAR__HEADER_TOKENS 1u
#define GEAR__HEADER_ORDER  2u /* channel order record (granules), bytes [head][head_dim]: channel at each stored place */

/* Words that one upload launch carries as an argument. */
#define GEAR__UPLOAD_WORDS 192u
/* The lists of an append on NVIDIA GPUs, which take 4352 bytes of arguments (OpenCL promises 1024): five launches in one. */
#define GEAR__LONG_UPLOAD_WORDS 960u

/* Runs of page table entries as they are uploaded, 8 words: entries AT .. AT + COUNT - 1 of one segment, whose records lie STEP
 * granules apart. */
#define GEAR__RUN_WORDS   8u
#define GEAR__RUN_AT      0u
#define GEAR__RUN_COUNT   1u
#define GEAR__RUN_OFFSET  2u
#define GEAR__RUN_STEP    3u
#define GEAR__RUN_SEGMENT 4u
#define GEAR__RUN_FIRST   5u
#define GEAR__RUN_TOKENS  6u /* of all its blocks */
#define GEAR__RUN_INFO    7u /* of the first, without its tokens */

/* Sequences of a decode step as they travel to append_decode, 8 words each. All their new tokens stay in the window; those of
 * the block lie in it already. */
#define GEAR__DECODE_WORDS   8u
#define GEAR__DECODE_SLOT    0u
#define GEAR__DECODE_LENGTH  1u /* tokens before this call */
#define GEAR__DECODE_COUNT   2u /* new tokens; 0 where append_6_window follows, which writes them */
#define GEAR__DECODE_ROW     3u /* sum of the counts before it in the batch: the packed input row */
#define GEAR__DECODE_OFFSET  4u /* block record, granules */
#define GEAR__DECODE_SEGMENT 5u /* segment record, granules */
#define GEAR__DECODE_FIRST   6u /* position of the block's first token */
#define GEAR__DECODE_BLOCK   7u /* bits 0..7: tokens of the block, 0: none is complete; bits 8 on: its index in the sequence */
#define GEAR__DECODE_SEQS    (GEAR__UPLOAD_WORDS / GEAR__DECODE_WORDS)

/* Staging mask of the compressor. */
#define GEAR__MASK_OUTLIER 1u
#define GEAR__MASK_EXACT   2u
#define GEAR__MASK_PADDING 4u

/* Outliers as bits where append_block serves a layer: 16-bit words [KV head][step][staging row], a bit for each channel of the
 * step, lowest first. The index of a word. */
GEAR__INLINE gear__u32 gear__mark_at(gear__u32 head_dim, gear__u32 rows, gear__u32 head, gear__u32 channel, gear__u32 row)
{
    return (head * (head_dim / GEAR__STEP) + channel / GEAR__STEP) * rows + row;
}

/* The outlier list, of those of a block and KV head, that (token, channel) belongs to: K a list for each token and up to 128
 * channels, V one for each channel. */
GEAR__INLINE gear__u32 gear__list_of(gear__u32 head_dim, gear__u32 is_v, gear__u32 token, gear__u32 channel)
{
    return is_v ? channel : token * ((head_dim + 127u) / 128u) + channel / 128u;
}

/* Scratch of the low-rank fit (cl/common/lowrank.clh): rows of a part of it; rows of a part of the Gram matrix, its
 * tiles of 32 x 32, floats of what comes before the parts, of a part and of a part of the Gram matrix; of a fit of n blocks
 * whose Gram matrix is in memory from five blocks on (some forms need less: gear__lowrank_slot), and for each of its blocks. In
 * a round all blocks have as many, those of the fit that needs most. */
#define GEAR__FIT_ROWS             256u
#define GEAR__FIT_DIRECT_BLOCKS    (GEAR__FIT_ROWS / 64u) /* most blocks of a fit without a Gram matrix */
#define GEAR__GRAM_ROWS            1024u
#define GEAR__GRAM_TILES(head_dim) (((head_dim) + 31u) / 32u * (((head_dim) + 31u) / 32u + 1u) / 2u)
#define GEAR__FIT_HEAD(head_dim)   (2u * GEAR__MAX_RANK * (head_dim) + 2u * GEAR__MAX_RANK)
#define GEAR__FIT_PART(head_dim)   (GEAR__MAX_RANK * (head_dim) + GEAR__MAX_RANK * GEAR__MAX_RANK)
#define GEAR__GRAM_PART(head_dim)  (1024u * GEAR__GRAM_TILES(head_dim))
#define GEAR__FIT_PARTS(blocks)    (((blocks)*64u + GEAR__FIT_ROWS - 1u) / GEAR__FIT_ROWS)
#define GEAR__GRAM_PARTS(blocks)   (((blocks)*64u + GEAR__GRAM_ROWS - 1u) / GEAR__GRAM_ROWS)
#define GEAR__FIT_FLOATS(head_dim, blocks)                                                                                     \
  (GEAR__FIT_HEAD(head_dim) + GEAR__FIT_PARTS(blocks) * GEAR__FIT_PART(head_dim) +                                             \
   ((blocks) > GEAR__FIT_DIRECT_BLOCKS ? (head_dim) * (head_dim) + GEAR__GRAM_PARTS(blocks) * GEAR__GRAM_PART(head_dim) : 0u))
#define GEAR__FIT_SLOT_OF(floats, blocks) (((floats) + 16u * (blocks)-1u) / (16u * (blocks)) * 16u)
#define GEAR__FIT_SLOT(head_dim, blocks)  GEAR__FIT_SLOT_OF(GEAR__FIT_FLOATS(head_dim, blocks), blocks)
/* Tiles that a work-item of `items` takes part in, and work-groups that share those of a part. */
#define GEAR__GRAM_GROUPS(head_dim, items) ((GEAR__GRAM_TILES(head_dim) + (items) / 16u - 1u) / ((items) / 16u))
#define GEAR__GRAM_SHARE(head_dim, items)                                                                                      \
  ((GEAR__GRAM_TILES(head_dim) + (items) / 64u * GEAR__GRAM_GROUPS(head_dim, items) - 1u) /                                    \
   ((items) / 64u * GEAR__GRAM_GROUPS(head_dim, items)))
/* The NVIDIA form: a warp has a tile off the diagonal or, where there are many, two on it; work-groups for each part, and
 * their warps. Those that iterate have one for each 16 channels. */
#define GEAR__GRAM_NV_SIDE(head_dim)  (((head_dim) + 31u) / 32u)
#define GEAR__GRAM_NV_PAIRS(head_dim) (GEAR__GRAM_NV_SIDE(head_dim) >= 4u ? 2u : 1u) /* tiles on the diagonal of a warp */
#define GEAR__GRAM_NV_SHARES(head_dim)                                                                                         \
  (GEAR__GRAM_NV_SIDE(head_dim) * (GEAR__GRAM_NV_SIDE(head_dim) - 1u) / 2u +                                                   \
   (GEAR__GRAM_NV_SIDE(head_dim) + GEAR__GRAM_NV_PAIRS(head_dim) - 1u) / GEAR__GRAM_NV_PAIRS(head_dim))
#define GEAR__GRAM_NV_GROUPS(head_dim) ((GEAR__GRAM_NV_SHARES(head_dim) + 7u) / 8u)
#define GEAR__GRAM_NV_LEAST(head_dim)                                                                                          \
  ((GEAR__GRAM_NV_SHARES(head_dim) + GEAR__GRAM_NV_GROUPS(head_dim) - 1u) / GEAR__GRAM_NV_GROUPS(head_dim))
#define GEAR__GRAM_NV_WARPS(head_dim)                                                                                          \
  ((head_dim) <= 128u && (head_dim) / 16u > GEAR__GRAM_NV_LEAST(head_dim) ? (head_dim) / 16u : GEAR__GRAM_NV_LEAST(head_dim))
/* Whether fits of more than a block take one launch there, with the ranks of a side; parts of such a fit; counters for each
 * staging block and KV head; kinds of tasks, by the bits of factors. */
#define GEAR__GRAM_NV_FITS(head_dim, rank, rank_decode) ((head_dim) <= 128u && (rank) <= 4u && (rank_decode) <= 4u)
#define GEAR__FIT_NV_PARTS(blocks)                      ((blocks) > 1u ? GEAR__GRAM_PARTS(blocks) : 0u)
#define GEAR__FIT_NV_COUNTERS                           2u
#define GEAR__FIT_NV_KINDS(factor_bits)                 ((factor_bits) < 16u ? 3u : 2u)
#define GEAR__PROJECT_NV_ITEMS                          256u

/* Vectors that a work-group selects outliers from (the vector rule; a form for CPU devices has as many). */
#define GEAR__SELECT_VECTORS 16u
/* Staging rows whose tokens a work-group of append_1_marks has: by warps those of a block, where a token's values over all
 * heads are halves and fit in a warp's registers. */
#define GEAR__SELECT_WARP_VALUES 1024u
#define GEAR__SELECT_ROWS(by_warps, values, type)                                                                              \
  ((by_warps) && (values) <= GEAR__SELECT_WARP_VALUES && (type) == 0u ? GEAR__BLOCK : GEAR__SELECT_VECTORS)

/* Tokens of a staging block that a work-group of append_2_range has, where groups lie along channels. */
#define GEAR__RANGE_TOKENS 16u

/* Counters of replaced values, 64 bits each: the low word, then the high one, which counts how often the low one wrapped. */
#define GEAR__HEALTH_NAN   0u
#define GEAR__HEALTH_INF   2u
#define GEAR__HEALTH_WORDS 4u

/* --------------------------------------------------------------------------- positions of codes: bit offsets inside a plane */

/* Steps that share words with `step` in a plane of n steps: the group's size and first step. */
GEAR__INLINE gear__u32 gear__group_size(gear__u32 n, gear__u32 step)
{
    gear__u32 rest = n & 3u, quads = n & ~3u;
    return step < quads ? 4u : (rest >= 2u && step < quads + 2u) ? 2u : 1u;
}

GEAR__INLINE gear__u32 gear__group_first(gear__u32 n, gear__u32 step)
{
    gear__u32 g = gear__group_size(n, step), quads = n & ~3u;
    return step < quads ? step & ~3u : g == 2u ? quads : step;
}

/* Pair `pair` of a lane's stream in a group of `words` 32-bit words per lane; returns the bit offset of the pair's low code. */
GEAR__INLINE gear__u32 gear__pair_bit(gear__u32 w, gear__u32 words, gear__u32 lane, gear__u32 pair)
{
    gear__u32 per = 16u / w, word = pair / per, slot = pair % per;
    gear__u32 index = words >= 4u ? ((word >> 2) * 32u + lane) * 4u + (word & 3u) : lane * words + word;
    return index * 32u + slot * w;
}

/* Code of (token 0..63, channel) in a K plane of w bits and n steps. */
GEAR__INLINE gear__u32 gear__k_bit(gear__u32 w, gear__u32 n, gear__u32 token, gear__u32 channel)
{
    gear__u32 step = channel >> 4, g = gear__group_size(n, step), first = gear__group_first(n, step);
    gear__u32 lane = 4u * (token & 7u) + ((channel >> 2) & 3u);
    gear__u32 pair = (token >> 3) * 2u * g + (step - first) * 2u + ((channel >> 1) & 1u);
    return first * 1024u * w + gear__pair_bit(w, g * w, lane, pair) + 16u * (channel & 1u);
}

/* Code of (token 0..63, channel) in a V plane of w bits. */
GEAR__INLINE gear__u32 gear__v_bit(gear__u32 w, gear__u32 token, gear__u32 channel)
{
    gear__u32 lane = 4u * (channel & 7u) + ((token >> 1) & 3u);
    gear__u32 pair = ((channel >> 3) & 1u) * 8u + (token >> 4) * 2u + ((token >> 3) & 1u);
    return (channel >> 4) * 1024u * w + gear__pair_bit(w, w, lane, pair) + 16u * (token & 1u);
}

/* The tiles of a sequence, blocks before dense ones, are cut into parts that take about as long: a dense tile, in 16 bits,
 * counts as DENSE_WEIGHT blocks. */
#define GEAR__DENSE_WEIGHT 3u

/* Most splits that the kernels which join them themselves can take. */
#define GEAR__MERGED_SPLITS 128u

/* Weight of a part where there are `splits` of them. */
GEAR__INLINE gear__u32 gear__split_share(gear__u32 blocks, gear__u32 tiles, gear__u32 splits)
{
    return (blocks + GEAR__DENSE_WEIGHT * (tiles - blocks) + splits - 1u) / splits;
}

/* The first tile of the part before which there is a weight of `at`; at the end of all, their number. */
GEAR__INLINE gear__u32 gear__tile_at(gear__u32 blocks, gear__u32 tiles, gear__u32 at)
{
    gear__u32 tile = at <= blocks ? at : blocks + (at - blocks + GEAR__DENSE_WEIGHT - 1u) / GEAR__DENSE_WEIGHT;
    return tile < tiles ? tile : tiles;
}

/* The first tile of part `split`; of part `splits`, their number. */
GEAR__INLINE gear__u32 gear__first_tile(gear__u32 blocks, gear__u32 tiles, gear__u32 splits, gear__u32 split)
{
    return gear__tile_at(blocks, tiles, split * gear__split_share(blocks, tiles, splits));
}

/* A piece of a ragged batch, behind its list: what one work-group of each KV head and row tile does. Splits of a sequence then
 * have a weight that is the same for all sequences; the last has what is left. */
#define GEAR__PIECE_WORDS 2u
#define GEAR__PIECE_WHICH 0u /* entry of the list; above bit 16, number of the split */
#define GEAR__PIECE_PLACE 1u /* splits of the sequence; above bit 16, pieces of the sequences before it */

/* Width of the main plane and of the 1-bit plane behind it (0: none) for a code of `bits`. */
GEAR__INLINE gear__u32 gear__main_plane(gear__u32 bits)
{
    return bits == 3u ? 2u : bits == 5u ? 4u : bits;
}

GEAR__INLINE gear__u32 gear__high_plane(gear__u32 bits)
{
    return bits == 3u || bits == 5u ? 1u : 0u;
}

/* 1 / sqrt(size) of the Hadamard parts 16 to 256. */
GEAR__INLINE float gear__rotation_scale(gear__u32 size)
{
    return size == 256u ? 0.0625f : size == 128u ? 0x1.6a09e6p-4f : size == 64u ? 0.125f : size == 32u ? 0x1.6a09e6p-3f : 0.25f;
}

/* Outlier lists of a (KV head, block): K one per token and 128 channels, V one per channel; a list's length fits a byte. */
GEAR__INLINE gear__u32 gear__k_lists_per_token(gear__u32 head_dim)
{
    return (head_dim + 127u) / 128u;
}

GEAR__INLINE gear__u32 gear__align(gear__u32 bytes, gear__u32 to)
{
    return (bytes + to - 1u) / to * to;
}

#endif
