/* append_5_store.c: the three launches of cl/append_5_store.cl: count, bases, store. */
#include "stage/launch_args.h"

gear_status gear__append_5_store(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const size_t blocks[3] = {round->num_rows, variant->shape.kv_heads, 1};
    const size_t jobs[3] = {GEAR__WORK_GROUP * (size_t)round->num_jobs, 1, 1};
    const size_t store_items = gear__kernel_items(GEAR__KERNEL_STORE, &variant->append, variant->shape.head_dim);
    const size_t store_blocks[3] = {store_items * round->num_rows / GEAR__BLOCK, variant->shape.kv_heads, 1};

    const gear__arg count[] = {GEAR__ARG(variant->words), GEAR__ARG(m->pool),         GEAR__ARG(m->table),
                               GEAR__ARG(round->jobs),    GEAR__ARG(round->row_jobs), GEAR__ARG(round->num_rows),
                               GEAR__ARG(round->mask)};
    gear_status status =
        gear__run(stream, variant->kernel[GEAR__KERNEL_COUNT_OUTLIERS][is_v], count, GEAR__COUNT_OF(count), blocks, error);
    if (status) {
        return status;
    }
    const gear__arg bases[] = {GEAR__ARG(variant->words), GEAR__ARG(m->pool), GEAR__ARG(m->table), GEAR__ARG(round->jobs)};
    status = gear__run(stream, variant->kernel[GEAR__KERNEL_BASES][is_v], bases, GEAR__COUNT_OF(bases), jobs, error);
    if (status) {
        return status;
    }
    const gear__arg store[] = {GEAR__ARG(variant->words), GEAR__ARG(m->pool),         GEAR__ARG(m->table),
                               GEAR__ARG(round->jobs),    GEAR__ARG(round->row_jobs), GEAR__ARG(round->num_rows),
                               GEAR__ARG(round->x),       GEAR__ARG(round->mask)};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_STORE][is_v], store, GEAR__COUNT_OF(store), store_blocks,
                           store_items, error);
}
