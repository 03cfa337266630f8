/* device.c: adopting a context and a device, and the log. */
#include "device/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "device/program.h"

#define WHERE "gear_context_create"

static gear_status check_fields(const gear_context_desc *desc, gear_error *error)
{
    if (!desc->context) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, WHERE, "desc.context is NULL");
    }
    if (!desc->device) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, WHERE, "desc.device is NULL");
    }
    if (!desc->allocator.allocate != !desc->allocator.release) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, WHERE, "desc.allocator has only one of allocate and release");
    }
    if (desc->program_cache_dir && !desc->program_cache_dir[0]) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, WHERE, "desc.program_cache_dir is empty");
    }
    if (desc->kernel_source_dir && !desc->kernel_source_dir[0]) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, WHERE, "desc.kernel_source_dir is empty");
    }
    return GEAR_OK;
}

static gear_status check_membership(gear__device *device, const gear_context_desc *desc, gear_error *error)
{
    size_t size = 0, i;
    int found = 0;
    cl_device_id *list;
    cl_int code = clGetContextInfo(desc->context, CL_CONTEXT_DEVICES, 0, NULL, &size);
    if (code) {
        return gear__fail_cl_text(error, code, "clGetContextInfo", "desc.context");
    }
    list = gear__alloc(&device->allocator, size);
    if (!list) {
        return gear__fail_memory(error, WHERE, size);
    }
    code = clGetContextInfo(desc->context, CL_CONTEXT_DEVICES, size, list, NULL);
    for (i = 0; !code && i < size / sizeof *list; i++) {
        found |= list[i] == desc->device;
    }
    gear__free(&device->allocator, list);
    if (code) {
        return gear__fail_cl_text(error, code, "clGetContextInfo", "desc.context");
    }
    if (!found) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, WHERE, "desc.device is not a device of desc.context");
    }
    return GEAR_OK;
}

static gear_status check_caps(const gear__caps *caps, gear_error *error)
{
    if (!caps->is_available) {
        return gear__fail(error, GEAR_ERROR_DEVICE, WHERE, "%.100s: not available", caps->name);
    }
    if (caps->opencl_major < 1 || (caps->opencl_major == 1 && caps->opencl_minor < 2)) {
        return gear__fail(error, GEAR_ERROR_DEVICE, WHERE, "%.100s: %.80s; OpenCL 1.2 is needed", caps->name, caps->version);
    }
    if (!caps->has_compiler) {
        return gear__fail(error, GEAR_ERROR_DEVICE, WHERE, "%.100s: has no OpenCL C compiler", caps->name);
    }
    if (!caps->is_little_endian) {
        return gear__fail(error, GEAR_ERROR_DEVICE, WHERE, "%.100s: big-endian", caps->name);
    }
    return GEAR_OK;
}

static gear_status copy_text(gear__device *device, const char *text, char **copy, gear_error *error)
{
    if (!text) {
        return GEAR_OK;
    }
    *copy = gear__alloc_text(&device->allocator, text);
    return *copy ? GEAR_OK : gear__fail_memory(error, WHERE, strlen(text) + 1);
}

gear_status gear__device_init(gear__device *device, const gear_context_desc *desc, gear_error *error)
{
    gear_status status;
    cl_int code;

    memset(device, 0, sizeof *device);
    status = check_fields(desc, error);
    if (status) {
        return status;
    }
    device->device = desc->device;
    device->allocator = desc->allocator;
    device->log = desc->log;
    status = check_membership(device, desc, error);
    if (!status) {
        status = gear__caps_read(desc->device, &device->caps, error);
    }
    if (!status) {
        status = check_caps(&device->caps, error);
    }
    if (!status) {
        status = copy_text(device, desc->program_cache_dir, &device->cache_dir, error);
    }
    if (!status) {
        status = copy_text(device, desc->kernel_source_dir, &device->source_dir, error);
    }
    if (status) {
        goto cleanup;
    }
    if (gear__mutex_init(&device->mutex)) {
        status = gear__fail(error, GEAR_ERROR_MEMORY, WHERE, "no mutex");
        goto cleanup;
    }
    code = clRetainContext(desc->context);
    if (code) {
        gear__mutex_destroy(&device->mutex);
        status = gear__fail_cl_text(error, code, "clRetainContext", "desc.context");
        goto cleanup;
    }
    device->context = desc->context;
    gear__device_log(device, GEAR_LOG_INFO, "device %s (%s, driver %s)", device->caps.name, device->caps.version,
                     device->caps.driver);
    if (device->cache_dir && device->caps.is_pocl) {
        gear__device_log(device, GEAR_LOG_INFO, "program_cache_dir is not used: PoCL keeps its programs itself");
    }
    return GEAR_OK;

cleanup:
    gear__free(&device->allocator, device->cache_dir);
    gear__free(&device->allocator, device->source_dir);
    memset(device, 0, sizeof *device);
    return status;
}

void gear__device_close(gear__device *device)
{
    if (!device->context) {
        return;
    }
    gear__program_close_all(device);
    (void)clReleaseContext(device->context);
    gear__mutex_destroy(&device->mutex);
    gear__free(&device->allocator, device->cache_dir);
    gear__free(&device->allocator, device->source_dir);
    memset(device, 0, sizeof *device);
}

void gear__device_log(const gear__device *device, gear_log_level level, const char *format, ...)
{
    char line[512];
    va_list list;
    if (!device->log.write) {
        return;
    }
    va_start(list, format);
    (void)vsnprintf(line, sizeof line, format, list);
    va_end(list);
    device->log.write(device->log.user, level, line);
}

void gear__device_log_text(const gear__device *device, gear_log_level level, const char *text)
{
    if (device->log.write) {
        device->log.write(device->log.user, level, text);
    }
}
