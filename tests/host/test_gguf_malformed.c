/* test_gguf_malformed.c: model files that are cut, wrong or changed at random are refused with a reason, or read within their
 * bytes (run it under AddressSanitizer: every file lies in an allocation of exactly its size). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/gear-llm/gguf_blocks.h"
#include "gguf_build.h"

Test(gguf_malformed, refuses_a_file_that_ends_anywhere_before_its_end)
{
    gguf_build b = {0};
    build_sample(&b, 3);
    for (size_t size = 0; size < b.size; ++size) {
        opened_copy opened = open_copy(b.bytes, size);
        cr_assert_null(opened.file, "%zu of %zu bytes", size, b.size);
        expect_refusal(&opened.error, size < 4 ? "not a GGUF file" : "");
        close_copy(&opened);
    }
    build_free(&b);
}

/* Each of these writes a file that must be refused. */
static const uint64_t vector[] = {8}, empty[] = {8, 0}, blocks[] = {40}, large[] = {1ull << 40, 1ull << 40},
                      flat[] = {1, 1, 1, 1, 1}, long_row[] = {1ull << 60};

static void one_tensor(gguf_build *b, const char *name, uint32_t ndim, const uint64_t *shape, uint32_t type, uint64_t offset)
{
    build_tensor(b, name, ndim, shape, type, offset);
    build_align(b, 32);
    for (int i = 0; i < 16; ++i)
        build_u32(b, 0);
}

static void two_tensors(gguf_build *b, const char *first, const char *second, uint64_t offset)
{
    build_tensor(b, first, 1, vector, GGUF_F32, 0);
    one_tensor(b, second, 1, vector, GGUF_F32, offset);
}

static void foreign(gguf_build *b)
{
    memcpy(b->bytes, "GGML", 4);
}
static void version_1(gguf_build *b)
{
    b->bytes[4] = 1;
}
static void version_4(gguf_build *b)
{
    b->bytes[4] = 4;
}
static void version_0(gguf_build *b)
{
    b->bytes[4] = 0;
}
static void big_endian(gguf_build *b)
{
    memcpy(b->bytes + 4, "\0\0\0\3", 4);
}
static void many_tensors(gguf_build *b)
{
    memset(b->bytes + 8, 255, 8);
}
static void many_pairs(gguf_build *b)
{
    memset(b->bytes + 16, 255, 8);
}
static void no_key(gguf_build *b)
{
    build_key_u32(b, "", 1);
}
static void long_key(gguf_build *b)
{
    build_key_u32(b, "k", 1);
    memset(b->bytes + 24, 255, 8);
}
static void same_key(gguf_build *b)
{
    build_key_u32(b, "k", 1);
    build_key_bool(b, "k", 1);
}
static void unknown_value(gguf_build *b)
{
    build_key(b, "k", 13);
    build_u64(b, 0);
}
static void nested(gguf_build *b)
{
    build_key(b, "k", VALUE_ARRAY);
    build_u32(b, VALUE_ARRAY);
    build_u64(b, 0);
}
static void unknown_element(gguf_build *b)
{
    build_key(b, "k", VALUE_ARRAY);
    build_u32(b, 99);
    build_u64(b, 0);
}
static void long_array(gguf_build *b)
{
    build_key(b, "k", VALUE_ARRAY);
    build_u32(b, VALUE_U64);
    build_u64(b, 1ull << 61);
    build_u64(b, 0);
}
static void many_strings(gguf_build *b)
{
    build_key(b, "k", VALUE_ARRAY);
    build_u32(b, VALUE_STRING);
    build_u64(b, UINT64_MAX);
    build_u64(b, 0);
}
static void long_string(gguf_build *b)
{
    build_key(b, "k", VALUE_STRING);
    build_u64(b, UINT64_MAX);
    build_u64(b, 0);
}
static void no_name(gguf_build *b)
{
    one_tensor(b, "", 1, vector, GGUF_F32, 0);
    build_u64(b, 0);
}
static void zero_name(gguf_build *b)
{
    one_tensor(b, "a", 1, vector, GGUF_F32, 0);
    b->bytes[32] = 0;
}
static void dims_0(gguf_build *b)
{
    one_tensor(b, "a", 0, NULL, GGUF_F32, 0);
}
static void dims_5(gguf_build *b)
{
    one_tensor(b, "a", 5, flat, GGUF_F32, 0);
}
static void dim_zero(gguf_build *b)
{
    one_tensor(b, "a", 2, empty, GGUF_F32, 0);
}
static void part_block(gguf_build *b)
{
    one_tensor(b, "a", 1, blocks, GGUF_Q8_0, 0);
}
static void product(gguf_build *b)
{
    one_tensor(b, "a", 2, large, GGUF_F32, 0);
}
static void row(gguf_build *b)
{
    one_tensor(b, "a", 1, long_row, GGUF_F32, 0);
}
static void type_q5(gguf_build *b)
{
    one_tensor(b, "blk.0.attn_q.weight", 1, vector, 13, 0);
}
static void type_dropped(gguf_build *b)
{
    one_tensor(b, "a", 1, vector, 4, 0);
}
static void type_99(gguf_build *b)
{
    one_tensor(b, "a", 1, vector, 99, 0);
}
static void unaligned(gguf_build *b)
{
    one_tensor(b, "a", 1, vector, GGUF_F32, 8);
}
static void beyond(gguf_build *b)
{
    one_tensor(b, "a", 1, vector, GGUF_F32, 64);
}
static void far_beyond(gguf_build *b)
{
    one_tensor(b, "a", 1, vector, GGUF_F32, UINT64_MAX - 31);
}
static void overlap(gguf_build *b)
{
    two_tensors(b, "a", "b", 0);
}
static void same_name(gguf_build *b)
{
    two_tensors(b, "a", "a", 32);
}
static void alignment_0(gguf_build *b)
{
    build_key_u32(b, "general.alignment", 0);
}
static void alignment_12(gguf_build *b)
{
    build_key_u32(b, "general.alignment", 12);
}
static void alignment_4(gguf_build *b)
{
    build_key_u32(b, "general.alignment", 4);
}
static void alignment_large(gguf_build *b)
{
    build_key_u32(b, "general.alignment", 1u << 31);
    one_tensor(b, "a", 1, vector, GGUF_F32, 0);
}
static void alignment_text(gguf_build *b)
{
    build_key_string(b, "general.alignment", "32");
}

static const struct malformed {
    void (*build)(gguf_build *);
    const char *reason;
} malformed[] = {
    {foreign, "not a GGUF file"},
    {version_0, "version 0 of GGUF; 2 and 3 are read"},
    {version_1, "version 1 of GGUF; 2 and 3 are read"},
    {version_4, "version 4 of GGUF; 2 and 3 are read"},
    {big_endian, "big-endian"},
    {many_tensors, "too short for its number of tensors"},
    {many_pairs, "too short for its number of keys"},
    {no_key, "a key has no name"},
    {long_key, "ends in its keys"},
    {same_key, "the key k is there twice"},
    {unknown_value, "k has the unknown value type 13"},
    {nested, "k is an array of arrays"},
    {unknown_element, "k has the unknown value type 99"},
    {long_array, "ends in the value of k"},
    {many_strings, "ends in the value of k"},
    {long_string, "ends in the value of k"},
    {no_name, "a tensor has no proper name"},
    {zero_name, "a tensor has no proper name"},
    {dims_0, "tensor a has 0 dimensions; 1 to 4 are read"},
    {dims_5, "tensor a has 5 dimensions; 1 to 4 are read"},
    {dim_zero, "tensor a has a dimension of zero"},
    {part_block, "tensor a has rows of 40 values, no multiple of the 32 of a block of Q8_0"},
    {product, "tensor a is too large"},
    {row, "tensor a goes beyond the end of the file"},
    {type_q5, "tensor blk.0.attn_q.weight has the type Q5_K, which is not read"},
    {type_dropped, "tensor a has the unknown type 4"},
    {type_99, "tensor a has the unknown type 99"},
    {unaligned, "tensor a is not aligned to 32 bytes"},
    {beyond, "tensor a goes beyond the end of the file"},
    {far_beyond, "tensor a goes beyond the end of the file"},
    {overlap, "overlap"},
    {same_name, "the tensor a is there twice"},
    {alignment_0, "general.alignment is 0"},
    {alignment_12, "general.alignment is 12"},
    {alignment_4, "general.alignment is 4"},
    {alignment_large, "goes beyond the end of the file"},
    {alignment_text, "general.alignment is no whole number"},
};

Test(gguf_malformed, refuses_what_is_malformed)
{
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; ++i) {
        gguf_build b = {0};
        build_start(&b, 3);
        malformed[i].build(&b);
        opened_copy opened = open_copy(b.bytes, b.size);
        cr_assert_null(opened.file, "%s", malformed[i].reason);
        expect_refusal(&opened.error, malformed[i].reason);
        close_copy(&opened);
        build_free(&b);
    }
}

/* Reads all that a file offers. */
static void walk(const gguf *file)
{
    static const char *const keys[] = {"general.architecture",
                                       "u8",
                                       "i8",
                                       "u16",
                                       "i16",
                                       "u32",
                                       "i32",
                                       "u64",
                                       "large",
                                       "i64",
                                       "f32",
                                       "f64",
                                       "huge",
                                       "true",
                                       "names",
                                       "numbers",
                                       "none",
                                       "floats",
                                       "zero inside"};
    double sum = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        host_error error = {0};
        uint32_t u;
        float f;
        const char *text;
        gguf_strings strings;
        gguf_numbers numbers;
        if (gguf_u32(file, keys[i], &u, &error))
            sum += u;
        if (gguf_f32(file, keys[i], &f, &error))
            sum += (double)f;
        if (gguf_string(file, keys[i], &text, &error))
            sum += (double)strlen(text);
        if (gguf_string_array(file, keys[i], &strings, &error))
            for (size_t j = 0; j < strings.count; ++j)
                for (size_t k = 0; k < strings.at[j].size; ++k)
                    sum += strings.at[j].bytes[k];
        if (gguf_int_array(file, keys[i], &numbers, &error))
            for (size_t j = 0; j < numbers.count; ++j)
                sum += (double)gguf_int_at(&numbers, j);
    }
    for (size_t i = 0; i < gguf_tensor_count(file); ++i) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        const gguf_block *block = gguf_block_of((uint32_t)tensor->type);
        float values[256];
        for (size_t at = 0; at < tensor->bytes; at += block->bytes)
            gguf_dequantize(tensor->type, (const char *)tensor->data + at, block->values, values);
        sum += (double)values[0];
        cr_assert_not_null(gguf_find(file, tensor->name));
    }
    /* Written where the compiler may not leave it out, so that no read is left out either. */
    static volatile double seen;
    seen = sum;
    (void)seen;
}

Test(gguf_malformed, survives_mutations)
{
    gguf_build b = {0};
    build_sample(&b, 3);
    unsigned char *bytes = malloc(b.size);
    cr_assert_not_null(bytes);
    uint64_t state = 88172645463325252u;
    unsigned opened_count = 0, refused = 0;
    for (int round = 0; round < 8000; ++round) {
        memcpy(bytes, b.bytes, b.size);
        mutate(bytes, b.size, &state);
        size_t size = next_random(&state) % 8 ? b.size : next_random(&state) % (b.size + 1);
        opened_copy opened = open_copy(bytes, size);
        if (opened.file) {
            walk(opened.file);
            ++opened_count;
        } else {
            cr_assert_neq(opened.error.text[0], 0);
            ++refused;
        }
        close_copy(&opened);
    }
    cr_assert(opened_count > 400 && refused > 400, "%u opened, %u refused", opened_count, refused);
    free(bytes);
    build_free(&b);
}
