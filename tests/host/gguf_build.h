/* gguf_build.h: writes model files into memory, right ones and wrong ones, for the tests of their reader. */
#ifndef TEST_GGUF_BUILD_H
#define TEST_GGUF_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "../../host/gear-llm/gguf.h"

/* Value types of the format. */
enum {
    VALUE_U8 = 0,
    VALUE_I8 = 1,
    VALUE_U16 = 2,
    VALUE_I16 = 3,
    VALUE_U32 = 4,
    VALUE_I32 = 5,
    VALUE_F32 = 6,
    VALUE_BOOL = 7,
    VALUE_STRING = 8,
    VALUE_ARRAY = 9,
    VALUE_U64 = 10,
    VALUE_I64 = 11,
    VALUE_F64 = 12
};

/* All zero to begin with. */
typedef struct gguf_build {
    unsigned char *bytes; /* owned: build_free */
    size_t size, capacity;
} gguf_build;

/* The header, with counts that build_key_* and build_tensor raise. */
void build_start(gguf_build *b, uint32_t version);
void build_free(gguf_build *b);

void build_bytes(gguf_build *b, const void *bytes, size_t size);
void build_u32(gguf_build *b, uint32_t value);
void build_u64(gguf_build *b, uint64_t value);
void build_text(gguf_build *b, const char *text);
/* Zeros up to a multiple of `alignment`. */
void build_align(gguf_build *b, size_t alignment);

/* A key and the type of its value, which is to follow. */
void build_key(gguf_build *b, const char *key, uint32_t type);
void build_key_u32(gguf_build *b, const char *key, uint32_t value);
void build_key_bool(gguf_build *b, const char *key, int value);
void build_key_string(gguf_build *b, const char *key, const char *value);
/* Arrays of `count` elements. */
void build_key_strings(gguf_build *b, const char *key, size_t count, const char *const *values);
void build_key_i32s(gguf_build *b, const char *key, size_t count, const int32_t *values);

/* The description; the data are to follow behind all of them. */
void build_tensor(gguf_build *b, const char *name, uint32_t ndim, const uint64_t *shape, uint32_t type, uint64_t offset);

/* A file with a value of each type, arrays, and three tensors. It ends with the last tensor. */
void build_sample(gguf_build *b, uint32_t version);

/* Changes a few bytes: to anything, by one bit, or eight of them to a number at an edge. */
void mutate(unsigned char *bytes, size_t size, uint64_t *state);
uint64_t next_random(uint64_t *state);

/* Opens a copy in an allocation of exactly `size` bytes, so that a sanitizer sees any read beyond it. */
typedef struct opened_copy {
    void *bytes;
    gguf *file; /* NULL: error says why */
    host_error error;
} opened_copy;

opened_copy open_copy(const unsigned char *bytes, size_t size);
void close_copy(opened_copy *opened);

/* The failure is bad input of model.gguf for a reason with this in it. */
void expect_refusal(const host_error *error, const char *reason);

#endif
