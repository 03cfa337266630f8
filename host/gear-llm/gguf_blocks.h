/* gguf_blocks.h: how the tensor types of GGUF store their values: blocks of so many values in so many bytes, and the scalar
 * reference that the kernels are tested against. The plain types are blocks of one value. */
#ifndef GEAR_LLM_GGUF_BLOCKS_H
#define GEAR_LLM_GGUF_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gguf.h"

typedef struct gguf_block {
    const char *name; /* "Q4_1" */
    uint32_t values;
    uint32_t bytes;
} gguf_block;

/* Of a type number of the format; NULL for one that is not in gguf_type. */
const gguf_block *gguf_block_of(uint32_t type);

/* The format's name of any of its types, read or not; NULL for a number that it does not use. */
const char *gguf_type_name(uint32_t type);

/* count values, a multiple of the type's block, to float32: exactly the values that the format defines, each product and sum
 * rounded to float32. `row` needs no alignment. */
void gguf_dequantize(gguf_type type, const void *row, size_t count, float *out);

#endif
