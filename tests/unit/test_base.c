/* test_base.c: allocation, errors, hashes, status texts. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "wrap_alloc.h"

Test(alloc, zeroed_and_balanced)
{
    gear_allocator mine = wrap_allocator(), none = {NULL, NULL, NULL};
    const gear_allocator *each[] = {&mine, &none};
    size_t a, i;
    for (a = 0; a < 2; ++a) {
        unsigned char *memory = gear__alloc_array(each[a], 7, 11);
        cr_assert_not_null(memory);
        for (i = 0; i < 77; ++i)
            cr_assert_eq(memory[i], 0);
        gear__free(each[a], memory);
        gear__free(each[a], NULL);
    }
    cr_assert_eq(wrap_alloc_live(), 0);
    cr_assert_eq(wrap_alloc_count(), 1);
}

Test(alloc, refuses)
{
    gear_allocator mine = wrap_allocator();
    cr_assert_null(gear__alloc(&mine, 0));
    cr_assert_null(gear__alloc_array(&mine, 0, 8));
    cr_assert_null(gear__alloc_array(&mine, SIZE_MAX / 4, 5));
    cr_assert_eq(wrap_alloc_count(), 0);
    wrap_alloc_fail_at(1);
    cr_assert_null(gear__alloc(&mine, 8));
}

Test(error, is_fully_reset)
{
    gear_error error;
    memset(&error, 0x5a, sizeof error);
    cr_assert_eq(gear__fail(&error, GEAR_ERROR_ARGUMENT, "gear_append", "field = %d", 7), GEAR_ERROR_ARGUMENT);
    cr_assert_eq(error.status, GEAR_ERROR_ARGUMENT);
    cr_assert_eq(error.cl_code, CL_SUCCESS);
    cr_assert_str_eq(error.where, "gear_append");
    cr_assert_str_eq(error.message, "field = 7");
    cr_assert_eq(error.reserved[0] | error.reserved[3], 0);
    cr_assert_eq(error.message[sizeof error.message - 1], 0);
}

Test(error, opencl_codes_have_names)
{
    gear_error error;
    cr_assert_eq(gear__fail_cl(&error, CL_INVALID_VALUE, "clCreateBuffer"), GEAR_ERROR_OPENCL);
    cr_assert_eq(error.cl_code, CL_INVALID_VALUE);
    cr_assert_str_eq(error.message, "CL_INVALID_VALUE (-30)");
    (void)gear__fail_cl_text(&error, CL_OUT_OF_RESOURCES, "clFinish", "after %s", "work");
    cr_assert_str_eq(error.message, "CL_OUT_OF_RESOURCES (-5): after work");
    cr_assert_str_eq(gear__cl_name(-9999), "unknown OpenCL error");
    cr_assert_eq(gear__fail_build(&error, CL_BUILD_PROGRAM_FAILURE, "clBuildProgram", "x"), GEAR_ERROR_BUILD);
    cr_assert_eq(error.cl_code, CL_BUILD_PROGRAM_FAILURE);
}

Test(error, null_and_long)
{
    gear_error error;
    char text[1000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    cr_assert_eq(gear__fail(NULL, GEAR_ERROR_CAPACITY, "x", "%s", text), GEAR_ERROR_CAPACITY);
    cr_assert_eq(gear__fail_cl(NULL, CL_INVALID_VALUE, "x"), GEAR_ERROR_OPENCL);
    cr_assert_eq(gear__fail_cl_text(NULL, CL_INVALID_VALUE, "x", "%s", text), GEAR_ERROR_OPENCL);
    cr_assert_eq(gear__fail_build(NULL, CL_INVALID_VALUE, "x", "%s", text), GEAR_ERROR_BUILD);
    (void)gear__fail(&error, GEAR_ERROR_MEMORY, "x", "%s", text);
    cr_assert_eq(strlen(error.message), sizeof error.message - 1);
    (void)gear__fail_cl_text(&error, CL_INVALID_VALUE, "x", "%s", text);
    cr_assert_eq(strlen(error.message), sizeof error.message - 1);
}

Test(hash, parts_do_not_run_together)
{
    gear__hash128 start = gear__hash128_of("", 0);
    gear__hash128 one = gear__hash128_add(gear__hash128_add(start, "ab", 2), "c", 1);
    gear__hash128 two = gear__hash128_add(gear__hash128_add(start, "a", 1), "bc", 2);
    char hex[33];
    cr_assert(one.low != two.low || one.high != two.high);
    gear__hash128_hex((gear__hash128){0x1, 0xabcdef}, hex);
    cr_assert_str_eq(hex, "0000000000abcdef0000000000000001");
    cr_assert_eq(gear__hash64("", 0), 0x2d06800538d394c2u, "not XXH3");
}

Test(status, every_value_has_name_and_text)
{
    char version[32];
#define CHECK(name, value, text)                                                                                               \
  cr_assert_str_eq(gear_status_name(GEAR_##name), "GEAR_" #name);                                                              \
  cr_assert_str_eq(gear_status_text(GEAR_##name), text);                                                                       \
  cr_assert_eq((int)GEAR_##name, value);
    GEAR_STATUS_LIST(CHECK)
    cr_assert_str_eq(gear_status_name((gear_status)999), "GEAR_UNKNOWN_STATUS");
    cr_assert_not_null(gear_status_text((gear_status)999));
    (void)snprintf(version, sizeof version, "%d.%d.%d", GEAR_VERSION_MAJOR, GEAR_VERSION_MINOR, GEAR_VERSION_PATCH);
    cr_assert_str_eq(gear_version(), version);
}
