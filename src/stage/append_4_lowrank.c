/* append_4_lowrank.c: launchers of cl/append_4_lowrank.cl and of its form for CPU devices. On GPUs short fits take one launch
 * and long ones four; each kernel passes over the jobs that are not its. */
#include "stage/launch_args.h"

/* `groups`: work-groups for each (KV head, job); `steps`: what the form for CPU devices takes besides, NULL for the others. */
static gear_status run(gear__stream *stream, const gear__round *round, uint32_t is_v, gear__kernel_id id, size_t groups,
                       const cl_uint steps[2], gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(is_v),
                              GEAR__ARG(m->pool),        GEAR__ARG(m->table),
                              GEAR__ARG(round->jobs),    GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->r),       GEAR__ARG(round->a),
                              {sizeof *steps, steps},    {sizeof *steps, steps ? steps + 1 : NULL}};
    const size_t items = gear__kernel_items(id, &variant->append);
    const size_t global[3] = {items * groups, variant->shape.kv_heads, round->num_jobs};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(args) - (steps ? 0 : 2), global, items,
                           error);
}

/* One launch where every job is a single part of a fit, else one for each step. */
static gear_status run_cpu_form(gear__stream *stream, const gear__round *round, uint32_t is_v, size_t parts, gear_error *error)
{
    const cl_uint end = round->layer->variant->shape.side[is_v].iterations + GEAR__FIT_STEPS, stride = parts > 1 ? 1 : end;
    gear_status status = GEAR_OK;
    for (cl_uint step = 0; !status && step < end; step += stride) {
        status = run(stream, round, is_v, GEAR__KERNEL_LOWRANK, parts, (cl_uint[2]){step, step + stride}, error);
    }
    return status;
}

gear_status gear__append_4_lowrank(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__variant *variant = round->layer->variant;
    const size_t rows = (size_t)round->longest * GEAR__BLOCK, parts = (rows + GEAR__FIT_ROWS - 1) / GEAR__FIT_ROWS;
    const struct {
        gear__kernel_id id;
        size_t groups;
    } steps[] = {{GEAR__KERNEL_LOWRANK_GRAM, (rows + GEAR__GRAM_ROWS - 1) / GEAR__GRAM_ROWS *
                                                 GEAR__GRAM_GROUPS(variant->shape.head_dim, variant->append.most_items)},
                 {GEAR__KERNEL_LOWRANK_ITERATE, 1},
                 {GEAR__KERNEL_LOWRANK_PROJECT, parts},
                 {GEAR__KERNEL_LOWRANK_STORE, 1}};
    gear_status status = GEAR_OK;
    if (gear__append_is_cpu_form(&variant->append)) {
        return run_cpu_form(stream, round, is_v, parts, error);
    }
    if (round->shortest <= GEAR__FIT_DIRECT_BLOCKS) {
        status = run(stream, round, is_v, GEAR__KERNEL_LOWRANK, 1, NULL, error);
    }
    for (size_t i = 0; !status && i < GEAR__COUNT_OF(steps) && round->longest > GEAR__FIT_DIRECT_BLOCKS; i++) {
        status = run(stream, round, is_v, steps[i].id, steps[i].groups, NULL, error);
    }
    return status;
}
