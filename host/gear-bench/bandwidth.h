/* bandwidth.h: what this device reads and copies, by small kernels of our own with vectors of 16 bytes: the yardstick of every
 * percentage. The best of several ways to divide the work, each run a few times. */
#ifndef GEAR_BENCH_BANDWIDTH_H
#define GEAR_BENCH_BANDWIDTH_H

#include <stdint.h>

#include "../common/pick_device.h"

typedef struct bandwidth {
    uint64_t bytes;    /* of the buffer; the copy has two of half the size */
    double read, copy; /* GB/s; a copy counts bytes read plus bytes written */
} bandwidth;

/* At most `most` bytes, less where the device has less. `queue` has profiling. */
bool measure_bandwidth(const device *dev, cl_command_queue queue, uint64_t most, bandwidth *out, host_error *error);

#endif
