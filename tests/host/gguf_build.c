/* gguf_build.c: see gguf_build.h. */
#define _POSIX_C_SOURCE 200809L
#include "gguf_build.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TENSORS_AT 8
#define PAIRS_AT   16

void build_bytes(gguf_build *b, const void *bytes, size_t size)
{
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size);
        b->bytes = realloc(b->bytes, b->capacity);
        cr_assert_not_null(b->bytes);
    }
    if (size)
        memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

void build_u32(gguf_build *b, uint32_t value)
{
    unsigned char bytes[] = {(unsigned char)value, (unsigned char)(value >> 8), (unsigned char)(value >> 16),
                             (unsigned char)(value >> 24)};
    build_bytes(b, bytes, 4);
}

void build_u64(gguf_build *b, uint64_t value)
{
    build_u32(b, (uint32_t)value);
    build_u32(b, (uint32_t)(value >> 32));
}

void build_text(gguf_build *b, const char *text)
{
    build_u64(b, strlen(text));
    build_bytes(b, text, strlen(text));
}

void build_align(gguf_build *b, size_t alignment)
{
    while (b->size % alignment)
        build_bytes(b, "", 1);
}

void build_start(gguf_build *b, uint32_t version)
{
    b->size = 0;
    build_bytes(b, "GGUF", 4);
    build_u32(b, version);
    build_u64(b, 0);
    build_u64(b, 0);
}

void build_free(gguf_build *b)
{
    free(b->bytes);
    *b = (gguf_build){0};
}

void build_key(gguf_build *b, const char *key, uint32_t type)
{
    ++b->bytes[PAIRS_AT];
    build_text(b, key);
    build_u32(b, type);
}

void build_key_u32(gguf_build *b, const char *key, uint32_t value)
{
    build_key(b, key, VALUE_U32);
    build_u32(b, value);
}

void build_key_bool(gguf_build *b, const char *key, int value)
{
    unsigned char byte = (unsigned char)value;
    build_key(b, key, VALUE_BOOL);
    build_bytes(b, &byte, 1);
}

void build_key_string(gguf_build *b, const char *key, const char *value)
{
    build_key(b, key, VALUE_STRING);
    build_text(b, value);
}

void build_key_strings(gguf_build *b, const char *key, size_t count, const char *const *values)
{
    build_key(b, key, VALUE_ARRAY);
    build_u32(b, VALUE_STRING);
    build_u64(b, count);
    for (size_t i = 0; i < count; ++i)
        build_text(b, values[i]);
}

void build_key_i32s(gguf_build *b, const char *key, size_t count, const int32_t *values)
{
    build_key(b, key, VALUE_ARRAY);
    build_u32(b, VALUE_I32);
    build_u64(b, count);
    for (size_t i = 0; i < count; ++i)
        build_u32(b, (uint32_t)values[i]);
}

void build_tensor(gguf_build *b, const char *name, uint32_t ndim, const uint64_t *shape, uint32_t type, uint64_t offset)
{
    ++b->bytes[TENSORS_AT];
    build_text(b, name);
    build_u32(b, ndim);
    for (uint32_t i = 0; i < ndim; ++i)
        build_u64(b, shape[i]);
    build_u32(b, type);
    build_u64(b, offset);
}

opened_copy open_copy(const unsigned char *bytes, size_t size)
{
    opened_copy opened = {0};
    cr_assert_eq(posix_memalign(&opened.bytes, 64, size ? size : 1), 0);
    if (size)
        memcpy(opened.bytes, bytes, size);
    bool ok = gguf_open_bytes("model.gguf", opened.bytes, size, &opened.file, &opened.error);
    cr_assert_eq(ok, opened.file != NULL);
    cr_assert_eq(ok, !opened.error.exit_code);
    return opened;
}

void close_copy(opened_copy *opened)
{
    gguf_close(opened->file);
    free(opened->bytes);
    *opened = (opened_copy){0};
}

void build_sample(gguf_build *b, uint32_t version)
{
    static const char *const names[] = {"one", "", "three"};
    static const int32_t numbers[] = {-7, 0, 2147483647};
    static const uint64_t matrix[] = {64, 3}, vector[] = {5};
    build_start(b, version);
    build_key_string(b, "general.architecture", "llama");
    build_key(b, "u8", VALUE_U8);
    build_bytes(b, "\xfe", 1);
    build_key(b, "i8", VALUE_I8);
    build_bytes(b, "\xfe", 1);
    build_key(b, "u16", VALUE_U16);
    build_bytes(b, "\xff\xfe", 2);
    build_key(b, "i16", VALUE_I16);
    build_bytes(b, "\x01\x00", 2);
    build_key_u32(b, "u32", UINT32_MAX);
    build_key(b, "i32", VALUE_I32);
    build_u32(b, (uint32_t)-1);
    build_key(b, "u64", VALUE_U64);
    build_u64(b, 12);
    build_key(b, "large", VALUE_U64);
    build_u64(b, UINT64_MAX);
    build_key(b, "i64", VALUE_I64);
    build_u64(b, 1u << 31);
    build_key(b, "f32", VALUE_F32);
    build_u32(b, 0x3fc00000);
    build_key(b, "f64", VALUE_F64);
    build_u64(b, 0xbfd0000000000000u);
    build_key(b, "huge", VALUE_F64);
    build_u64(b, 0x7fe0000000000000u);
    build_key_bool(b, "true", 1);
    build_key_strings(b, "names", 3, names);
    build_key_i32s(b, "numbers", 3, numbers);
    build_key_i32s(b, "none", 0, NULL);
    build_key(b, "floats", VALUE_ARRAY);
    build_u32(b, VALUE_F64);
    build_u64(b, 1);
    build_u64(b, 0x3ff8000000000000u);
    build_key(b, "zero inside", VALUE_STRING);
    build_u64(b, 3);
    build_bytes(b, "a\0b", 3);
    build_tensor(b, "matrix", 2, matrix, GGUF_Q4_0, 0);
    build_tensor(b, "vector", 1, vector, GGUF_F32, 128);
    build_tensor(b, "half", 1, vector, GGUF_F16, 160);
    build_align(b, 32);
    for (int i = 0; i < 170; ++i)
        build_bytes(b, &(unsigned char){(unsigned char)i}, 1);
}

uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void mutate(unsigned char *bytes, size_t size, uint64_t *state)
{
    static const uint64_t edges[] = {0, 1, 2, 255, 1u << 31, UINT32_MAX, 1ull << 32, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    for (uint64_t left = 1 + next_random(state) % 3; left; --left) {
        size_t at = next_random(state) % size;
        switch (next_random(state) % 3) {
        case 0: bytes[at] = (unsigned char)next_random(state); break;
        case 1: bytes[at] ^= (unsigned char)(1u << next_random(state) % 8); break;
        default:
            if (at + 8 <= size)
                memcpy(bytes + at, &edges[next_random(state) % (sizeof edges / sizeof *edges)], 8);
        }
    }
}

void expect_refusal(const host_error *error, const char *reason)
{
    cr_assert_eq(error->exit_code, EXIT_INPUT, "%s", reason);
    cr_assert_eq(strncmp(error->text, "model.gguf: ", 12), 0, "%s", error->text);
    cr_assert_not_null(strstr(error->text, reason), "\"%s\" has no \"%s\"", error->text, reason);
}
