/* test_program.c: program cache in memory and on disk, build failures. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "device/binary_cache.h"
#include "device/program.h"
#include "unit_device.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

static void make_kernel(gear__device *device, long factor)
{
    gear__options options = unit_step(factor);
    gear_error error;
    cl_kernel kernel = NULL;
    cr_assert_eq(gear__program_kernel(device, "step", &options, "gear_k_step", &kernel, &error), GEAR_OK, "%s", error.message);
    cr_assert_not_null(kernel);
    cr_assert_eq(gear__kernel_check(device, kernel, "step", 1, &error), GEAR_OK, "%s", error.message);
    cr_assert_eq(gear__kernel_check(device, kernel, "step", SIZE_MAX, &error), GEAR_ERROR_DEVICE);
    (void)clReleaseKernel(kernel);
}

/* Opens a device, makes the kernel, closes; returns the compile calls it took. The disk cache is not for PoCL: unless `as_is`
 * the device is taken for another. */
static long compiles(const test_cl *cl, unit_log *log, const char *dir, int as_is)
{
    gear__device device;
    gear_context_desc desc = unit_desc(cl, log, dir);
    gear_error error;
    memset(log, 0, sizeof *log);
    cr_assert_eq(gear__device_init(&device, &desc, &error), GEAR_OK, "%s", error.message);
    device.caps.is_pocl = as_is && device.caps.is_pocl;
    wrap_reset_calls();
    make_kernel(&device, 3);
    gear__device_close(&device);
    return wrap_calls(WRAP_COMPILE);
}

Test(program, is_built_once_per_options)
{
    test_cl cl;
    gear__device device;
    gear_context_desc desc;
    gear_error error;
    cl_kernel kernel = NULL;
    gear__options options = unit_step(3);
    test_cl_open(&cl);
    desc = unit_desc(&cl, NULL, NULL);
    cr_assert_eq(gear__device_init(&device, &desc, &error), GEAR_OK);
    make_kernel(&device, 3);
    make_kernel(&device, 3);
    cr_assert_eq(wrap_calls(WRAP_COMPILE), 2);
    cr_assert_eq(wrap_live(WRAP_PROGRAM), 1);
    make_kernel(&device, 5);
    cr_assert_eq(wrap_calls(WRAP_COMPILE), 4);
    cr_assert_eq(gear__program_kernel(&device, "step", &options, "gear_k_other", &kernel, &error), GEAR_ERROR_OPENCL);
    cr_assert_not_null(strstr(error.message, "gear_k_other"), "%s", error.message);
    cr_assert_null(kernel);
    gear__device_close(&device);
    test_cl_close(&cl);
    cr_assert_eq(wrap_live_all(), 0);
    cr_assert_eq(wrap_alloc_live(), 0);
}

Test(program, build_failure_is_told)
{
    static unit_log log;
    test_cl cl;
    gear__device device;
    gear_context_desc desc;
    gear_error error;
    gear__options options = unit_step(3);
    cl_kernel kernel = NULL;
    test_cl_open(&cl);
    desc = unit_desc(&cl, &log, NULL);
    cr_assert_eq(gear__device_init(&device, &desc, &error), GEAR_OK);
    cr_assert_eq(gear__program_kernel(&device, "broken", &options, "gear_k_broken", &kernel, &error), GEAR_ERROR_BUILD);
    cr_assert_null(kernel);
    cr_assert_neq(error.cl_code, CL_SUCCESS);
    cr_assert_str_eq(error.where, "clBuildProgram");
    cr_assert_not_null(strstr(error.message, "broken"), "%s", error.message);
    cr_assert_not_null(strstr(error.message, "no_such_name"), "%s", error.message);
    cr_assert_null(strchr(error.message, '\n'));
    cr_assert_not_null(strstr(log.text, "no_such_name"), "%s", log.text);
    cr_assert_geq(log.warnings, 1);
    gear__options_begin(&options);
    cr_assert_eq(gear__program_kernel(&device, "step", &options, "gear_k_step", &kernel, &error), GEAR_ERROR_BUILD);
    cr_assert_not_null(strstr(error.message, "FACTOR is missing"), "%s", error.message);
    options.overflow = 1;
    cr_assert_eq(gear__program_kernel(&device, "step", &options, "gear_k_step", &kernel, &error), GEAR_ERROR_BUILD);
    cr_assert_eq(gear__program_kernel(&device, "none", &options, "gear_k_step", &kernel, NULL), GEAR_ERROR_BUILD);
    gear__device_close(&device);
    test_cl_close(&cl);
    cr_assert_eq(wrap_live_all(), 0);
    cr_assert_eq(wrap_alloc_live(), 0);
}

Test(binary_cache, stores_and_refuses)
{
    static const unsigned char data[] = "some bytes of a binary";
    gear_allocator mine = wrap_allocator();
    gear__hash128 key = {1, 2}, other = {1, 3};
    const char *dir = test_directory();
    char path[1024], hex[33];
    unsigned char *got;
    size_t size = 0;
    long end, at;
    FILE *file;

    cr_assert_null(gear__binary_load(&mine, dir, key, &size));
    cr_assert_eq(gear__binary_store(&mine, dir, key, data, sizeof data), 0);
    got = gear__binary_load(&mine, dir, key, &size);
    cr_assert_not_null(got);
    cr_assert_eq(size, sizeof data);
    cr_assert_eq(memcmp(got, data, size), 0);
    gear__free(&mine, got);
    cr_assert_null(gear__binary_load(&mine, dir, other, &size));
    cr_assert_neq(gear__binary_store(&mine, "no/such/dir", key, data, sizeof data), 0);
    cr_assert_neq(gear__binary_store(&mine, dir, key, data, 0), 0);

    gear__hash128_hex(key, hex);
    (void)snprintf(path, sizeof path, "%s/gear-%s.clbin", dir, hex);
    file = fopen(path, "rb");
    cr_assert_not_null(file);
    (void)fseek(file, 0, SEEK_END);
    end = ftell(file);
    (void)fclose(file);
    for (at = 0; at < end; ++at) { /* every byte counts */
        int byte;
        file = fopen(path, "r+b");
        (void)fseek(file, at, SEEK_SET);
        byte = fgetc(file);
        (void)fseek(file, at, SEEK_SET);
        (void)fputc(byte ^ 0x10, file);
        (void)fclose(file);
        cr_assert_null(gear__binary_load(&mine, dir, key, &size), "byte %ld", at);
        file = fopen(path, "r+b");
        (void)fseek(file, at, SEEK_SET);
        (void)fputc(byte, file);
        (void)fclose(file);
    }
    file = fopen(path, "ab");
    (void)fputc('x', file);
    (void)fclose(file);
    cr_assert_null(gear__binary_load(&mine, dir, key, &size), "too long");
    file = fopen(path, "wb");
    (void)fclose(file);
    cr_assert_null(gear__binary_load(&mine, dir, key, &size), "empty");
    cr_assert_eq(gear__binary_store(&mine, dir, key, data, sizeof data), 0);
    got = gear__binary_load(&mine, dir, key, &size);
    cr_assert_not_null(got);
    gear__free(&mine, got);
    cr_assert_eq(wrap_alloc_live(), 0);
}

Test(binary_cache, key_covers_everything)
{
    gear__caps caps;
    gear__source source = {"text", 4, 99, NULL};
    gear__hash128 base, changed;
    char *const fields[] = {caps.name, caps.vendor, caps.driver, caps.version, caps.platform, caps.platform_version};
    size_t i;
    memset(&caps, 0, sizeof caps);
    base = gear__binary_key(&caps, &source, "-D A=1");
#define DIFFERS                                                                                                                \
  changed = gear__binary_key(&caps, &source, "-D A=1");                                                                        \
  cr_assert(changed.low != base.low && changed.high != base.high)
    for (i = 0; i < sizeof fields / sizeof fields[0]; ++i) {
        fields[i][0] = 'x';
        DIFFERS;
        fields[i][0] = '\0';
    }
    changed = gear__binary_key(&caps, &source, "-D A=2");
    cr_assert(changed.low != base.low);
    source.text = "texT";
    DIFFERS;
}

/* PoCL: nothing on disk. Others: the second context takes it from disk. Damaged file: from source, and the file is written
 * anew. Bad directory: works, and says so. */
Test(program, disk_cache_round_trip)
{
    static unit_log log;
    test_cl cl;
    gear__device device;
    gear_context_desc desc;
    gear__options options = unit_step(3);
    gear__source source;
    gear__hash128 key;
    char path[1024], hex[33];
    const char *dir = test_directory();
    unsigned char *data;
    size_t size = 0;
    int is_pocl;
    FILE *file;

    test_cl_open(&cl);
    desc = unit_desc(&cl, NULL, NULL);
    cr_assert_eq(gear__device_init(&device, &desc, NULL), GEAR_OK);
    is_pocl = device.caps.is_pocl;
    cr_assert_eq(gear__source_load(&device.allocator, device.source_dir, "step", &source, NULL), GEAR_OK);
    key = gear__binary_key(&device.caps, &source, options.text);
    gear__source_close(&device.allocator, &source);
    gear__device_close(&device);
    gear__hash128_hex(key, hex);
    (void)snprintf(path, sizeof path, "%s/gear-%s.clbin", dir, hex);

    if (is_pocl) {
        cr_assert_eq(compiles(&cl, &log, dir, 1), 2);
        cr_assert_not_null(strstr(log.text, ": built\n"), "%s", log.text);
        cr_assert_not_null(strstr(log.text, "program_cache_dir is not used"), "%s", log.text);
        cr_assert_null(gear__binary_load(NULL, dir, key, &size));
    }
    cr_assert_eq(compiles(&cl, &log, dir, 0), 2);
    cr_assert_not_null(strstr(log.text, ": built\n"), "%s", log.text);
    data = gear__binary_load(NULL, dir, key, &size);
    cr_assert_not_null(data);
    gear__free(NULL, data);
    cr_assert_eq(compiles(&cl, &log, dir, 0), 2);
    cr_assert_not_null(strstr(log.text, "loaded from the program cache"), "%s", log.text);

    file = fopen(path, "r+b");
    cr_assert_not_null(file);
    (void)fseek(file, -1, SEEK_END);
    (void)fputc(0x55, file);
    (void)fclose(file);
    (void)compiles(&cl, &log, dir, 0);
    cr_assert_not_null(strstr(log.text, ": built\n"), "%s", log.text);
    (void)compiles(&cl, &log, dir, 0);
    cr_assert_not_null(strstr(log.text, "loaded from the program cache"), "%s", log.text);

    /* a sound file whose content the driver refuses */
    cr_assert_eq(gear__binary_store(NULL, dir, key, (const unsigned char *)"nonsense", 8), 0);
    (void)compiles(&cl, &log, dir, 0);
    cr_assert_not_null(strstr(log.text, ": built\n"), "%s", log.text);

    (void)compiles(&cl, &log, "no/such/dir", 0);
    cr_assert_not_null(strstr(log.text, "not written to the program cache"), "%s", log.text);
    test_cl_close(&cl);
    cr_assert_eq(wrap_live_all(), 0);
    cr_assert_eq(wrap_alloc_live(), 0);
}
