/* gguf_metadata.c: keys and values of a model file: reading them, and the checked access that gguf.h offers. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_file.h"

/* A key without text, a type, a value of one byte. */
#define PAIR_LEAST 13u

/* Bytes of a value; 0 for those without a fixed size and for unknown types. */
static size_t value_bytes(uint32_t type)
{
    switch (type) {
    case GGUF_VALUE_U8:
    case GGUF_VALUE_I8:
    case GGUF_VALUE_BOOL: return 1;
    case GGUF_VALUE_U16:
    case GGUF_VALUE_I16: return 2;
    case GGUF_VALUE_U32:
    case GGUF_VALUE_I32:
    case GGUF_VALUE_F32: return 4;
    case GGUF_VALUE_U64:
    case GGUF_VALUE_I64:
    case GGUF_VALUE_F64: return 8;
    default: return 0;
    }
}

static bool read_strings(gguf *file, gguf_cursor *c, gguf_pair *pair, uint64_t count, host_error *error)
{
    /* Each string has 8 bytes of length at least, which bounds the allocation by the file's size. */
    if (count > gguf_left(c) / 8)
        return gguf_refuse(file, error, "the file ends in the value of %.*s", gguf_shown(pair->key), pair->key.bytes);
    pair->strings = calloc((size_t)count + 1, sizeof *pair->strings);
    if (!pair->strings)
        return gguf_no_memory(file, error);
    for (size_t i = 0; i < count; ++i)
        if (!gguf_take_text(c, &pair->strings[i]))
            return gguf_refuse(file, error, "the file ends in the value of %.*s", gguf_shown(pair->key), pair->key.bytes);
    return true;
}

static bool read_value(gguf *file, gguf_cursor *c, gguf_pair *pair, host_error *error)
{
    int shown = gguf_shown(pair->key);
    uint64_t count = 1;
    if (!gguf_take_u32(c, &pair->type))
        return gguf_refuse(file, error, "the file ends in the value of %.*s", shown, pair->key.bytes);
    pair->array = pair->type == GGUF_VALUE_ARRAY;
    if (pair->array && (!gguf_take_u32(c, &pair->type) || !gguf_take_u64(c, &count)))
        return gguf_refuse(file, error, "the file ends in the value of %.*s", shown, pair->key.bytes);
    if (pair->type == GGUF_VALUE_ARRAY)
        return gguf_refuse(file, error, "%.*s is an array of arrays, which is not read", shown, pair->key.bytes);
    size_t size = value_bytes(pair->type);
    if (pair->type == GGUF_VALUE_STRING) {
        if (!read_strings(file, c, pair, count, error))
            return false;
    } else if (!size) {
        return gguf_refuse(file, error, "%.*s has the unknown value type %u", shown, pair->key.bytes, pair->type);
    } else if (!gguf_take_bytes(c, count, size, &pair->bytes)) {
        return gguf_refuse(file, error, "the file ends in the value of %.*s", shown, pair->key.bytes);
    }
    pair->count = (size_t)count;
    if (pair->type == GGUF_VALUE_STRING && !pair->array && !memchr(pair->strings->bytes, 0, pair->strings->size)) {
        pair->string = gguf_copy_text(file, *pair->strings);
        if (!pair->string)
            return gguf_no_memory(file, error);
    }
    return true;
}

static int compare_pairs(const void *a, const void *b)
{
    return gguf_compare(((const gguf_pair *)a)->key, ((const gguf_pair *)b)->key);
}

bool gguf_read_pairs(gguf *file, gguf_cursor *c, uint64_t count, host_error *error)
{
    if (count > gguf_left(c) / PAIR_LEAST)
        return gguf_refuse(file, error, "the file is too short for its number of keys");
    file->pairs = calloc((size_t)count + 1, sizeof *file->pairs);
    if (!file->pairs)
        return gguf_no_memory(file, error);
    for (size_t i = 0; i < count; ++i) {
        gguf_pair *pair = &file->pairs[i];
        file->num_pairs = i + 1;
        if (!gguf_take_text(c, &pair->key))
            return gguf_refuse(file, error, "the file ends in its keys");
        if (!pair->key.size)
            return gguf_refuse(file, error, "a key has no name");
        if (!read_value(file, c, pair, error))
            return false;
    }
    qsort(file->pairs, file->num_pairs, sizeof *file->pairs, compare_pairs);
    for (size_t i = 1; i < file->num_pairs; ++i)
        if (!compare_pairs(&file->pairs[i - 1], &file->pairs[i]))
            return gguf_refuse(file, error, "the key %.*s is there twice", gguf_shown(file->pairs[i].key),
                               file->pairs[i].key.bytes);
    return true;
}

static const gguf_pair *find(const gguf *file, const char *key)
{
    gguf_pair wanted = {.key = {key, strlen(key)}};
    return bsearch(&wanted, file->pairs, file->num_pairs, sizeof *file->pairs, compare_pairs);
}

static const gguf_pair *require(const gguf *file, const char *key, bool array, host_error *error)
{
    const gguf_pair *pair = find(file, key);
    if (!pair)
        gguf_refuse(file, error, "the key %s is missing", key);
    else if (pair->array != array)
        gguf_refuse(file, error, array ? "%s is no array" : "%s is an array", key);
    return pair && pair->array == array ? pair : NULL;
}

static bool is_integer(uint32_t type)
{
    return value_bytes(type) && type != GGUF_VALUE_F32 && type != GGUF_VALUE_F64 && type != GGUF_VALUE_BOOL;
}

static bool is_float(uint32_t type)
{
    return type == GGUF_VALUE_F32 || type == GGUF_VALUE_F64;
}

int64_t gguf_int_at(const gguf_numbers *array, size_t i)
{
    const unsigned char *at = array->bytes + i * value_bytes(array->type);
    switch (array->type) {
    case GGUF_VALUE_I8: return (int8_t)at[0];
    case GGUF_VALUE_U16: return at[0] | at[1] << 8;
    case GGUF_VALUE_I16: return (int16_t)(at[0] | at[1] << 8);
    case GGUF_VALUE_U32: return gguf_load_u32(at);
    case GGUF_VALUE_I32: return (int32_t)gguf_load_u32(at);
    case GGUF_VALUE_U64: {
        uint64_t value = gguf_load_u64(at);
        return value > INT64_MAX ? INT64_MAX : (int64_t)value;
    }
    case GGUF_VALUE_I64: return (int64_t)gguf_load_u64(at);
    default: return at[0];
    }
}

static double float_of(const gguf_pair *pair)
{
    const unsigned char *at = pair->bytes;
    if (pair->type == GGUF_VALUE_F64) {
        uint64_t bits = gguf_load_u64(at);
        double value;
        memcpy(&value, &bits, 8);
        return value;
    }
    uint32_t bits = gguf_load_u32(at);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static gguf_numbers numbers_of(const gguf_pair *pair)
{
    return (gguf_numbers){pair->count, pair->type, pair->bytes};
}

bool gguf_has(const gguf *file, const char *key)
{
    return find(file, key);
}

bool gguf_u32(const gguf *file, const char *key, uint32_t *out, host_error *error)
{
    const gguf_pair *pair = require(file, key, false, error);
    if (!pair)
        return false;
    if (!is_integer(pair->type))
        return gguf_refuse(file, error, "%s is no whole number", key);
    gguf_numbers numbers = numbers_of(pair);
    int64_t value = gguf_int_at(&numbers, 0);
    if (value < 0 || value > UINT32_MAX)
        return gguf_refuse(file, error, "%s is out of range", key);
    *out = (uint32_t)value;
    return true;
}

bool gguf_f32(const gguf *file, const char *key, float *out, host_error *error)
{
    const gguf_pair *pair = require(file, key, false, error);
    if (!pair)
        return false;
    if (!is_float(pair->type))
        return gguf_refuse(file, error, "%s is no floating-point number", key);
    double value = float_of(pair);
    if (!(fabs(value) <= (double)FLT_MAX))
        return gguf_refuse(file, error, "%s is out of range", key);
    *out = (float)value;
    return true;
}

bool gguf_bool(const gguf *file, const char *key, bool *out, host_error *error)
{
    const gguf_pair *pair = require(file, key, false, error);
    if (!pair)
        return false;
    if (pair->type != GGUF_VALUE_BOOL || *pair->bytes > 1)
        return gguf_refuse(file, error, "%s is neither true nor false", key);
    *out = *pair->bytes;
    return true;
}

bool gguf_string(const gguf *file, const char *key, const char **out, host_error *error)
{
    const gguf_pair *pair = require(file, key, false, error);
    if (!pair)
        return false;
    if (pair->type != GGUF_VALUE_STRING)
        return gguf_refuse(file, error, "%s is no string", key);
    if (!pair->string)
        return gguf_refuse(file, error, "%s has a zero byte inside", key);
    *out = pair->string;
    return true;
}

bool gguf_string_array(const gguf *file, const char *key, gguf_strings *out, host_error *error)
{
    const gguf_pair *pair = require(file, key, true, error);
    if (!pair)
        return false;
    if (pair->type != GGUF_VALUE_STRING)
        return gguf_refuse(file, error, "%s is no array of strings", key);
    *out = (gguf_strings){pair->count, pair->strings};
    return true;
}

bool gguf_int_array(const gguf *file, const char *key, gguf_numbers *out, host_error *error)
{
    const gguf_pair *pair = require(file, key, true, error);
    if (!pair)
        return false;
    *out = numbers_of(pair);
    return is_integer(pair->type) || gguf_refuse(file, error, "%s is no array of whole numbers", key);
}
