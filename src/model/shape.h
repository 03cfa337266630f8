/* shape.h: the resolved form of one layer's codec pair and geometry: what the kernels are specialised on, and the byte layout
 * of its records. Pure arithmetic, no OpenCL. docs/format.md states the same in prose. */
#ifndef GEAR_MODEL_SHAPE_H
#define GEAR_MODEL_SHAPE_H

#include <stdint.h>

#include "gear/gear.h"
#include "layout.h"

/* One side (K or V) of a layer, all defaults resolved. */
typedef struct gear__side {
    uint32_t is_v;
    uint32_t axis; /* GEAR__AXIS_* */
    uint32_t bits;
    uint32_t group;   /* tokens or channels of a pair; 0 where the axis has no group size */
    uint32_t rank[2]; /* by class */
    uint32_t iterations;
    uint32_t factor_bits;
    double outlier_fraction;
    uint32_t outlier_rule; /* gear_outlier_rule */
    uint32_t delta_bits;   /* 16 or 8; 0 without outliers */
    uint32_t num_segments; /* of channels, at least 1 */
    gear_segment segments[GEAR_MAX_SEGMENTS];
    uint32_t ordered;  /* channels are stored in order of importance */
    uint32_t weighted; /* a segment has 1 bit: its fit weighs the tokens */
    uint32_t rotate, levels;
    uint32_t outlier_axis; /* vector rule: GEAR__AXIS_CHANNEL_SEGMENT or GEAR__AXIS_TOKEN_ALL */

    /* Byte offsets in a head record of a block (multiples of 16 but where said); 0 bytes where a part is absent. */
    uint32_t codes, codes_bytes;
    uint32_t pairs, pairs_bytes;             /* AXIS_CHANNEL_GROUP, AXIS_TOKEN_GROUP */
    uint32_t supers, supers_bytes;           /* AXIS_MIXED_*: halves */
    uint32_t delta_scale, delta_scale_bytes; /* one half for deltas of 8 bits; not aligned, it stands with the super scales */
    uint32_t counts, counts_bytes;           /* outlier list lengths, one byte each */
    uint32_t a[2], a_bytes[2];               /* low-rank rows, column by column: [rank][64] */
    /* Byte offset in the shared part of a block record. */
    uint32_t shared_pairs, shared_pairs_bytes; /* AXIS_TOKEN_ALL */
    /* Byte offsets in a head part of a segment record. */
    uint32_t b[2], b_bytes[2];              /* [rank][head_dim] */
    uint32_t factors[2], factors_bytes[2];  /* halves: scale of each column of A, then of B; absent at 16 bits */
    uint32_t seg_pairs[2], seg_pairs_bytes; /* AXIS_CHANNEL_SEGMENT; the offset depends on the class */
} gear__side;

typedef struct gear__shape {
    uint32_t head_dim, kv_heads, query_heads;
    gear__side side[2]; /* 0: K, 1: V */
    uint32_t has_outliers;
    /* Block record: shared part, then kv_heads head parts of head_stride bytes. */
    uint32_t shared_bases, shared_bases_bytes; /* [head][K, V] first outlier entry of (head, block), words */
    uint32_t head_first;                       /* size of the shared part */
    uint32_t head_stride[2], block_bytes[2];   /* by class */
    /* Segment record: header, then kv_heads head parts, then outliers (K indices, K deltas, V indices, V deltas). */
    uint32_t seg_head_first, seg_head_stride[2], seg_bytes[2]; /* seg_bytes: without outliers */
    uint32_t window_tokens;                                    /* ring size: recent + max(window, 64) */
    uint32_t exact_max;                                        /* 0..64: size of the exact record, tokens */
    uint32_t order_bytes;                                      /* channel order record, 0 when no side is ordered */
    uint32_t exact_bytes; /* [K, V][head][exact_max][head_dim] halves, 0 when exact_max is 0 */
} gear__shape;

static inline int gear__is_mixed(const gear__side *side)
{
    return side->axis == GEAR__AXIS_MIXED_CHANNEL || side->axis == GEAR__AXIS_MIXED_TOKEN;
}

/* A side of some class has a low-rank part. */
static inline int gear__has_rank(const gear__shape *shape, uint32_t is_v)
{
    return shape->side[is_v].rank[0] || shape->side[is_v].rank[1];
}

/* Resolves the codec of one layer. desc must have passed gear__desc_check. */
void gear__shape_init(gear__shape *shape, const gear_cache_desc *desc, const gear_codec_pair *codec);

/* Outlier entries that a segment of `tokens` tokens holds on one side, `exact` of them exact tokens: over all heads and blocks.
 */
uint64_t gear__outlier_entries(const gear__shape *shape, const gear__side *side, uint32_t tokens, uint32_t exact);
/* Vector rule: entries at each end of one vector of `length` values of which `available` may be chosen. */
uint32_t gear__outlier_per_end(double fraction, uint32_t length, uint32_t available);
/* Block rule: entries of one (head, block) with `available` values that may be chosen. */
uint32_t gear__outlier_per_block(double fraction, uint32_t head_dim, uint32_t available);

/* Byte offset of the outlier parts in a segment record: part 0 K indices, 1 K deltas, 2 V indices, 3 V deltas, 4 the end. */
uint64_t gear__outlier_part(const gear__shape *shape, uint32_t cls, uint64_t entries_k, uint64_t entries_v, int part);

/* Size of a segment record in granules, outliers included. */
uint64_t gear__segment_granules(const gear__shape *shape, uint32_t cls, uint64_t entries_k, uint64_t entries_v);
uint32_t gear__block_granules(const gear__shape *shape, uint32_t cls);

/* Adds what `blocks` blocks (and one segment record) of a class take to `bytes`, part by part; total included. */
void gear__count_segment(const gear__shape *shape, uint32_t cls, uint32_t blocks, uint64_t entries_k, uint64_t entries_v,
                         gear_bytes *bytes);

#endif
