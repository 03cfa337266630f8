/* gguf_cursor.h: a place in the bytes of a model file, which never moves beyond their end. */
#ifndef GEAR_LLM_GGUF_CURSOR_H
#define GEAR_LLM_GGUF_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gguf.h"

typedef struct gguf_cursor {
    const unsigned char *at, *end;
} gguf_cursor;

/* The number at any address. */
uint32_t gguf_load_u32(const unsigned char *bytes);
uint64_t gguf_load_u64(const unsigned char *bytes);

size_t gguf_left(const gguf_cursor *c);
/* False, and nothing taken, when the bytes end before. */
bool gguf_take_u32(gguf_cursor *c, uint32_t *out);
bool gguf_take_u64(gguf_cursor *c, uint64_t *out);
/* A length of 64 bits and so many bytes. */
bool gguf_take_text(gguf_cursor *c, gguf_text *out);
/* count elements of `size` bytes. */
bool gguf_take_bytes(gguf_cursor *c, uint64_t count, size_t size, const unsigned char **out);

#endif
