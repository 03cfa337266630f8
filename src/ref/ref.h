/* ref.h: the scalar C specification of every kernel: same stems as cl/, no OpenCL, no allocation but where said. The arithmetic
 * is the numeric convention of docs/design.md, the layout that of layout.h and model/shape.h; rules are that convention's.
 *
 * A round compresses a work list of segments ("jobs") of one layer, one side (K or V) at a time:
 *     gather, order, transform, outliers, range, quantize, lowrank, store          vector rule, or no outliers
 *     gather, order, transform, range, outliers, range, quantize, lowrank, store   block rule
 * (fit in place of range on the mixed backbone; order and transform do nothing on the others; norms after them, for K of 1
 * bit)
 * and then window, once per side, brings in the new tokens that stay. Compile with -ffp-contract=off.
 */
#ifndef GEAR_REF_REF_H
#define GEAR_REF_REF_H

#include <stddef.h>
#include <stdint.h>

#include "model/shape.h"

/* The mask of a value that nothing excludes; the others are in layout.h. */
#define GEAR__MASK_NORMAL 0u

/* What the stages 0 to 5 share. Page table: entry i = words 4i .. 4i+3. A slot's row starts with the sequence header {granule
 * offset of the exact record, exact tokens n, granule offset of the channel order, 0}; entry 1 + b is block b
 * (GEAR__BLOCK_*). */
typedef struct gear__ref_round {
    const gear__shape *shape;
    uint32_t is_v;
    const uint32_t *jobs; /* GEAR__JOB_* records */
    uint32_t num_jobs;
    const uint32_t *row_jobs; /* [num_rows / 64] job of each block of staging rows */
    uint32_t num_rows;        /* a multiple of 64 */
    const uint32_t *table;
    uint8_t *pool;
    uint16_t *x;          /* staging [head][row][head_dim], halves */
    uint8_t *mask;        /* GEAR__MASK_*, same shape */
    uint16_t *r;          /* residual, halves, same shape; before it gear__ref_weights (kit.h) */
    const float *weights; /* of the channel order, [sequence of the batch][head][head_dim]; NULL: none */
} gear__ref_round;

/* Where gather and window read. Element (sequence, head, position p) of the input starts at head * stride_head +
 * stride_token * (SEQ_ROW + p - SEQ_LENGTH) when stride_seq is 0, else + sequence * stride_seq + stride_token *
 * (p - SEQ_LENGTH). */
typedef struct gear__ref_source {
    const uint32_t *seqs; /* GEAR__SEQ_* records */
    uint32_t num_seqs;
    uint32_t table_row_entries; /* 1 + the most blocks of a sequence */
    uint16_t *window;           /* [slot][K, V][head][window_tokens][head_dim]; token p at ring index p % window_tokens */
    const void *input;
    size_t stride_seq, stride_head, stride_token;
    gear_type type;
    uint64_t *health; /* [0] NaN, [1] values that round to an infinity; counted once per value of the input */
} gear__ref_source;

/* x and mask of every job; originals of exact tokens into the exact record, replacements (rule 2) into x; padding is 0. */
void gear__ref_append_0_gather(gear__ref_round *round, gear__ref_source *source);
/* Marks outliers (rule 4); the block rule reads the pairs of a range stage that ran with nothing marked. */
void gear__ref_append_1_outliers(gear__ref_round *round);
/* The outliers in the mask as bits, in 16-bit words (gear__mark_at) of which marks has one for each 16 staged values. */
void gear__ref_append_1_marks(const gear__ref_round *round, uint16_t *marks);
/* Rule 10, K from the staged values: the channel order of sequences that a job opens, into their order record. */
void gear__ref_append_1_order(gear__ref_round *round, const gear__ref_source *source);
/* Rule 10, x in place: K in the channel order of its sequence, V rotated. */
void gear__ref_append_1_transform(gear__ref_round *round, const gear__ref_source *source);
/* Where K has channels of 1 bit: weights of the tokens in their fit (rule 11), each at the first place of its row of r. Needs
 * V, of which K's round has nothing else. */
void gear__ref_append_1_norms(gear__ref_round *round, const gear__ref_source *v);
/* Pairs of the mixed backbone (rule 11), super scales included. */
void gear__ref_append_2_fit(gear__ref_round *round);
/* Pairs (rule 5). Exact tokens take part with replaced values; marked values and padding do not. -0 counts as +0. */
void gear__ref_append_2_range(gear__ref_round *round);
/* Code planes (rules 6 and 11), whole planes written, and r (rule 7). 16 bits: halves as they are, r = 0. */
void gear__ref_append_3_quantize(gear__ref_round *round);
/* Gather, transform, norms, outliers of the vector rule, fit or range and quantize of one side, and the lengths of the outlier
 * lists: what append_block does where the channel order and the marks are there. v: the V of the round, for norms. */
void gear__ref_append_block(gear__ref_round *round, gear__ref_source *source, const gear__ref_source *v);
/* A side of a decode step that completes blocks: append_block, append_4_lowrank where decode segments have a rank, and
 * append_6_window. Returns 0 if there is no memory, else 1. */
int gear__ref_append_decode(gear__ref_round *round, gear__ref_source *source, const gear__ref_source *v);
/* Factors A, B and their scales (rule 8), sums in double. Allocates its scratch: returns 0 if there is no memory, else 1. */
int gear__ref_append_4_lowrank(gear__ref_round *round);
/* Segment headers, outlier lists, offsets and deltas (rule 9). */
void gear__ref_append_5_store(gear__ref_round *round);
/* New tokens p >= SEQ_FIRST (first position that stays in the window after this call) into the ring. Of the round it reads
 * shape and is_v only. */
void gear__ref_append_6_window(gear__ref_round *round, gear__ref_source *source);

/* A layer as its readers see it. */
typedef struct gear__ref_store {
    const gear__shape *shape;
    const uint32_t *table;
    uint32_t table_row_entries;
    const uint8_t *pool;
    const uint16_t *window;
} gear__ref_store;

/* Dense values of positions first .. first + count - 1 of a sequence (GEAR__SEQ_SLOT, _FIRST, _BLOCKS are read), one side:
 * out[head][count][head_dim]. (D + L) + S in float32; exact tokens and the window as stored. */
void gear__ref_reconstruct(const gear__ref_store *store, const uint32_t *seq, uint32_t is_v, uint32_t first, uint32_t count,
                           float *out);

/* Attention of one sequence over dense values, in double precision. Query i of `queries` stands at position tokens + tail -
 * queries + i and sees positions up to its own. A row is (query head, query), row = query head * queries + query. */
typedef struct gear__ref_attention {
    uint32_t head_dim, kv_heads, query_heads;
    uint32_t tokens, tail, queries;
    const float *k, *v;           /* [kv head][tokens][head_dim] */
    const float *tail_k, *tail_v; /* [kv head][tail][head_dim] */
    const float *q;               /* [query head][queries][head_dim] */
    double scale;                 /* 0: 1 / sqrt(head_dim) */
    double soft_cap;              /* 0: none */
} gear__ref_attention;

/* Partial result over positions first .. last - 1: per row the largest score, the sum of exp(score - max) and in
 * out[row][head_dim] the sum of exp(score - max) V. A row that sees nothing there: -infinity, 0, zeros. */
void gear__ref_attend_1_partial(const gear__ref_attention *attention, uint32_t first, uint32_t last, double *max, double *sum,
                                double *out);
/* Joins `splits` partials, each [split][row]; lse (may be NULL) receives the natural log-sum-exp. A row that saw nothing: zeros
 * and -infinity. */
void gear__ref_attend_2_merge(uint32_t splits, uint32_t rows, uint32_t head_dim, const double *max, const double *sum,
                              const double *partial, double *out, double *lse);
/* Both over all positions: out[row][head_dim], lse[row] (may be NULL). */
void gear__ref_attend(const gear__ref_attention *attention, double *out, double *lse);

#endif
