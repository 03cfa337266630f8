/* append_4_lowrank.c: launchers of cl/append_4_lowrank.cl and of its form for CPU devices: one launch where every job is a single
 * part of a fit, else one for each step (cl/common/lowrank.clh). */
#include "stage/launch_args.h"

/* `step`: the last argument of the kernels that do one of several steps; NULL for the others. */
static gear_status run(gear__stream *stream, const gear__round *round, uint32_t is_v, gear__kernel_id id, uint32_t parts,
                       const cl_uint *step, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(is_v),        GEAR__ARG(m->pool),
                              GEAR__ARG(m->table),       GEAR__ARG(round->jobs), GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->r),       GEAR__ARG(round->a),    {sizeof *step, step}};
    const size_t items = gear__kernel_items(id, variant->is_cpu);
    const size_t global[3] = {items * parts, variant->shape.kv_heads, round->num_jobs};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(args) - !step, global, items, error);
}

gear_status gear__append_4_lowrank(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const uint32_t part_blocks = GEAR__FIT_ROWS / GEAR__BLOCK, parts = (round->longest + part_blocks - 1) / part_blocks;
    const uint32_t passes = round->layer->variant->shape.side[is_v].iterations;
    gear_status status = GEAR_OK;
    if (parts <= 1) {
        return run(stream, round, is_v, GEAR__KERNEL_LOWRANK, parts, NULL, error);
    }
    for (cl_uint step = 0; !status && step < passes; step++) {
        status = run(stream, round, is_v, GEAR__KERNEL_LOWRANK_PASS, parts, &step, error);
    }
    for (cl_uint improvement = 0; !status && improvement < 2; improvement++) {
        status = run(stream, round, is_v, GEAR__KERNEL_LOWRANK_IMPROVE, parts, &improvement, error);
    }
    return status ? status : run(stream, round, is_v, GEAR__KERNEL_LOWRANK_STORE, parts, NULL, error);
}
