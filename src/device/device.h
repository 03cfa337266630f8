/* device.h: one adopted OpenCL context and device with their capabilities, callbacks and programs. Everything in src/device
 * hangs off it; nothing here knows what the kernels compute. May be used from several threads. */
#ifndef GEAR_DEVICE_DEVICE_H
#define GEAR_DEVICE_DEVICE_H

#include "base/mutex.h"
#include "device/caps.h"
#include "gear/gear.h"

struct gear__program; /* program.c */

typedef struct gear__device {
    cl_context context; /* retained */
    cl_device_id device;
    gear__caps caps;
    gear_allocator allocator;
    gear_log log;
    char *cache_dir;                /* owned; NULL: no programs on disk */
    char *source_dir;               /* owned; NULL: the embedded kernels */
    struct gear__program *programs; /* guarded by `mutex` */
    gear__mutex mutex;
} gear__device;

/* Checks the fields of `desc` but struct_size, retains the context, copies the rest. On failure there is nothing to close.
 * GEAR_ERROR_DEVICE: no OpenCL 1.2, no compiler, not little-endian. */
gear_status gear__device_init(gear__device *device, const gear_context_desc *desc, gear_error *error);
void gear__device_close(gear__device *device);

/* Passes a line to the log callback, if there is one. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void gear__device_log(const gear__device *device, gear_log_level level, const char *format, ...);
/* The same for a text of any length. */
void gear__device_log_text(const gear__device *device, gear_log_level level, const char *text);

#endif
