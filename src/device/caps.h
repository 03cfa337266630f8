/* caps.h: what a device is and can do, read once when a context is created. */
#ifndef GEAR_DEVICE_CAPS_H
#define GEAR_DEVICE_CAPS_H

#include <stddef.h>
#include <stdint.h>

#include "gear/gear.h"

/* Strings are cut to fit and always end in NUL. */
typedef struct gear__caps {
    char name[128], vendor[128], version[128], driver[128];
    char platform[128];         /* name of the platform */
    char platform_version[128]; /* of the platform: PoCL puts its release here */
    cl_device_type type;
    uint32_t vendor_id;
    uint32_t compute_units;
    uint32_t opencl_major, opencl_minor;
    size_t max_work_group;
    uint64_t local_bytes; /* local memory of a work-group */
    uint64_t max_alloc;   /* largest buffer */
    uint32_t nv_sm;       /* NVIDIA compute capability, e.g. 90; 0 elsewhere or unknown */
    uint32_t nv_driver;   /* NVIDIA driver branch, e.g. 580; 0 elsewhere or unknown */
    int is_cpu, is_gpu;
    int is_pocl, is_oclgrind, is_nvidia, is_amd, is_intel;
    int has_compiler, is_little_endian, is_available;
} gear__caps;

gear_status gear__caps_read(cl_device_id device, gear__caps *caps, gear_error *error);

/* Whether the blank-separated list `extensions` has exactly `name`. */
int gear__caps_has_extension(const char *extensions, const char *name);

/* Why the kernels for NVIDIA's tensor cores cannot run, or NULL: they are for sm_80 and PTX ISA 7.8, which came with driver
 * 520. */
const char *gear__caps_tensor_cores_why_not(const gear__caps *caps);

#endif
