/* append_1_norms.c: launcher of cl/append_1_norms.cl. */
#include "stage/launch_args.h"

gear_status gear__append_1_norms(gear__stream *stream, const gear__round *round, const gear__tensor *v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),  GEAR__ARG(round->seqs),   GEAR__ARG(round->jobs),
                              GEAR__ARG(round->row_jobs), GEAR__ARG(m->window),     GEAR__ARG(v->mem),
                              GEAR__ARG(v->offset),       GEAR__ARG(v->stride_seq), GEAR__ARG(v->stride_head),
                              GEAR__ARG(v->stride_token), GEAR__ARG(v->type),       GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->x),        GEAR__ARG(round->mask),   GEAR__ARG(round->r)};
    const size_t global[3] = {round->num_rows, variant->shape.kv_heads, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_NORMS][0], args, GEAR__COUNT_OF(args), global, error);
}
