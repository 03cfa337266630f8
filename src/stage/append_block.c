/* append_block.c: launcher of cl/append_block.cl. */
#include "stage/launch_args.h"

gear_status gear__append_block(gear__stream *stream, const gear__round *round, uint32_t first_side, uint32_t sides,
                               uint32_t orders, const gear__tensor *k, const gear__tensor *v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),
                              GEAR__ARG(m->pool),
                              GEAR__ARG(m->table),
                              GEAR__ARG(round->seqs),
                              GEAR__ARG(round->jobs),
                              GEAR__ARG(round->places),
                              GEAR__ARG(m->window),
                              GEAR__ARG(k->mem),
                              GEAR__ARG(k->offset),
                              GEAR__ARG(k->stride_seq),
                              GEAR__ARG(k->stride_head),
                              GEAR__ARG(k->stride_token),
                              GEAR__ARG(k->type),
                              GEAR__ARG(v->mem),
                              GEAR__ARG(v->offset),
                              GEAR__ARG(v->stride_seq),
                              GEAR__ARG(v->stride_head),
                              GEAR__ARG(v->stride_token),
                              GEAR__ARG(v->type),
                              GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->r),
                              GEAR__ARG(round->health),
                              GEAR__ARG(round->mask),
                              GEAR__ARG(first_side),
                              GEAR__ARG(orders),
                              GEAR__ARG(round->sums),
                              GEAR__ARG(round->weights),
                              GEAR__ARG(round->weights_offset),
                              GEAR__ARG(round->has_weights)};
    const size_t items = variant->append.work_items;
    const size_t global[3] = {(round->num_rows / 64 + orders) * items, variant->shape.kv_heads, sides};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_BLOCK][0], args, GEAR__COUNT_OF(args), global, items, error);
}
