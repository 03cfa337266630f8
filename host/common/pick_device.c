/* pick_device.c: enumerates and opens OpenCL devices, see pick_device.h. */
#include "pick_device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The loader answers with this code of cl_khr_icd where no driver is installed. */
#define NO_PLATFORMS (-1001)

/* Of cl_khr_device_uuid. */
#define DEVICE_UUID 0x106a
enum { UUID_BYTES = 16 };

bool open_library(const device *dev, const char *programs, gear_context **context, host_error *error)
{
    gear_error detail = {0};
    gear_context_desc desc;
    gear_context_desc_init(&desc);
    desc.context = dev->context;
    desc.device = dev->id;
    desc.program_cache_dir = programs;
    return gear_ok(gear_context_create(&desc, context, &detail), &detail, error);
}

const char *device_kind(cl_device_type type)
{
    return type & CL_DEVICE_TYPE_GPU           ? "GPU"
           : type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator"
           : type & CL_DEVICE_TYPE_CPU         ? "CPU"
                                               : "other";
}

static void device_text(cl_device_id id, cl_device_info what, char *out, size_t size)
{
    char text[1024] = "";
    if (clGetDeviceInfo(id, what, sizeof text, text, NULL) != CL_SUCCESS)
        text[0] = 0;
    text[sizeof text - 1] = 0;
    const char *start = text + strspn(text, " ");
    size_t length = strlen(start);
    while (length && start[length - 1] == ' ')
        --length;
    length = length < size ? length : size - 1;
    memcpy(out, start, length);
    out[length] = 0;
}

static void device_uuid(cl_device_id id, char *out, size_t size)
{
    unsigned char bytes[UUID_BYTES];
    size_t got = 0;
    out[0] = 0;
    if (clGetDeviceInfo(id, DEVICE_UUID, sizeof bytes, bytes, &got) != CL_SUCCESS || got != sizeof bytes)
        return;
    for (int i = 0; i < UUID_BYTES; ++i) {
        size_t length = strlen(out);
        snprintf(out + length, size - length, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    }
}

static void describe(device *d)
{
    if (clGetPlatformInfo(d->platform, CL_PLATFORM_NAME, sizeof d->platform_name, d->platform_name, NULL) != CL_SUCCESS)
        strcpy(d->platform_name, "unnamed");
    device_text(d->id, CL_DEVICE_NAME, d->name, sizeof d->name);
    device_text(d->id, CL_DEVICE_VENDOR, d->vendor, sizeof d->vendor);
    device_text(d->id, CL_DRIVER_VERSION, d->driver, sizeof d->driver);
    device_text(d->id, CL_DEVICE_VERSION, d->version, sizeof d->version);
    device_uuid(d->id, d->uuid, sizeof d->uuid);
    if (clGetDeviceInfo(d->id, CL_DEVICE_TYPE, sizeof d->type, &d->type, NULL) != CL_SUCCESS)
        d->type = 0;
}

/* Appends the devices of one platform to *list. */
static bool add_platform(cl_platform_id platform, device **list, size_t *count, host_error *error)
{
    cl_uint n = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n) != CL_SUCCESS || !n)
        return true; /* a driver without its hardware */
    cl_device_id *ids = calloc(n, sizeof *ids);
    device *grown = ids ? realloc(*list, (*count + n) * sizeof **list) : NULL;
    if (grown)
        *list = grown;
    bool ok = grown ? cl_ok(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, n, ids, NULL), "clGetDeviceIDs", error)
                    : fail(error, EXIT_DEVICE, "host memory exhausted");
    for (cl_uint i = 0; ok && i < n; ++i) {
        device *d = &(*list)[(*count)++];
        memset(d, 0, sizeof *d);
        d->platform = platform;
        d->id = ids[i];
        describe(d);
    }
    free(ids);
    return ok;
}

device *list_devices(size_t *count, host_error *error)
{
    cl_uint platforms = 0;
    device *list = malloc(sizeof *list);
    cl_platform_id *ids = NULL;
    bool ok = list != NULL || fail(error, EXIT_DEVICE, "host memory exhausted");
    *count = 0;
    if (ok) {
        cl_int code = clGetPlatformIDs(0, NULL, &platforms);
        if (code == NO_PLATFORMS)
            platforms = 0;
        else
            ok = cl_ok(code, "clGetPlatformIDs", error);
    }
    if (ok && platforms) {
        ids = calloc(platforms, sizeof *ids);
        ok = ids ? cl_ok(clGetPlatformIDs(platforms, ids, NULL), "clGetPlatformIDs", error)
                 : fail(error, EXIT_DEVICE, "host memory exhausted");
    }
    for (cl_uint i = 0; ok && i < platforms; ++i)
        ok = add_platform(ids[i], &list, count, error);
    free(ids);
    if (!ok) {
        free(list);
        list = NULL;
    }
    return list;
}

static bool contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; *text; ++text) {
        size_t i = 0;
        while (i < length && text[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            ++i;
        if (i == length)
            return true;
    }
    return length == 0;
}

static int preference(cl_device_type type)
{
    return type & CL_DEVICE_TYPE_GPU ? 3 : type & CL_DEVICE_TYPE_ACCELERATOR ? 2 : 1;
}

bool open_device(const char *match, device *chosen, host_error *error)
{
    size_t count = 0;
    memset(chosen, 0, sizeof *chosen);
    device *list = list_devices(&count, error), *best = NULL;
    if (!list)
        return false;
    for (size_t i = 0; i < count; ++i)
        if ((!match || contains(list[i].name, match) || contains(list[i].platform_name, match)) &&
            (!best || preference(list[i].type) > preference(best->type)))
            best = &list[i];
    bool ok = false;
    if (best) {
        *chosen = *best;
        ok = open_listed(chosen, error);
    } else if (!count) {
        fail(error, EXIT_DEVICE, "no OpenCL device: install a driver, for example the package pocl-opencl-icd");
    } else {
        fail(error, EXIT_INPUT, "no platform or device name contains '%s'; gear-info lists them", match);
    }
    free(list);
    return ok;
}

bool open_listed(device *chosen, host_error *error)
{
    cl_int code = CL_SUCCESS;
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)chosen->platform, 0};
    chosen->context = clCreateContext(properties, 1, &chosen->id, NULL, NULL, &code);
    if (!cl_ok(code, "clCreateContext", error))
        return false;
    chosen->queue = clCreateCommandQueue(chosen->context, chosen->id, 0, &code);
    if (cl_ok(code, "clCreateCommandQueue", error))
        return true;
    close_device(chosen);
    return false;
}

void close_device(device *chosen)
{
    if (chosen->queue)
        clReleaseCommandQueue(chosen->queue);
    if (chosen->context)
        clReleaseContext(chosen->context);
    chosen->queue = NULL;
    chosen->context = NULL;
}
