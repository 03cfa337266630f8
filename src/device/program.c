/* program.c: the cache of built programs, and building. The device's mutex is held while a program is built, so two threads
 * never build the same one; the log callback runs after it is released, so that it may call the library. */
#include "device/program.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "device/binary_cache.h"

typedef struct gear__program {
    struct gear__program *next;
    cl_program program;
    char *stem, *options;
} gear__program;

/* What one build reports. */
typedef struct report {
    char *build_log; /* owned */
    const char *note;
    gear_log_level level;
} report;

static void release_program(cl_program *program)
{
    if (*program) {
        (void)clReleaseProgram(*program);
    }
    *program = NULL;
}

/* The build log, to be freed; NULL when there is none. */
static char *read_log(gear__device *device, cl_program program)
{
    size_t size = 0;
    char *text;
    if (clGetProgramBuildInfo(program, device->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) || size <= 1) {
        return NULL;
    }
    text = gear__alloc(&device->allocator, size + 1);
    if (text && clGetProgramBuildInfo(program, device->device, CL_PROGRAM_BUILD_LOG, size, text, NULL)) {
        gear__free(&device->allocator, text);
        text = NULL;
    }
    return text;
}

/* The log from its first line with "error" on, in one line: runs of blanks become one, line ends " / ". */
static void summarise(const char *log, char *out, size_t size)
{
    const char *at = log ? strstr(log, "error") : NULL;
    size_t used = 0;
    int blank = 0, line = 0;
    out[0] = '\0';
    if (!log) {
        return;
    }
    at = at ? at : log;
    while (at > log && at[-1] != '\n') {
        at--;
    }
    for (; *at && used + 5 < size; at++) {
        if (isspace((unsigned char)*at)) {
            blank = 1;
            line |= *at == '\n';
            continue;
        }
        if (used && blank) {
            const char *gap = line ? " / " : " ";
            used += (size_t)snprintf(out + used, size - used, "%s", gap);
        }
        blank = line = 0;
        out[used++] = *at;
        out[used] = '\0';
    }
}

/* Builds from a file of the disk cache; NULL when that does not give the kernel. */
static cl_program from_disk(gear__device *device, gear__hash128 key, const char *options, const char *kernel_name)
{
    cl_program program = NULL;
    cl_kernel kernel = NULL;
    cl_int code = CL_SUCCESS, loaded = CL_SUCCESS;
    size_t size = 0;
    unsigned char *data = gear__binary_load(&device->allocator, device->cache_dir, key, &size);
    const unsigned char *list = data;
    if (!data) {
        return NULL;
    }
    program = clCreateProgramWithBinary(device->context, 1, &device->device, &size, &list, &loaded, &code);
    gear__free(&device->allocator, data);
    if (!program) {
        return NULL;
    }
    if (!loaded && !code && !clBuildProgram(program, 1, &device->device, options, NULL, NULL)) {
        kernel = clCreateKernel(program, kernel_name, &code);
    }
    if (kernel) {
        (void)clReleaseKernel(kernel);
    } else {
        release_program(&program);
    }
    return program;
}

/* Position of the device in the program's list, or -1. */
static int device_index(gear__device *device, cl_program program, cl_uint *count)
{
    cl_device_id list[64];
    size_t size = 0, i;
    if (clGetProgramInfo(program, CL_PROGRAM_DEVICES, sizeof list, list, &size)) {
        return -1;
    }
    *count = (cl_uint)(size / sizeof list[0]);
    for (i = 0; i < *count; i++) {
        if (list[i] == device->device) {
            return (int)i;
        }
    }
    return -1;
}

static int to_disk(gear__device *device, gear__hash128 key, cl_program program)
{
    cl_uint count = 0;
    int index = device_index(device, program, &count), failed = 1;
    size_t sizes[64] = {0};
    unsigned char *list[64] = {NULL}, *data;
    if (index < 0 || clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, count * sizeof sizes[0], sizes, NULL) ||
        !sizes[index]) {
        return 1;
    }
    data = gear__alloc(&device->allocator, sizes[index]);
    if (!data) {
        return 1;
    }
    list[index] = data;
    if (!clGetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof list[0], list, NULL)) {
        failed = gear__binary_store(&device->allocator, device->cache_dir, key, data, sizes[index]);
    }
    gear__free(&device->allocator, data);
    return failed;
}

static gear_status from_source(gear__device *device, const char *stem, const gear__source *source, const char *options,
                               cl_program *out, report *said, gear_error *error)
{
    char summary[200];
    cl_int code = CL_SUCCESS;
    cl_program program = clCreateProgramWithSource(device->context, 1, (const char *[]){source->text}, &source->size, &code);
    if (!program) {
        return gear__fail_cl_text(error, code, "clCreateProgramWithSource", "%.80s", stem);
    }
    code = clBuildProgram(program, 1, &device->device, options, NULL, NULL);
    said->build_log = code || device->log.write ? read_log(device, program) : NULL;
    if (!code) {
        *out = program;
        return GEAR_OK;
    }
    release_program(&program);
    said->note = "does not build";
    said->level = GEAR_LOG_WARNING;
    if (code != CL_BUILD_PROGRAM_FAILURE && code != CL_INVALID_BUILD_OPTIONS && code != CL_COMPILER_NOT_AVAILABLE) {
        return gear__fail_cl_text(error, code, "clBuildProgram", "%.80s", stem);
    }
    summarise(said->build_log, summary, sizeof summary);
    return gear__fail_build(error, code, "clBuildProgram", "%.60s: %s", stem, summary[0] ? summary : gear__cl_name(code));
}

/* PoCL keeps its programs itself (POCL_CACHE_DIR), and asking it for a binary compiles every kernel a second time. */
static int uses_disk(const gear__device *device)
{
    return device->cache_dir && !device->caps.is_pocl;
}

static gear_status build(gear__device *device, const char *stem, const gear__options *options, const char *kernel_name,
                         cl_program *program, report *said, gear_error *error)
{
    gear__source source;
    gear__hash128 key = {0, 0};
    gear_status status = gear__source_load(&device->allocator, device->source_dir, stem, &source, error);
    if (status) {
        return status;
    }
    if (uses_disk(device)) {
        key = gear__binary_key(&device->caps, &source, options->text);
        *program = from_disk(device, key, options->text, kernel_name);
    }
    if (*program) {
        said->note = "loaded from the program cache";
    } else {
        said->note = "built";
        status = from_source(device, stem, &source, options->text, program, said, error);
        if (!status && uses_disk(device) && to_disk(device, key, *program)) {
            said->note = "built; not written to the program cache";
        }
    }
    gear__source_close(&device->allocator, &source);
    return status;
}

static void free_entry(gear__device *device, gear__program *entry)
{
    release_program(&entry->program);
    gear__free(&device->allocator, entry->stem);
    gear__free(&device->allocator, entry->options);
    gear__free(&device->allocator, entry);
}

static gear_status add_entry(gear__device *device, const char *stem, const gear__options *options, const char *kernel_name,
                             gear__program **out, report *said, gear_error *error)
{
    gear_status status = GEAR_OK;
    gear__program *entry = gear__alloc(&device->allocator, sizeof *entry);
    if (!entry) {
        return gear__fail_memory(error, "gear__program_kernel", sizeof *entry);
    }
    entry->stem = gear__alloc_text(&device->allocator, stem);
    entry->options = gear__alloc_text(&device->allocator, options->text);
    if (!entry->stem || !entry->options) {
        status = gear__fail_memory(error, "gear__program_kernel", options->length + 1);
    }
    if (!status) {
        status = build(device, stem, options, kernel_name, &entry->program, said, error);
    }
    if (status) {
        free_entry(device, entry);
        return status;
    }
    entry->next = device->programs;
    device->programs = entry;
    *out = entry;
    return GEAR_OK;
}

static void tell(gear__device *device, const char *stem, const gear__options *options, report *said)
{
    if (said->note) {
        gear__device_log(device, said->level, "kernel %.240s [%.300s]: %s", stem, options->text, said->note);
    }
    if (said->build_log) {
        gear__device_log_text(device, said->level, said->build_log);
    }
    gear__free(&device->allocator, said->build_log);
}

gear_status gear__program_kernel(gear__device *device, const char *stem, const gear__options *options, const char *kernel_name,
                                 cl_kernel *kernel, gear_error *error)
{
    report said = {NULL, NULL, GEAR_LOG_INFO};
    gear_status status = GEAR_OK;
    gear__program *entry;
    cl_kernel created;
    cl_int code = CL_SUCCESS;

    if (options->overflow) {
        return gear__fail(error, GEAR_ERROR_BUILD, "gear__program_kernel", "%.80s: build options beyond %u bytes or a bad name",
                          stem, GEAR__OPTIONS_BYTES);
    }
    gear__mutex_lock(&device->mutex);
    for (entry = device->programs; entry; entry = entry->next) {
        if (strcmp(entry->stem, stem) == 0 && strcmp(entry->options, options->text) == 0) {
            break;
        }
    }
    if (!entry) {
        status = add_entry(device, stem, options, kernel_name, &entry, &said, error);
    }
    gear__mutex_unlock(&device->mutex);
    tell(device, stem, options, &said);
    if (!entry) {
        return status;
    }

    created = clCreateKernel(entry->program, kernel_name, &code);
    if (!created) {
        return gear__fail_cl_text(error, code, "clCreateKernel", "%.80s in %.80s", kernel_name, stem);
    }
    *kernel = created;
    return GEAR_OK;
}

gear_status gear__kernel_check(gear__device *device, cl_kernel kernel, const char *name, size_t work_group, gear_error *error)
{
    size_t most = 0;
    cl_ulong local = 0;
    cl_int code = clGetKernelWorkGroupInfo(kernel, device->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    if (!code) {
        code = clGetKernelWorkGroupInfo(kernel, device->device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    }
    if (code) {
        return gear__fail_cl_text(error, code, "clGetKernelWorkGroupInfo", "%.80s", name);
    }
    if (work_group > most) {
        return gear__fail(error, GEAR_ERROR_DEVICE, "clGetKernelWorkGroupInfo",
                          "%.80s: work-groups of %zu; this device runs it with %zu", name, work_group, most);
    }
    if (local > device->caps.local_bytes) {
        return gear__fail(error, GEAR_ERROR_DEVICE, "clGetKernelWorkGroupInfo",
                          "%.80s: %llu bytes of local memory; this device has %llu", name, (unsigned long long)local,
                          (unsigned long long)device->caps.local_bytes);
    }
    return GEAR_OK;
}

void gear__program_close_all(gear__device *device)
{
    while (device->programs) {
        gear__program *entry = device->programs;
        device->programs = entry->next;
        free_entry(device, entry);
    }
}
