/* append_4_lowrank.c: launcher of cl/append_4_lowrank.cl. */
#include "stage/launch_args.h"

gear_status gear__append_4_lowrank(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(is_v),            GEAR__ARG(m->pool),   GEAR__ARG(m->table),
                              GEAR__ARG(round->jobs),    GEAR__ARG(round->num_rows), GEAR__ARG(round->r), GEAR__ARG(round->a)};
    const size_t global[3] = {64 * (size_t)round->num_jobs, variant->shape.kv_heads, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_LOWRANK][is_v], args, GEAR__COUNT_OF(args), global, error);
}
