/* source.h: reads of the input and places in the window, shared by gather and window. */
#ifndef GEAR_REF_SOURCE_H
#define GEAR_REF_SOURCE_H

#include "ref/ref.h"

/* The input value of a token at or after SEQ_LENGTH as the half of rule 1; counts its health. */
uint16_t gear__ref_input(gear__ref_source *source, uint32_t entry, uint32_t head, uint32_t position, uint32_t channel);
/* Rule 1 for one float. */
uint16_t gear__ref_sanitize(float value, uint64_t *health);
/* Index into the window of a token of a sequence. */
size_t gear__ref_ring_index(const gear__shape *shape, const uint32_t *seq, uint32_t is_v, uint32_t head, uint32_t position,
                            uint32_t channel);

#endif
