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

/* Halves of a pair. */
typedef struct gear__ref_pair {
    uint16_t scale, lo;
} gear__ref_pair;

gear__ref_job gear__ref_job_at(const gear__ref_round *round, uint32_t job);
const gear__side *gear__ref_side(const gear__ref_round *round);
/* Index into x, mask and r of channel 0. */
size_t gear__ref_row(const gear__ref_round *round, uint32_t head, uint32_t row);
/* Tokens of the job's block. */
uint32_t gear__ref_block_tokens(const gear__ref_job *job, uint32_t block);
/* Exact tokens of the job, from the mask. */
uint32_t gear__ref_exact_tokens(const gear__ref_round *round, const gear__ref_job *job);
gear__ref_place gear__ref_place_at(const gear__ref_round *round, const gear__ref_job *job, uint32_t block, uint32_t head);

uint16_t gear__ref_load_half(const uint8_t *at, size_t index);
void gear__ref_store_half(uint8_t *at, size_t index, uint16_t half);
uint32_t gear__ref_load_word(const uint8_t *at, size_t index);
void gear__ref_store_word(uint8_t *at, size_t index, uint32_t word);

/* Reads and writes a code of up to 16 bits at a bit offset of a plane; a write expects zero bits there. */
uint32_t gear__ref_bits_get(const uint8_t *plane, uint32_t bit, uint32_t w);
void gear__ref_bits_set(uint8_t *plane, uint32_t bit, uint32_t w, uint32_t code);
/* The code of (token of the block, channel) in the planes of a head part; 16 bits: a half. */
uint32_t gear__ref_code_get(const gear__shape *shape, const gear__side *side, const uint8_t *head, uint32_t token,
                            uint32_t channel);
void gear__ref_code_set(const gear__shape *shape, const gear__side *side, uint8_t *head, uint32_t token, uint32_t channel,
                        uint32_t code);

/* The pair that (token of the block, channel) belongs to. Not for 16 bits. */
gear__ref_pair gear__ref_pair_get(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place,
                                  uint32_t token, uint32_t channel);
void gear__ref_pair_set(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, uint32_t token,
                        uint32_t channel, gear__ref_pair pair);

/* inv(scale) of rule 6, for a positive finite half. */
float gear__ref_inverse(uint16_t scale);
/* rint_even(d / scale) as if computed exactly, clamped to low .. high (at most 255 in magnitude); 0 where scale is 0. */
int32_t gear__ref_divide(float d, uint16_t scale, int32_t low, int32_t high);
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
