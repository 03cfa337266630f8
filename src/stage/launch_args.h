/* launch_args.h: sets the arguments of a kernel and enqueues it: the last two lines of every launcher. */
#ifndef GEAR_STAGE_LAUNCH_ARGS_H
#define GEAR_STAGE_LAUNCH_ARGS_H

#include "stage/stage.h"

/* Smallest multiple of 64 that is not below n. */
static inline size_t gear__round_up_64(uint32_t n)
{
    return ((size_t)n + 63) / 64 * 64;
}

/* In work-groups of `items` along the first axis. */
static inline gear_status gear__run_sized(gear__stream *stream, cl_kernel kernel, const gear__arg *args, size_t count,
                                          const size_t global[3], size_t items, gear_error *error)
{
    const size_t local[3] = {items, 1, 1};
    gear_status status = gear__set_args(kernel, args, (cl_uint)count, error);
    return status ? status : gear__stream_kernel(stream, kernel, 3, global, local, error);
}

static inline gear_status gear__run(gear__stream *stream, cl_kernel kernel, const gear__arg *args, size_t count,
                                    const size_t global[3], gear_error *error)
{
    return gear__run_sized(stream, kernel, args, count, global, GEAR__WORK_GROUP, error);
}

#define GEAR__COUNT_OF(array) (sizeof(array) / sizeof *(array))

#endif
