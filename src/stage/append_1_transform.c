/* append_1_transform.c: launchers of cl/append_1_transform.cl: the channel order of new sequences, then the rows. */
#include "stage/launch_args.h"

static gear_status find_order(gear__stream *stream, const gear__round *round, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),    GEAR__ARG(m->pool),        GEAR__ARG(m->table),
                              GEAR__ARG(round->seqs),       GEAR__ARG(round->jobs),    GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->x),          GEAR__ARG(round->weights), GEAR__ARG(round->weights_offset),
                              GEAR__ARG(round->has_weights)};
    const size_t global[3] = {64 * (size_t)round->num_jobs, variant->shape.kv_heads, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_ORDER][0], args, GEAR__COUNT_OF(args), global, error);
}

gear_status gear__append_1_transform(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__side *side = &variant->shape.side[is_v];
    if (side->ordered && round->opens) {
        gear_status status = find_order(stream, round, error);
        if (status) {
            return status;
        }
    }
    if (!side->ordered && !side->rotate) {
        return GEAR_OK;
    }
    const gear__arg args[] = {
        GEAR__ARG(variant->words), GEAR__ARG(is_v),        GEAR__ARG(m->pool),         GEAR__ARG(m->table),
        GEAR__ARG(round->seqs),    GEAR__ARG(round->jobs), GEAR__ARG(round->row_jobs), GEAR__ARG(round->num_rows),
        GEAR__ARG(round->x),       GEAR__ARG(round->r)};
    const size_t global[3] = {round->num_rows, variant->shape.kv_heads, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_TRANSFORM][is_v], args, GEAR__COUNT_OF(args), global, error);
}
