/* append_4_lowrank.c: launchers of cl/append_4_lowrank.cl and of its form for CPU devices: one launch where every job is a
 * single part of a fit, else one for each step (cl/common/lowrank.clh). */
#include "stage/launch_args.h"

#define LAST_STEPS 3u /* after those of the passes: improve, improve, store */

/* `which`: what the kernel takes behind the arguments that all have, `count` numbers of the steps. */
static gear_status run(gear__stream *stream, const gear__round *round, uint32_t is_v, gear__kernel_id id,
                       const cl_uint which[2], size_t count, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(is_v),        GEAR__ARG(m->pool),
                              GEAR__ARG(m->table),       GEAR__ARG(round->jobs), GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->r),       GEAR__ARG(round->a),    {sizeof *which, which},
                              {sizeof *which, which + 1}};
    const size_t items = gear__kernel_items(id, &variant->append), part_blocks = GEAR__FIT_ROWS / GEAR__BLOCK;
    const size_t parts = (round->longest + part_blocks - 1) / part_blocks;
    const size_t global[3] = {items * parts, variant->shape.kv_heads, round->num_jobs};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(args) - 2 + count, global, items, error);
}

/* Step `step` by the kernel that does it, one of several on most devices. */
static gear_status run_step(gear__stream *stream, const gear__round *round, uint32_t is_v, uint32_t step, gear_error *error)
{
    const uint32_t passes = round->layer->variant->shape.side[is_v].iterations;
    if (gear__append_is_cpu_form(&round->layer->variant->append)) {
        return run(stream, round, is_v, GEAR__KERNEL_LOWRANK, (cl_uint[2]){step, step + 1}, 2, error);
    }
    if (step < passes) {
        return run(stream, round, is_v, GEAR__KERNEL_LOWRANK_PASS, (cl_uint[2]){step, 0}, 1, error);
    }
    if (step < passes + 2) {
        return run(stream, round, is_v, GEAR__KERNEL_LOWRANK_IMPROVE, (cl_uint[2]){step - passes, 0}, 1, error);
    }
    return run(stream, round, is_v, GEAR__KERNEL_LOWRANK_STORE, (cl_uint[2]){0, 0}, 0, error);
}

gear_status gear__append_4_lowrank(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__variant *variant = round->layer->variant;
    const cl_uint all[2] = {0, variant->shape.side[is_v].iterations + LAST_STEPS};
    gear_status status = GEAR_OK;
    if (round->longest <= GEAR__FIT_ROWS / GEAR__BLOCK) {
        return run(stream, round, is_v, GEAR__KERNEL_LOWRANK, all, gear__append_is_cpu_form(&variant->append) ? 2 : 0, error);
    }
    for (uint32_t step = 0; !status && step < all[1]; step++) {
        status = run_step(stream, round, is_v, step, error);
    }
    return status;
}
