/* append_1_order.c: the two launches of cl/append_1_order.cl: moments of the blocks, then the channel order. */
#include "stage/launch_args.h"

gear_status gear__append_1_moments(gear__stream *stream, const gear__round *round, const gear__tensor *k, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),  GEAR__ARG(round->places),   GEAR__ARG(m->window),
                              GEAR__ARG(k->mem),          GEAR__ARG(k->offset),       GEAR__ARG(k->stride_seq),
                              GEAR__ARG(k->stride_head),  GEAR__ARG(k->stride_token), GEAR__ARG(k->type),
                              GEAR__ARG(round->num_rows), GEAR__ARG(round->sums)};
    const size_t items = variant->append.work_items;
    const size_t global[3] = {round->opens * items, variant->shape.kv_heads, 1};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_MOMENTS][0], args, GEAR__COUNT_OF(args), global, items, error);
}

gear_status gear__append_1_order(gear__stream *stream, const gear__round *round, const gear__tensor *k, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),    GEAR__ARG(m->pool),        GEAR__ARG(m->table),
                              GEAR__ARG(round->seqs),       GEAR__ARG(round->jobs),    GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->sums),       GEAR__ARG(round->weights), GEAR__ARG(round->weights_offset),
                              GEAR__ARG(round->has_weights)};
    const size_t items = variant->append.work_items;
    const size_t global[3] = {items * round->num_jobs, variant->shape.kv_heads, 1};
    gear_status status = gear__append_1_moments(stream, round, k, error);
    return status ? status
                  : gear__run_sized(stream, variant->kernel[GEAR__KERNEL_ORDER][0], args, GEAR__COUNT_OF(args), global, items,
                                    error);
}
