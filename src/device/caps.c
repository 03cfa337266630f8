/* caps.c: device queries. Only what a 1.2 device must answer is an error when it does not. */
#include "device/caps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define WHERE                       "clGetDeviceInfo"
#define NV_COMPUTE_CAPABILITY_MAJOR 0x4000 /* cl_nv_device_attribute_query */
#define NV_COMPUTE_CAPABILITY_MINOR 0x4001
#define EXTENSION_BYTES             8192u

int gear__caps_has_extension(const char *extensions, const char *name)
{
    size_t length = strlen(name);
    const char *at = extensions;
    while ((at = strstr(at, name)) != NULL) {
        if ((at == extensions || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return 1;
        }
        at += length;
    }
    return 0;
}

static gear_status value(cl_device_id device, cl_device_info what, size_t size, void *out, gear_error *error)
{
    cl_int code = clGetDeviceInfo(device, what, size, out, NULL);
    return code ? gear__fail_cl_text(error, code, WHERE, "query 0x%x of the device", (unsigned)what) : GEAR_OK;
}

/* Text of any length into `size` bytes: the driver refuses buffers that are too small, so long texts are read whole and cut. */
static gear_status text(cl_device_id device, cl_platform_id platform, cl_uint what, size_t size, char *out, gear_error *error)
{
    const char *where = platform ? "clGetPlatformInfo" : WHERE;
    char whole[EXTENSION_BYTES];
    size_t need = 0;
    cl_int code = platform ? clGetPlatformInfo(platform, what, 0, NULL, &need) : clGetDeviceInfo(device, what, 0, NULL, &need);
    if (!code && need > sizeof whole) {
        return gear__fail(error, GEAR_ERROR_DEVICE, where, "the text of query 0x%x has %zu bytes", (unsigned)what, need);
    }
    memset(whole, 0, sizeof whole);
    if (!code) {
        code = platform ? clGetPlatformInfo(platform, what, sizeof whole, whole, NULL)
                        : clGetDeviceInfo(device, what, sizeof whole, whole, NULL);
    }
    if (code) {
        return gear__fail_cl_text(error, code, where, "query 0x%x", (unsigned)what);
    }
    whole[sizeof whole - 1] = '\0';
    (void)snprintf(out, size, "%.*s", (int)size - 1, whole);
    return GEAR_OK;
}

static void vendor_flags(gear__caps *caps, cl_device_id device, const char *extensions)
{
    cl_uint major = 0, minor = 0;
    caps->is_pocl = strstr(caps->platform, "Portable Computing Language") != NULL;
    caps->is_oclgrind = strstr(caps->platform, "Oclgrind") != NULL;
    caps->is_nvidia = !caps->is_pocl && (caps->vendor_id == 0x10de || strstr(caps->vendor, "NVIDIA"));
    caps->is_amd = !caps->is_pocl && (caps->vendor_id == 0x1002 || strstr(caps->vendor, "Advanced Micro Devices"));
    caps->is_intel = !caps->is_pocl && (caps->vendor_id == 0x8086 || strstr(caps->vendor, "Intel"));
    if (!gear__caps_has_extension(extensions, "cl_nv_device_attribute_query")) {
        return;
    }
    if (!clGetDeviceInfo(device, NV_COMPUTE_CAPABILITY_MAJOR, sizeof major, &major, NULL) &&
        !clGetDeviceInfo(device, NV_COMPUTE_CAPABILITY_MINOR, sizeof minor, &minor, NULL)) {
        caps->nv_sm = major * 10u + minor;
        caps->nv_driver = (uint32_t)strtoul(caps->driver, NULL, 10);
    }
}

const char *gear__caps_tensor_cores_why_not(const gear__caps *caps)
{
    if (!caps->is_nvidia || !caps->is_gpu) {
        return "no NVIDIA GPU";
    }
    if (caps->nv_sm < 80) {
        return "sm_80 or later is needed";
    }
    return caps->nv_driver < 520 ? "driver 520 or later is needed" : NULL;
}

/* "OpenCL 3.0 CUDA ..." */
static void opencl_version(gear__caps *caps)
{
    char *end;
    if (strncmp(caps->version, "OpenCL ", 7) != 0) {
        return;
    }
    caps->opencl_major = (uint32_t)strtoul(caps->version + 7, &end, 10);
    if (*end == '.') {
        caps->opencl_minor = (uint32_t)strtoul(end + 1, NULL, 10);
    }
}

gear_status gear__caps_read(cl_device_id device, gear__caps *caps, gear_error *error)
{
    char extensions[EXTENSION_BYTES];
    cl_platform_id platform = NULL;
    cl_uint units = 0, vendor = 0;
    cl_bool compiler = CL_FALSE, little = CL_FALSE, available = CL_FALSE;
    cl_ulong local = 0, alloc = 0;
    gear_status status = GEAR_OK;

    memset(caps, 0, sizeof *caps);
#define TEXT(what, field)                                                                                                      \
  if (!status)                                                                                                                 \
  status = text(device, NULL, what, sizeof(field), field, error)
#define PLATFORM(what, field)                                                                                                  \
  if (!status)                                                                                                                 \
  status = text(NULL, platform, what, sizeof(field), field, error)
#define VALUE(what, variable)                                                                                                  \
  if (!status)                                                                                                                 \
  status = value(device, what, sizeof(variable), &(variable), error)
    TEXT(CL_DEVICE_NAME, caps->name);
    TEXT(CL_DEVICE_VENDOR, caps->vendor);
    TEXT(CL_DEVICE_VERSION, caps->version);
    TEXT(CL_DRIVER_VERSION, caps->driver);
    VALUE(CL_DEVICE_PLATFORM, platform);
    PLATFORM(CL_PLATFORM_NAME, caps->platform);
    PLATFORM(CL_PLATFORM_VERSION, caps->platform_version);
    VALUE(CL_DEVICE_TYPE, caps->type);
    VALUE(CL_DEVICE_VENDOR_ID, vendor);
    VALUE(CL_DEVICE_MAX_COMPUTE_UNITS, units);
    VALUE(CL_DEVICE_MAX_WORK_GROUP_SIZE, caps->max_work_group);
    VALUE(CL_DEVICE_LOCAL_MEM_SIZE, local);
    VALUE(CL_DEVICE_MAX_MEM_ALLOC_SIZE, alloc);
    VALUE(CL_DEVICE_COMPILER_AVAILABLE, compiler);
    VALUE(CL_DEVICE_ENDIAN_LITTLE, little);
    VALUE(CL_DEVICE_AVAILABLE, available);
#undef TEXT
#undef PLATFORM
#undef VALUE
    if (status) {
        return status;
    }

    caps->vendor_id = vendor;
    caps->compute_units = units;
    caps->local_bytes = local;
    caps->max_alloc = alloc;
    caps->is_cpu = (caps->type & CL_DEVICE_TYPE_CPU) != 0;
    caps->is_gpu = (caps->type & CL_DEVICE_TYPE_GPU) != 0;
    caps->has_compiler = compiler == CL_TRUE;
    caps->is_little_endian = little == CL_TRUE;
    caps->is_available = available == CL_TRUE;
    opencl_version(caps);
    /* A device that will not say has none of those that are looked for. */
    if (text(device, NULL, CL_DEVICE_EXTENSIONS, sizeof extensions, extensions, NULL)) {
        extensions[0] = '\0';
    }
    vendor_flags(caps, device, extensions);
    return GEAR_OK;
}
