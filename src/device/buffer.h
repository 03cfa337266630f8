/* buffer.h: device memory. */
#ifndef GEAR_DEVICE_BUFFER_H
#define GEAR_DEVICE_BUFFER_H

#include <stdint.h>

#include "device/device.h"

/* A read-write buffer of `bytes` bytes (at least 1), contents undefined. GEAR_ERROR_DEVICE: larger than the device's largest
 * buffer. `what` names it in messages. */
gear_status gear__buffer_create(gear__device *device, uint64_t bytes, const char *what, cl_mem *buffer, gear_error *error);
/* Releases *buffer, if any, and sets it to NULL. */
void gear__buffer_release(cl_mem *buffer);

#endif
