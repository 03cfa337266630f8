/* launch.h: a verb's commands. A stream runs them one after the other on the caller's queue, also when that queue is
 * out-of-order, waits for the caller's events first and hands out the event of completion. It never waits, flushes or
 * allocates.
 *
 *     gear__stream stream;
 *     status = gear__stream_begin(&stream, device, sync, "gear_append", error);   nothing to undo when this fails
 *     if (!status) status = gear__stream_kernel(...);                              any number of commands
 *     status = gear__stream_end(&stream, status, error);                           always, exactly once
 */
#ifndef GEAR_DEVICE_LAUNCH_H
#define GEAR_DEVICE_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "device/device.h"

/* One kernel argument. */
typedef struct gear__arg {
    size_t size;
    const void *value; /* NULL: local memory of `size` bytes */
} gear__arg;

#define GEAR__ARG(lvalue)                                                                                                      \
  {                                                                                                                            \
    sizeof(lvalue), &(lvalue)                                                                                                  \
  }
#define GEAR__ARG_LOCAL(bytes)                                                                                                 \
  {                                                                                                                            \
    (bytes), NULL                                                                                                              \
  }

/* Sets arguments 0 .. count - 1. */
gear_status gear__set_args(cl_kernel kernel, const gear__arg *args, cl_uint count, gear_error *error);
/* Sets one argument. */
gear_status gear__set_arg(cl_kernel kernel, cl_uint index, size_t size, const void *value, gear_error *error);

typedef struct gear__stream {
    gear__device *device;
    cl_command_queue queue; /* borrowed */
    cl_uint num_wait;       /* for the first command */
    const cl_event *wait;
    cl_event *signal;
    const char *where;
    int out_of_order;
    unsigned commands; /* enqueued so far */
    cl_event last;     /* owned: of the newest command, where someone needs it */
} gear__stream;

/* Checks `sync`: the queue is of this context and device, the wait list has no NULL and no event of another context.
 * `where` (static) is the API function named in messages about arguments. */
gear_status gear__stream_begin(gear__stream *stream, gear__device *device, const gear_sync *sync, const char *where,
                               gear_error *error);

/* local NULL: the driver chooses. A launch with a zero in `global` is skipped. */
gear_status gear__stream_kernel(gear__stream *stream, cl_kernel kernel, cl_uint dims, const size_t *global, const size_t *local,
                                gear_error *error);

/* Zeroes the first `bytes` of mem. */
gear_status gear__stream_zero(gear__stream *stream, cl_mem mem, size_t bytes, gear_error *error);

/* Ends the stream and returns `status`, or its own failure when `status` is GEAR_OK. On success *signal, if wanted, is the
 * caller's; when nothing was enqueued it is that of a marker. On failure *signal is left alone; commands enqueued before it
 * still run, and on an out-of-order queue a barrier keeps later commands behind them. */
gear_status gear__stream_end(gear__stream *stream, gear_status status, gear_error *error);

#endif
