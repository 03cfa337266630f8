/* append_0_gather.c: launcher of cl/append_0_gather.cl. */
#include "stage/launch_args.h"

gear_status gear__append_0_gather(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                  gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {
        GEAR__ARG(variant->words),      GEAR__ARG(is_v),          GEAR__ARG(m->pool),           GEAR__ARG(m->table),
        GEAR__ARG(round->seqs),         GEAR__ARG(round->jobs),   GEAR__ARG(round->row_jobs),   GEAR__ARG(m->window),
        GEAR__ARG(input->mem),          GEAR__ARG(input->offset), GEAR__ARG(input->stride_seq), GEAR__ARG(input->stride_head),
        GEAR__ARG(input->stride_token), GEAR__ARG(input->type),   GEAR__ARG(round->num_rows),   GEAR__ARG(round->x),
        GEAR__ARG(round->mask),         GEAR__ARG(round->health)};
    const size_t items = variant->append.work_items;
    const size_t global[3] = {round->num_rows / GEAR__BLOCK * items, variant->shape.kv_heads, 1};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_GATHER][0], args, GEAR__COUNT_OF(args), global, items, error);
}
