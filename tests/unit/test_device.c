/* test_device.c: adopting a context, capabilities, buffers, and the run-time expansion of kernel files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "device/source.h"
#include "unit_device.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

Test(device, opens_and_leaves_nothing)
{
    test_cl cl;
    gear__device device;
    gear_error error;
    gear_context_desc desc;
    long before;
    test_cl_open(&cl);
    desc = unit_desc(&cl, NULL, "somewhere");
    before = wrap_live_all();
    cr_assert_eq(gear__device_init(&device, &desc, &error), GEAR_OK, "%s", error.message);
    cr_assert_eq(wrap_live(WRAP_CONTEXT), 2);
    cr_assert_neq(device.cache_dir, desc.program_cache_dir);
    cr_assert_gt(device.caps.max_work_group, 0);
    cr_assert_gt(device.caps.local_bytes, 0);
    cr_assert_gt(device.caps.compute_units, 0);
    cr_assert(device.caps.opencl_major > 1 || device.caps.opencl_minor >= 2);
    cr_assert_gt(strlen(device.caps.name), 0);
    cr_assert_eq(device.caps.is_pocl + device.caps.is_nvidia + device.caps.is_amd + device.caps.is_intel <= 1, 1);
    gear__device_close(&device);
    gear__device_close(&device);
    cr_assert_eq(wrap_live_all(), before);
    cr_assert_eq(wrap_alloc_live(), 0);
    test_cl_close(&cl);
    cr_assert_eq(wrap_live_all(), 0);
}

Test(device, names_the_wrong_field)
{
    test_cl cl;
    gear__device device;
    gear_error error;
    gear_context_desc desc;
    test_cl_open(&cl);
#define REFUSED(change, field)                                                                                                 \
  desc = unit_desc(&cl, NULL, NULL);                                                                                           \
  change;                                                                                                                      \
  cr_assert_eq(gear__device_init(&device, &desc, &error), GEAR_ERROR_ARGUMENT);                                                \
  cr_assert_not_null(strstr(error.message, field), "%s: %s", field, error.message);                                            \
  cr_assert_eq(gear__device_init(&device, &desc, NULL), GEAR_ERROR_ARGUMENT)
    REFUSED(desc.context = NULL, "desc.context");
    REFUSED(desc.device = NULL, "desc.device");
    REFUSED(desc.allocator.release = NULL, "desc.allocator");
    REFUSED(desc.program_cache_dir = "", "desc.program_cache_dir");
    REFUSED(desc.kernel_source_dir = "", "desc.kernel_source_dir");
    cr_assert_eq(wrap_alloc_live(), 0);
    test_cl_close(&cl);
    cr_assert_eq(wrap_live_all(), 0);
}

Test(caps, extension_names_are_whole_words)
{
    const char *list = "cl_khr_fp16_more cl_khr_subgroups cl_khr_fp64";
    cr_assert_eq(gear__caps_has_extension(list, "cl_khr_fp16"), 0);
    cr_assert_eq(gear__caps_has_extension(list, "khr_subgroups"), 0);
    cr_assert_eq(gear__caps_has_extension(list, "cl_khr_subgroups"), 1);
    cr_assert_eq(gear__caps_has_extension(list, "cl_khr_fp64"), 1);
    cr_assert_eq(gear__caps_has_extension("", "cl_khr_fp64"), 0);
}

Test(buffer, checks_the_size)
{
    test_cl cl;
    gear__device device;
    gear_error error;
    gear_context_desc desc;
    cl_mem buffer = NULL;
    char number[32];
    test_cl_open(&cl);
    desc = unit_desc(&cl, NULL, NULL);
    cr_assert_eq(gear__device_init(&device, &desc, &error), GEAR_OK);
    cr_assert_eq(gear__buffer_create(&device, device.caps.max_alloc + 1, "pool", &buffer, &error), GEAR_ERROR_DEVICE);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)device.caps.max_alloc + 1);
    cr_assert_not_null(strstr(error.message, number), "%s", error.message);
    cr_assert_not_null(strstr(error.message, "pool"));
    cr_assert_eq(gear__buffer_create(&device, 0, "pool", &buffer, &error), GEAR_ERROR_ARGUMENT);
    cr_assert_null(buffer);
    cr_assert_eq(gear__buffer_create(&device, 64, "pool", &buffer, &error), GEAR_OK);
    cr_assert_eq(wrap_live(WRAP_BUFFER), 1);
    gear__buffer_release(&buffer);
    gear__buffer_release(&buffer);
    cr_assert_null(buffer);
    wrap_fail_at(1);
    cr_assert_eq(gear__buffer_create(&device, 64, "pool", &buffer, &error), GEAR_ERROR_OPENCL);
    cr_assert_eq(error.cl_code, CL_OUT_OF_RESOURCES);
    gear__device_close(&device);
    test_cl_close(&cl);
    cr_assert_eq(wrap_live_all(), 0);
}

Test(source, expands_each_file_once)
{
    static const char head[] = "#line 1 \"step.cl\"\n/* step.cl: ";
    static const char nested[] = "#line 1 \"common/step.clh\"\n";
    static const char inner[] = "#line 1 \"common/types.clh\"\n";
    static const char back[] = "typedef uint word;\n#line 3 \"common/step.clh\"\n";
    static const char after[] = "#line 3 \"step.cl\"\n\n\n#ifndef FACTOR";
    gear_allocator mine = wrap_allocator();
    gear__source source;
    gear_error error;
    char dir[1024], *text;
    (void)snprintf(dir, sizeof dir, "%s/tests/unit/kernels", test_root());
    cr_assert_eq(gear__source_load(&mine, dir, "step", &source, &error), GEAR_OK, "%s", error.message);
    text = calloc(1, source.size + 1);
    memcpy(text, source.text, source.size);
    cr_assert_eq(strncmp(text, head, sizeof head - 1), 0);
    cr_assert_not_null(strstr(text, nested));
    cr_assert_null(strstr(strstr(text, nested) + 1, nested));
    cr_assert_not_null(strstr(text, inner));
    cr_assert_not_null(strstr(text, back));
    cr_assert_not_null(strstr(text, after));
    free(text);
    gear__source_close(&mine, &source);
    cr_assert_eq(wrap_alloc_live(), 0);
}

Test(source, missing_files)
{
    gear_allocator mine = wrap_allocator();
    gear__source source;
    gear_error error;
    char dir[1024];
    (void)snprintf(dir, sizeof dir, "%s/tests/unit/kernels", test_root());
    cr_assert_eq(gear__source_load(&mine, dir, "lost", &source, &error), GEAR_ERROR_BUILD);
    cr_assert_not_null(strstr(error.message, "nowhere.clh"), "%s", error.message);
    cr_assert_eq(gear__source_load(&mine, dir, "none", &source, &error), GEAR_ERROR_BUILD);
    cr_assert_not_null(strstr(error.message, "none.cl"), "%s", error.message);
    cr_assert_eq(gear__source_load(&mine, NULL, "none", &source, &error), GEAR_ERROR_BUILD);
    cr_assert_eq(wrap_alloc_live(), 0);
}

/* Stems joined by '+': the texts of the single files, one after the other. */
Test(source, joins_files)
{
    const gear__embedded *entry = gear__embedded_kernels;
    gear_allocator mine = wrap_allocator();
    char dir[1024], stems[512];
    (void)snprintf(dir, sizeof dir, "%s/cl", test_root());
    (void)snprintf(stems, sizeof stems, "%s+%s+%s", entry[2].stem, entry[0].stem, entry[2].stem);
    for (int from_tree = 0; from_tree < 2; ++from_tree) {
        gear__source source;
        cr_assert_eq(gear__source_load(&mine, from_tree ? dir : NULL, stems, &source, NULL), GEAR_OK);
        size_t first = *entry[2].size, second = *entry[0].size;
        cr_assert_eq(source.size, first + second + first);
        cr_assert_eq(memcmp(source.text, entry[2].data, first), 0);
        cr_assert_eq(memcmp(source.text + first, entry[0].data, second), 0);
        cr_assert_eq(memcmp(source.text + first + second, entry[2].data, first), 0);
        gear__source_close(&mine, &source);
    }
    cr_assert_eq(gear__source_load(&mine, NULL, "upload+none", &(gear__source){0}, NULL), GEAR_ERROR_BUILD);
    cr_assert_eq(gear__source_load(&mine, dir, "none+upload", &(gear__source){0}, NULL), GEAR_ERROR_BUILD);
    cr_assert_eq(wrap_alloc_live(), 0);
}

/* cmake/embed.cmake and source.c are two programs for one text. */
Test(source, embedded_equals_tree)
{
    const gear__embedded *entry;
    gear_allocator mine = wrap_allocator();
    char dir[1024];
    (void)snprintf(dir, sizeof dir, "%s/cl", test_root());
    for (entry = gear__embedded_kernels; entry->stem; ++entry) {
        gear__source embedded, tree;
        gear_error error;
        cr_assert_eq(gear__source_load(&mine, NULL, entry->stem, &embedded, &error), GEAR_OK);
        cr_assert_eq(gear__source_load(&mine, dir, entry->stem, &tree, &error), GEAR_OK, "%s", error.message);
        cr_assert_eq(embedded.size, tree.size, "%s: %zu bytes embedded, %zu in the tree", entry->stem, embedded.size,
                     tree.size);
        cr_assert_eq(memcmp(embedded.text, tree.text, tree.size), 0, "%s", entry->stem);
        cr_assert_eq(embedded.hash, tree.hash);
        gear__source_close(&mine, &embedded);
        gear__source_close(&mine, &tree);
    }
    cr_assert_eq(wrap_alloc_live(), 0);
}
