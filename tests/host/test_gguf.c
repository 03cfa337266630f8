/* test_gguf.c: the reader of model files gives what is in them: values, tensors, blocks as the gguf package decodes them. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../host/gear-llm/gguf.h"
#include "../../host/gear-llm/gguf_blocks.h"
#include "gguf_build.h"
#include "open_cl.h"

#define EXPECT_U32(key, wanted)                                                                                                \
  do {                                                                                                                         \
    uint32_t value_ = 0;                                                                                                       \
    cr_assert(gguf_u32(file, key, &value_, &error), "%s", error.text);                                                         \
    cr_assert_eq(value_, wanted);                                                                                              \
  } while (0)

Test(gguf, reads_every_type_of_value)
{
    for (uint32_t version = 2; version <= 3; ++version) {
        gguf_build b = {0};
        build_sample(&b, version);
        opened_copy opened = open_copy(b.bytes, b.size);
        host_error error = {0};
        const gguf *file = opened.file;
        cr_assert_not_null(file, "%s", opened.error.text);
        cr_assert_str_eq(gguf_path(file), "model.gguf");
        EXPECT_U32("u8", 254);
        EXPECT_U32("u16", 0xfeff);
        EXPECT_U32("i16", 1);
        EXPECT_U32("u32", UINT32_MAX);
        EXPECT_U32("u64", 12);
        EXPECT_U32("i64", 1u << 31);
        float f = 0;
        cr_assert(gguf_f32(file, "f32", &f, &error) && f == 1.5f);
        cr_assert(gguf_f32(file, "f64", &f, &error) && f == -0.25f);
        bool flag = false;
        cr_assert(gguf_bool(file, "true", &flag, &error) && flag);
        const char *text = NULL;
        cr_assert(gguf_string(file, "general.architecture", &text, &error));
        cr_assert_str_eq(text, "llama");
        cr_assert(gguf_has(file, "zero inside") && !gguf_has(file, "zero") && !gguf_has(file, ""));
        gguf_strings names;
        cr_assert(gguf_string_array(file, "names", &names, &error) && names.count == 3);
        cr_assert(names.at[0].size == 3 && !memcmp(names.at[0].bytes, "one", 3));
        cr_assert(names.at[1].size == 0 && names.at[2].size == 5);
        gguf_numbers numbers;
        cr_assert(gguf_int_array(file, "numbers", &numbers, &error) && numbers.count == 3);
        cr_assert(gguf_int_at(&numbers, 0) == -7 && gguf_int_at(&numbers, 2) == 2147483647);
        cr_assert(gguf_int_array(file, "none", &numbers, &error) && numbers.count == 0);
        close_copy(&opened);
        build_free(&b);
    }
}

#define EXPECT_REFUSED(call, reason)                                                                                           \
  do {                                                                                                                         \
    host_error error = {0};                                                                                                    \
    cr_assert_not(call);                                                                                                       \
    expect_refusal(&error, reason);                                                                                            \
  } while (0)

Test(gguf, refuses_values_of_another_kind)
{
    gguf_build b = {0};
    build_sample(&b, 3);
    opened_copy opened = open_copy(b.bytes, b.size);
    const gguf *file = opened.file;
    uint32_t u = 0;
    float f = 0;
    bool flag = false;
    const char *text = NULL;
    gguf_strings strings;
    gguf_numbers numbers;
    EXPECT_REFUSED(gguf_u32(file, "absent", &u, &error), "the key absent is missing");
    EXPECT_REFUSED(gguf_u32(file, "i32", &u, &error), "i32 is out of range");
    EXPECT_REFUSED(gguf_u32(file, "large", &u, &error), "large is out of range");
    EXPECT_REFUSED(gguf_u32(file, "f32", &u, &error), "f32 is no whole number");
    EXPECT_REFUSED(gguf_u32(file, "true", &u, &error), "true is no whole number");
    EXPECT_REFUSED(gguf_u32(file, "numbers", &u, &error), "numbers is an array");
    EXPECT_REFUSED(gguf_f32(file, "u32", &f, &error), "u32 is no floating-point number");
    EXPECT_REFUSED(gguf_f32(file, "huge", &f, &error), "huge is out of range");
    EXPECT_REFUSED(gguf_bool(file, "u8", &flag, &error), "u8 is neither true nor false");
    EXPECT_REFUSED(gguf_string(file, "u8", &text, &error), "u8 is no string");
    EXPECT_REFUSED(gguf_string(file, "zero inside", &text, &error), "zero byte");
    EXPECT_REFUSED(gguf_string_array(file, "u8", &strings, &error), "u8 is no array");
    EXPECT_REFUSED(gguf_string_array(file, "numbers", &strings, &error), "numbers is no array of strings");
    EXPECT_REFUSED(gguf_int_array(file, "names", &numbers, &error), "names is no array of whole numbers");
    EXPECT_REFUSED(gguf_int_array(file, "floats", &numbers, &error), "floats is no array of whole numbers");
    close_copy(&opened);
    build_free(&b);
}

Test(gguf, finds_tensors)
{
    gguf_build b = {0};
    build_sample(&b, 3);
    opened_copy opened = open_copy(b.bytes, b.size);
    const gguf *file = opened.file;
    cr_assert_eq(gguf_tensor_count(file), 3);
    const gguf_tensor *matrix = gguf_find(file, "matrix"), *half = gguf_find(file, "half");
    cr_assert(matrix == gguf_tensor_at(file, 0) && half == gguf_tensor_at(file, 2) && !gguf_find(file, "matri"));
    cr_assert(matrix->type == GGUF_Q4_0 && matrix->ndim == 2 && matrix->bytes == 108);
    cr_assert(matrix->shape[0] == 64 && matrix->shape[1] == 3 && matrix->shape[2] == 1 && matrix->shape[3] == 1);
    cr_assert_eq((uintptr_t)matrix->data % 32, 0);
    cr_assert(half->bytes == 10 && ((const unsigned char *)half->data)[9] == 169);

    static const uint64_t right[] = {64, 3, 1}, wrong[] = {64, 4};
    const gguf_tensor *found = NULL;
    host_error none = {0};
    cr_assert(gguf_require(file, "matrix", 2, right, &found, &none) && found == matrix);
    cr_assert(gguf_require(file, "matrix", 3, right, &found, &none));
    EXPECT_REFUSED(gguf_require(file, "matrix", 2, wrong, &found, &error), "has the shape [64, 3] where [64, 4] is needed");
    EXPECT_REFUSED(gguf_require(file, "matrix", 1, right, &found, &error), "where [64] is needed");
    EXPECT_REFUSED(gguf_require(file, "output.weight", 1, right, &found, &error), "the tensor output.weight is missing");
    close_copy(&opened);
    build_free(&b);
}

Test(gguf, takes_other_alignments_and_files_without_tensors)
{
    static const uint64_t vector[] = {8};
    static const uint32_t alignments[] = {8, 16, 64};
    gguf_build b = {0};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; ++i) {
        build_start(&b, 3);
        build_key_u32(&b, "general.alignment", alignments[i]);
        build_tensor(&b, "a", 1, vector, GGUF_BF16, 0);
        build_tensor(&b, "b", 1, vector, GGUF_F16, alignments[i] < 16 ? 16 : alignments[i]);
        build_align(&b, alignments[i]);
        for (int j = 0; j < 20; ++j)
            build_u32(&b, 0);
        opened_copy opened = open_copy(b.bytes, b.size);
        cr_assert_not_null(opened.file, "%s", opened.error.text);
        cr_assert_eq((uintptr_t)gguf_find(opened.file, "b")->data % alignments[i], 0);
        close_copy(&opened);
    }
    build_start(&b, 3);
    opened_copy opened = open_copy(b.bytes, b.size);
    cr_assert_not_null(opened.file, "%s", opened.error.text);
    cr_assert(gguf_tensor_count(opened.file) == 0 && !gguf_find(opened.file, "a"));
    close_copy(&opened);
    build_free(&b);
}

Test(gguf, opens_regular_files_only)
{
    char path[600];
    const char *folder = test_directory();
    gguf *file = NULL;
    for (int kind = 0; kind < 4; ++kind) {
        host_error error = {0};
        (void)snprintf(path, sizeof path, "%s/model%d", folder, kind);
        FILE *stream = kind == 1 ? fopen(path, "wb") : NULL;
        if (stream)
            (void)fclose(stream);
        if (kind == 2)
            cr_assert_eq(mkfifo(path, 0600), 0);
        if (kind == 3)
            cr_assert_eq(mkdir(path, 0700), 0);
        cr_assert_not(gguf_open(path, &file, &error));
        cr_assert(!file && error.exit_code == EXIT_INPUT);
        static const char *const reasons[] = {"No such file", "not a GGUF file", "not a regular file", "not a regular file"};
        cr_assert(strstr(error.text, reasons[kind]) && !strncmp(error.text, path, strlen(path)), "%s", error.text);
        (void)remove(path);
    }
    (void)rmdir(folder);
    gguf_close(NULL);
}

Test(gguf, block_values_are_those_of_the_gguf_package)
{
    char path[600];
    host_error error = {0};
    gguf *file = NULL;
    (void)snprintf(path, sizeof path, "%s/tests/data/gguf/blocks.gguf", test_root());
    cr_assert(gguf_open(path, &file, &error), "%s", error.text);
    uint32_t types = 0;
    for (uint32_t type = 0; type < 64; ++type) {
        const gguf_block *block = gguf_block_of(type);
        if (!block)
            continue;
        char name[32];
        (void)snprintf(name, sizeof name, "%s.values", block->name);
        const gguf_tensor *stored = gguf_find(file, block->name), *values = gguf_find(file, name);
        cr_assert(stored && values, "%s", block->name);
        cr_assert_eq((uint32_t)stored->type, type);
        cr_assert_str_eq(gguf_type_name(type), block->name);
        size_t count = (size_t)(stored->shape[0] * stored->shape[1]);
        cr_assert_eq(stored->bytes, count / block->values * block->bytes);
        float *got = malloc(count * sizeof *got);
        cr_assert_not_null(got);
        gguf_dequantize(stored->type, stored->data, count, got);
        for (size_t i = 0; i < count; ++i)
            cr_assert_eq(memcmp(&got[i], (const float *)values->data + i, 4), 0, "%s, value %zu: %a, not %a", block->name, i,
                         (double)got[i], (double)((const float *)values->data)[i]);
        free(got);
        ++types;
    }
    cr_assert_eq(types, 8);
    gguf_close(file);
}
