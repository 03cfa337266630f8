/* append_1_transform.c: launchers of cl/append_1_transform.cl: the channel order of K, the rotation of V. */
#include "stage/launch_args.h"

gear_status gear__append_1_transform(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__kernel_id id = is_v ? GEAR__KERNEL_ROTATE : GEAR__KERNEL_REORDER;
    const gear__arg args[] = {GEAR__ARG(variant->words),  GEAR__ARG(m->pool),     GEAR__ARG(m->table),
                              GEAR__ARG(round->seqs),     GEAR__ARG(round->jobs), GEAR__ARG(round->row_jobs),
                              GEAR__ARG(round->num_rows), GEAR__ARG(round->x)};
    const size_t count = GEAR__COUNT_OF(args), first = is_v ? 6 : 0; /* the rotation needs to know of no sequence */
    const size_t items = gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * round->num_rows / GEAR__BLOCK, variant->shape.kv_heads, 1};
    return gear__run_sized(stream, variant->kernel[id][is_v], args + first, count - first, global, items, error);
}
