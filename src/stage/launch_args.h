/* launch_args.h: sets the arguments of a kernel and enqueues it: the last two lines of every launcher. */
#ifndef GEAR_STAGE_LAUNCH_ARGS_H
#define GEAR_STAGE_LAUNCH_ARGS_H

#include "stage/stage.h"

/* Smallest multiple of 64 that is not below n. */
static inline size_t gear__round_up_64(uint32_t n)
{
    return ((size_t)n + 63) / 64 * 64;
}

#define GEAR__COUNT_OF(array) (sizeof(array) / sizeof *(array))

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

/* A stage that takes staged values, mask and residual to the records of their blocks: a work-group for each (block, KV
 * head). */
static inline gear_status gear__run_rows(gear__stream *stream, const gear__round *round, gear__kernel_id id, uint32_t is_v,
                                         gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(m->pool),         GEAR__ARG(m->table),
                              GEAR__ARG(round->jobs),    GEAR__ARG(round->row_jobs), GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->x),       GEAR__ARG(round->mask),     GEAR__ARG(round->r)};
    const size_t items = gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * round->num_rows / GEAR__BLOCK, variant->shape.kv_heads, 1};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(args), global, items, error);
}

#endif
