/* append_1_transform.c: launcher of cl/append_1_transform.cl. */
#include "stage/launch_args.h"

gear_status gear__append_1_transform(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {
        GEAR__ARG(variant->words), GEAR__ARG(is_v),        GEAR__ARG(m->pool),         GEAR__ARG(m->table),
        GEAR__ARG(round->seqs),    GEAR__ARG(round->jobs), GEAR__ARG(round->row_jobs), GEAR__ARG(round->num_rows),
        GEAR__ARG(round->x),       GEAR__ARG(round->r)};
    const size_t global[3] = {round->num_rows, variant->shape.kv_heads, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_TRANSFORM][is_v], args, GEAR__COUNT_OF(args), global, error);
}
