/* append_2_range.c: launchers of cl/append_2_range.cl: groups along tokens or along channels. */
#include "stage/launch_args.h"

gear_status gear__append_2_range(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__shape *shape = &variant->shape;
    uint32_t axis = shape->side[is_v].axis, heads = shape->kv_heads;
    int channels = axis == GEAR__AXIS_CHANNEL_GROUP || axis == GEAR__AXIS_CHANNEL_SEGMENT;
    cl_uint whole = axis == GEAR__AXIS_CHANNEL_SEGMENT || axis == GEAR__AXIS_TOKEN_ALL;
    if (axis == GEAR__AXIS_NONE) {
        return GEAR_OK;
    }
    const gear__arg args[] = {GEAR__ARG(variant->words),  GEAR__ARG(is_v),        GEAR__ARG(m->pool),
                              GEAR__ARG(m->table),        GEAR__ARG(round->jobs), GEAR__ARG(round->row_jobs),
                              GEAR__ARG(round->num_rows), GEAR__ARG(whole),       GEAR__ARG(round->x),
                              GEAR__ARG(round->mask)};
    const gear__kernel_id id = channels ? GEAR__KERNEL_RANGE_CHANNELS : GEAR__KERNEL_RANGE_TOKENS;
    const size_t items = gear__kernel_items(id, &variant->append, shape->head_dim), blocks = round->num_rows / GEAR__BLOCK;
    /* on a CPU device work-items for channels only where they have long to go */
    const size_t parts = items > 1 ? gear__round_up_64(shape->head_dim) : whole ? shape->head_dim / 16 : 1;
    const size_t by_channel[3] = {parts, heads, whole ? round->num_jobs : blocks};
    const size_t by_token[3] = {items > 1 ? round->num_rows : blocks, whole ? 1 : heads, 1};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(args), channels ? by_channel : by_token,
                           items, error);
}
