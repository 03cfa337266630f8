/* kit.h: what the reference stages share: places of records, single codes and pairs, and the rounding division of rule 6. */
#ifndef GEAR_REF_KIT_H
#define GEAR_REF_KIT_H

#include "model/half.h"
#include "ref/ref.h"

/* A job unpacked. */
typedef struct gear__ref_job {
    uint32_t segment, table, blocks, tokens, row, first, entry, cls;
} gear__ref_job;

/* The parts of the records that one (head, block) of a segment writes or reads. */
typedef struct gear__ref_place {
    uint8_t *shared; /* shared part of the block record */
    uint8_t *head;   /* head part of the block record */
    uint8_t *seg;    /* head part of the segment record */
} gear__ref_place;

/* A channel segment of K; on every other side the one segment is all channels. */
typedef struct gear__ref_segment {
    uint32_t index, first, channels, bits;
    uint32_t planes; /* bytes of the planes before its own */
} gear__ref_segment;

/* A pair of the mixed backbone as it is stored: x ~ z + s * level, level in -1 .. 1. */
typedef struct gear__ref_scale {
    float s, z;
} gear__ref_scale;

/* Halves of a pair. */
typedef struct gear__ref_pair {
    uint16_t scale, lo;
} gear__ref_pair;

gear__ref_job gear__ref_job_at(const gear__ref_round *round, uint32_t job);
const gear__side *gear__ref_side(const gear__ref_round *round);
/* Where norms leave the weights of tokens until the residual takes their place: floats of the shape of x, one a row. */
float *gear__ref_weights(const gear__ref_round *round);
/* Index into x, mask and r of channel 0. */
size_t gear__ref_row(const gear__ref_round *round, uint32_t head, uint32_t row);
/* Tokens of the job's block. */
uint32_t gear__ref_block_tokens(const gear__ref_job *job, uint32_t block);
/* Exact tokens of the job, from the mask. */
uint32_t gear__ref_exact_tokens(const gear__ref_round *round, const gear__ref_job *job);
gear__ref_place gear__ref_place_at(const gear__ref_round *round, const gear__ref_job *job, uint32_t block, uint32_t head);

/* The channel order of one head of the job's sequence. */
uint8_t *gear__ref_order_of(const gear__ref_round *round, const gear__ref_source *source, const gear__ref_job *job,
                            uint32_t head);

uint16_t gear__ref_load_half(const uint8_t *at, size_t index);
void gear__ref_store_half(uint8_t *at, size_t index, uint16_t half);
uint32_t gear__ref_load_word(const uint8_t *at, size_t index);
void gear__ref_store_word(uint8_t *at, size_t index, uint32_t word);

/* Reads and writes a code of up to 16 bits at a bit offset of a plane; a write expects zero bits there. */
uint32_t gear__ref_bits_get(const uint8_t *plane, uint32_t bit, uint32_t w);
void gear__ref_bits_set(uint8_t *plane, uint32_t bit, uint32_t w, uint32_t code);
/* The code of (token of the block, channel) in the planes of a head part; 16 bits: a half. */
uint32_t gear__ref_code_get(const gear__side *side, const uint8_t *head, uint32_t token, uint32_t channel);
void gear__ref_code_set(const gear__side *side, uint8_t *head, uint32_t token, uint32_t channel, uint32_t code);

/* The pair that (token of the block, channel) belongs to. Not for 16 bits or the mixed backbone. */
gear__ref_pair gear__ref_pair_get(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place,
                                  uint32_t token, uint32_t channel);
void gear__ref_pair_set(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, uint32_t token,
                        uint32_t channel, gear__ref_pair pair);

gear__ref_segment gear__ref_segment_of(const gear__side *side, uint32_t channel);
/* Rule 11: the bits of a stored pair; halves of the super scales (K by segment: S, Z0, Zs; V: S); what they stand for. */
uint32_t gear__ref_mixed_pair_get(const gear__side *side, const uint8_t *head, uint32_t token, uint32_t channel);
void gear__ref_mixed_pair_set(const gear__side *side, uint8_t *head, uint32_t token, uint32_t channel, uint32_t value);
uint16_t gear__ref_super(const gear__side *side, const uint8_t *head, uint32_t segment, uint32_t which);
gear__ref_scale gear__ref_mixed_scale(const gear__side *side, const uint8_t *head, uint32_t token, uint32_t channel);
float gear__ref_normal_level(uint32_t bits, uint32_t code);
uint32_t gear__ref_mixed_encode(const gear__side *side, gear__ref_scale scale, uint32_t bits, float value);
float gear__ref_mixed_value(const gear__side *side, gear__ref_scale scale, uint32_t bits, uint32_t code);
/* Size of the Hadamard part that starts at channel `first` (rule 10). */
uint32_t gear__ref_rotation_part(uint32_t head_dim, uint32_t first);

/* 1 / sqrt(a) in the fixed steps of rule 11, for a from 2^-100 to 2^100. */
float gear__ref_rsqrt(float a);

/* inv(scale) of rule 6, for a positive finite half. */
float gear__ref_inverse(uint16_t scale);
/* rint_even(d / scale) as if computed exactly, clamped to low .. high (at most 255 in magnitude); 0 where scale is 0. */
int32_t gear__ref_divide(float d, uint16_t scale, int32_t low, int32_t high);
/* The same for a positive float scale. */
int32_t gear__ref_quotient(float d, float scale, int32_t low, int32_t high);
/* D of rule 7 at (token of the block, channel). */
float gear__ref_dequantize(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place,
                           uint32_t token, uint32_t channel);

/* Stored factors: `which` 0 is A (index = token of the block), 1 is B (index = channel). */
float gear__ref_factor_get(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, int which,
                           uint32_t column, uint32_t index);
/* L of rule 9: sum of a_j b_j in ascending j, float32 fma from 0. */
float gear__ref_lowrank(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, uint32_t token,
                        uint32_t channel);

#endif
