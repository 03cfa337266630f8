/* program.h: kernels by name. Programs are built once per (stems, options) of a device, or loaded from the disk cache. */
#ifndef GEAR_DEVICE_PROGRAM_H
#define GEAR_DEVICE_PROGRAM_H

#include "device/device.h"
#include "device/options.h"

/* Finds or builds the program of cl/STEM.cl (or of several, joined by '+') under `options` and creates a new kernel, which the
 * caller releases. Several threads may call this at once; a kernel object belongs to one thread at a time.
 * GEAR_ERROR_BUILD: the first error lines of the build log are in the message, all of it goes to the log callback. */
gear_status gear__program_kernel(gear__device *device, const char *stems, const gear__options *options, const char *kernel_name,
                                 cl_kernel *kernel, gear_error *error);

/* GEAR_ERROR_DEVICE when the kernel cannot run with `work_group` work-items in a group or needs more local memory than there
 * is: asked when a cache is created, so that no verb finds out. */
gear_status gear__kernel_check(gear__device *device, cl_kernel kernel, const char *name, size_t work_group, gear_error *error);

/* Releases all programs. Kernels that are alive stay valid. */
void gear__program_close_all(gear__device *device);

#endif
