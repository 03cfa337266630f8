/* append_5_store.c: the launches of cl/append_5_store.cl: count, bases, store; or the last two of what append_block counted. */
#include "stage/launch_args.h"

static gear_status run_bases(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(m->pool), GEAR__ARG(m->table), GEAR__ARG(round->jobs)};
    const size_t items = gear__kernel_items(GEAR__KERNEL_BASES, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * round->num_jobs, 1, 1};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_BASES][is_v], args, GEAR__COUNT_OF(args), global, items, error);
}

gear_status gear__append_5_store(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const uint32_t heads = variant->shape.kv_heads, head_dim = variant->shape.head_dim;
    const size_t items = gear__kernel_items(GEAR__KERNEL_COUNT_OUTLIERS, &variant->append, head_dim);
    const size_t blocks[3] = {items * round->num_rows / GEAR__BLOCK, heads, 1};
    const size_t store_items = gear__kernel_items(GEAR__KERNEL_STORE, &variant->append, head_dim);
    const size_t store_blocks[3] = {store_items * round->num_rows / GEAR__BLOCK, heads, 1};

    const gear__arg count[] = {GEAR__ARG(variant->words), GEAR__ARG(m->pool),         GEAR__ARG(m->table),
                               GEAR__ARG(round->jobs),    GEAR__ARG(round->row_jobs), GEAR__ARG(round->num_rows),
                               GEAR__ARG(round->mask)};
    gear_status status = gear__run_sized(stream, variant->kernel[GEAR__KERNEL_COUNT_OUTLIERS][is_v], count,
                                         GEAR__COUNT_OF(count), blocks, items, error);
    status = status ? status : run_bases(stream, round, is_v, error);
    if (status) {
        return status;
    }
    const gear__arg store[] = {GEAR__ARG(variant->words), GEAR__ARG(m->pool),         GEAR__ARG(m->table),
                               GEAR__ARG(round->jobs),    GEAR__ARG(round->row_jobs), GEAR__ARG(round->num_rows),
                               GEAR__ARG(round->x),       GEAR__ARG(round->mask)};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_STORE][is_v], store, GEAR__COUNT_OF(store), store_blocks,
                           store_items, error);
}

gear_status gear__append_5_store_marked(gear__stream *stream, const gear__round *round, uint32_t is_v,
                                        const gear__tensor *input, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {
        GEAR__ARG(variant->words), GEAR__ARG(m->pool),           GEAR__ARG(m->table),           GEAR__ARG(round->seqs),
        GEAR__ARG(round->jobs),    GEAR__ARG(round->row_jobs),   GEAR__ARG(m->window),          GEAR__ARG(input->mem),
        GEAR__ARG(input->offset),  GEAR__ARG(input->stride_seq), GEAR__ARG(input->stride_head), GEAR__ARG(input->stride_token),
        GEAR__ARG(input->type),    GEAR__ARG(round->num_rows),   GEAR__ARG(round->mask)};
    const size_t items = gear__kernel_items(GEAR__KERNEL_STORE, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * round->num_rows / GEAR__BLOCK, variant->shape.kv_heads, 1};
    gear_status status = run_bases(stream, round, is_v, error);
    return status ? status
                  : gear__run_sized(stream, variant->kernel[GEAR__KERNEL_STORE][is_v], args, GEAR__COUNT_OF(args), global,
                                    items, error);
}
