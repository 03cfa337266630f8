/* test_npy.c: the programs' .npy reader takes what NumPy writes and refuses everything else with a reason, without reading
 * outside its bytes (run it under AddressSanitizer: every header is parsed from an allocation of exactly its size). */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../host/common/npy.h"
#include "open_cl.h"

#define DICT        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }"
#define SHAPE(text) "{'descr': '<f2', 'fortran_order': False, 'shape': " text "}"

/* A file of the version with this header text and `data` bytes of zeros behind it. */
static unsigned char *make_file(int version, const char *header, size_t data, size_t *size)
{
    size_t length = strlen(header), first = version == 1 ? 10 : 12;
    *size = first + length + data;
    unsigned char *file = calloc(1, *size ? *size : 1);
    cr_assert_not_null(file);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[8] = (unsigned char)length;
    file[9] = (unsigned char)(length >> 8);
    memcpy(file + first, header, length);
    return file;
}

/* Parses an exact-size copy of file[size], so that a sanitizer sees any read beyond it. */
static const char *parse(const unsigned char *file, size_t size, npy_array *array)
{
    unsigned char *copy = malloc(size ? size : 1);
    cr_assert_not_null(copy);
    memcpy(copy, file, size);
    const char *reason = npy_parse(copy, size, size, 3, array);
    free(copy);
    return reason;
}

static const char *parse_text(int version, const char *header, size_t data, npy_array *array)
{
    size_t size = 0;
    unsigned char *file = make_file(version, header, data, &size);
    const char *reason = parse(file, size, array);
    free(file);
    return reason;
}

Test(npy, accepts_every_version)
{
    for (int version = 1; version <= 3; ++version) {
        npy_array array;
        cr_assert_null(parse_text(version, DICT "   \n", 24, &array), "version %d", version);
        cr_assert_eq(array.type, NPY_F32);
        cr_assert_eq(array.count, 6);
        cr_assert_eq(array.bytes, 24);
        cr_assert(array.shape[0] == 1 && array.shape[1] == 2 && array.shape[2] == 3);
    }
}

Test(npy, accepts_any_spelling_of_the_dictionary)
{
    static const char *const headers[] = {
        "{\"shape\": (1,2,3), \"fortran_order\": False, \"descr\": \"<f4\"}",
        " { 'fortran_order' :False , 'shape' : ( 1 , 2 , 3 , ) , 'descr':'<f4' , } \n",
        "{'descr':'<f4','fortran_order':False,'shape':(1,2,3)}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; ++i) {
        npy_array array;
        const char *reason = parse_text(1, headers[i], 24, &array);
        cr_assert_null(reason, "%s: %s", headers[i], reason);
    }
}

typedef struct bad_header {
    const char *header;
    size_t data;
    const char *reason; /* a part of it */
} bad_header;

static const bad_header bad_headers[] = {
    {"", 24, "not a dictionary"},
    {"\n", 24, "not a dictionary"},
    {"(1, 2, 3)", 24, "not a dictionary"},
    {"{", 24, "not a dictionary"},
    {"{}", 24, "lacks"},
    {"{'descr'", 24, "not a dictionary"},
    {"{'descr': '<f4'", 24, "not a dictionary"},
    {"{'descr' '<f4'}", 24, "not a dictionary"},
    {"{'descr: <f4}", 24, "not a dictionary"},
    {"{'descr': '<f4' 'shape': (1, 2, 3)}", 24, "not a dictionary"},
    {"{,}", 24, "not a dictionary"},
    {"{'descr': '<f4', 'shape': (1, 2, 3)}", 24, "lacks"},
    {"{'fortran_order': False, 'shape': (1, 2, 3)}", 24, "lacks"},
    {"{'descr': '<f4', 'fortran_order': False}", 24, "lacks"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}", 24, "twice"},
    {"{'descr': '<f4', 'order': 1, 'fortran_order': False, 'shape': (1, 2, 3)}", 24, "unknown key"},
    {"{'a key longer than any': 1}", 24, "not a dictionary"},
    {DICT "x", 24, "goes on"},
    {DICT DICT, 24, "goes on"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2, 3)}", 48, "type"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (1, 2, 3)}", 24, "type"},
    {"{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2, 3)}", 24, "type"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1, 2, 3)}", 24, "type"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 2, 3)}", 24, "type"},
    {"{'descr': '<f4, 'fortran_order': False, 'shape': (1, 2, 3)}", 24, "type"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2, 3)}", 24, "Fortran"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2, 3)}", 24, "fortran_order"},
    {SHAPE("6"), 12, "tuple"},
    {SHAPE("(6)"), 12, "tuple"},
    {SHAPE("[1, 2, 3]"), 12, "tuple"},
    {SHAPE("(1 2 3)"), 12, "tuple"},
    {SHAPE("(1,, 2, 3)"), 12, "tuple"},
    {SHAPE("(, 1, 2, 3)"), 12, "tuple"},
    {SHAPE("(1, -2, 3)"), 12, "tuple"},
    {SHAPE("(1, 2.0, 3)"), 12, "tuple"},
    {SHAPE("(1, 0x2, 3)"), 12, "tuple"},
    {SHAPE("(1, 2, 3"), 12, "tuple"},
    {SHAPE("()"), 2, "3 dimensions"},
    {SHAPE("(6,)"), 12, "3 dimensions"},
    {SHAPE("(2, 3)"), 12, "3 dimensions"},
    {SHAPE("(1, 1, 2, 3)"), 12, "3 dimensions"},
    {SHAPE("(1, 1, 1, 1, 1, 1, 1, 1, 1)"), 2, "more dimensions"},
    {SHAPE("(0, 2, 3)"), 0, "zero"},
    {SHAPE("(1, 2, 0)"), 0, "zero"},
    {SHAPE("(18446744073709551616, 1, 1)"), 2, "too large"},
    {SHAPE("(99999999999999999999999999999, 1, 1)"), 2, "too large"},
    {SHAPE("(18446744073709551615, 2, 1)"), 2, "too large"},
    {SHAPE("(4294967296, 4294967296, 1)"), 2, "too large"},
    {SHAPE("(4294967296, 4294967296, 0)"), 2, "too large"},
    {SHAPE("(4294967295, 4294967295, 4294967295)"), 2, "too large"},
    {SHAPE("(1, 2, 3)"), 11, "shorter"},
    {SHAPE("(1, 2, 3)"), 0, "shorter"},
    {SHAPE("(1, 2, 3)"), 13, "longer"},
    {SHAPE("(1, 2, 3)"), 24, "longer"},
};

Test(npy, refuses_malformed_headers)
{
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; ++i)
        for (int version = 1; version <= 3; ++version) {
            npy_array array;
            const char *reason = parse_text(version, bad_headers[i].header, bad_headers[i].data, &array);
            cr_assert_not_null(reason, "accepted: %s", bad_headers[i].header);
            cr_assert_not_null(strstr(reason, bad_headers[i].reason), "%s: %s", bad_headers[i].header, reason);
        }
}

Test(npy, refuses_wrong_prefixes)
{
    size_t size = 0;
    npy_array array;
    unsigned char *file = make_file(1, DICT "\n", 24, &size);
    cr_assert_null(parse(file, size, &array));
    for (int i = 0; i < 6; ++i) {
        file[i] ^= 0x20;
        cr_assert_str_eq(parse(file, size, &array), "not a .npy file");
        file[i] ^= 0x20;
    }
    static const unsigned char versions[][2] = {{0, 0}, {1, 1}, {2, 1}, {4, 0}, {255, 0}};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; ++i) {
        memcpy(file + 6, versions[i], 2);
        cr_assert_not_null(strstr(parse(file, size, &array), "version"));
    }
    memcpy(file + 6, "\x01\x00", 2);
    file[8] = file[9] = 0xff;
    cr_assert_str_eq(parse(file, size, &array), "the file ends in its header");
    free(file);
    file = make_file(2, DICT "\n", 24, &size);
    file[11] = 0xff;
    cr_assert_str_eq(parse(file, size, &array), "the header is too long");
    free(file);
}

Test(npy, refuses_every_truncation)
{
    for (int version = 1; version <= 3; ++version) {
        size_t size = 0;
        npy_array array;
        unsigned char *file = make_file(version, DICT "\n", 24, &size);
        for (size_t cut = 0; cut < size; ++cut)
            cr_assert_not_null(parse(file, cut, &array), "version %d cut at %zu", version, cut);
        free(file);
    }
}

/* Random damage: whatever is still accepted must be consistent. */
Test(npy, survives_random_damage)
{
    uint32_t random = 12345;
    unsigned accepted = 0;
    for (int round = 0; round < 50000; ++round) {
        size_t size = 0;
        unsigned char *file = make_file(1 + round % 3, DICT "\n", 24, &size);
        for (int hits = 1 + round % 4; hits > 0; --hits) {
            random = random * 1664525u + 1013904223u;
            file[(random >> 8) % (size - 24)] = (unsigned char)"(){}[]',:\"<f24 0123456789\\\n\xff\0"[(random >> 24) % 29];
        }
        npy_array array;
        if (!parse(file, size, &array)) {
            ++accepted;
            cr_assert_eq(array.ndim, 3);
            cr_assert_eq(array.count, array.shape[0] * array.shape[1] * array.shape[2]);
            cr_assert_eq(array.data_first + array.bytes, size);
        }
        free(file);
    }
    cr_log_info("%u of 50000 damaged headers are still valid", accepted);
}

static bool read_bytes(const void *bytes, size_t size, npy_array *array, host_error *error)
{
    char path[] = "/tmp/gear-npy-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    bool ok = npy_read(path, 3, array, error);
    unlink(path);
    return ok;
}

Test(npy, reads_values)
{
    size_t size = 0;
    npy_array array;
    host_error error = {0};
    static const uint16_t halves[6] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0x3555};
    static const float expected[6] = {1, -2, 0x1p-24f, 65504, -0.0f, 0x1.554p-2f};
    float values[6];
    unsigned char *file = make_file(1, SHAPE("(1, 2, 3)") "\n", sizeof halves, &size);
    memcpy(file + size - sizeof halves, halves, sizeof halves);
    cr_assert(read_bytes(file, size, &array, &error), "%s", error.text);
    cr_assert_eq(npy_to_float(&array, values), 6);
    cr_assert_arr_eq(values, expected, sizeof expected);
    npy_free(&array);
    memcpy(file + size - 4, "\x00\x7c\x00\x7e", 4); /* infinity, NaN */
    cr_assert(read_bytes(file, size, &array, &error), "%s", error.text);
    cr_assert_eq(npy_to_float(&array, values), 4);
    cr_assert(isinf(values[4]) && isnan(values[5]));
    npy_free(&array);
    free(file);
}

Test(npy, failures_name_the_file)
{
    npy_array array;
    host_error error = {0};
    cr_assert_not(npy_read("/nonexistent/k.npy", 3, &array, &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    cr_assert_str_eq(error.text, "/nonexistent/k.npy: No such file or directory");
    error = (host_error){0};
    cr_assert_not(npy_read("/tmp", 3, &array, &error));
    cr_assert_str_eq(error.text, "/tmp: not a regular file");
    error = (host_error){0};
    cr_assert_not(read_bytes("", 0, &array, &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    cr_assert_not_null(strstr(error.text, "not a .npy file"));
    cr_assert_null(array.data);
}

Test(npy, comes_back_as_it_was_written)
{
    char path[512];
    const float values[] = {1, -2, 0.5f, 3e38f, -0.0f, 7};
    host_error error = {0};
    out_file file = {0};
    npy_array array;
    snprintf(path, sizeof path, "%s/a.npy", test_directory());
    cr_assert(out_open(&file, path, &error), "%s", error.text);
    cr_assert(npy_write(values, 2, 3, &file, &error), "%s", error.text);
    cr_assert(npy_read(path, 2, &array, &error), "%s", error.text);
    cr_assert_eq(array.type, NPY_F32);
    cr_assert_eq(array.shape[0], 2);
    cr_assert_eq(array.shape[1], 3);
    cr_assert_arr_eq(array.data, values, sizeof values);
    npy_free(&array);
}
