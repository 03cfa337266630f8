/* append_2_range.c: launchers of cl/append_2_range.cl: groups along tokens or along channels. */
#include "stage/launch_args.h"

/* whole: whole_segment, all_heads or is_part, as the kernel has it. */
static gear_status run_range(gear__stream *stream, const gear__round *round, gear__kernel_id id, uint32_t is_v, cl_uint whole,
                             const size_t global[3], gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),  GEAR__ARG(is_v),        GEAR__ARG(m->pool),
                              GEAR__ARG(m->table),        GEAR__ARG(round->jobs), GEAR__ARG(round->row_jobs),
                              GEAR__ARG(round->num_rows), GEAR__ARG(whole),       GEAR__ARG(round->x),
                              GEAR__ARG(round->mask),     GEAR__ARG(round->r)};
    const size_t items = gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    const int has_parts = id == GEAR__KERNEL_RANGE_CHANNELS && items > 1;
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(args) - !has_parts, global, items, error);
}

/* The pairs of segments from the ranges of their blocks, which are in r. */
static gear_status run_join(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__kernel_id id = GEAR__KERNEL_RANGE_JOIN;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(is_v),        GEAR__ARG(m->pool),
                              GEAR__ARG(m->table),       GEAR__ARG(round->jobs), GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->r)};
    const size_t items = gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * variant->shape.head_dim / 8, variant->shape.kv_heads, round->num_jobs};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(args), global, items, error);
}

static gear_status range_channels(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__kernel_id id = GEAR__KERNEL_RANGE_CHANNELS;
    const gear__variant *variant = round->layer->variant;
    const gear__shape *shape = &variant->shape;
    const size_t items = gear__kernel_items(id, &variant->append, shape->head_dim), blocks = round->num_rows / GEAR__BLOCK;
    const cl_uint whole = shape->side[is_v].axis == GEAR__AXIS_CHANNEL_SEGMENT;
    if (items == 1) { /* work-items for channels only where they have long to go */
        const size_t global[3] = {whole ? shape->head_dim / 16 : 1, shape->kv_heads, whole ? round->num_jobs : blocks};
        return run_range(stream, round, id, is_v, whole, global, error);
    }
    const cl_uint is_part = whole && round->longest > 1;
    const size_t global[3] = {items * blocks, shape->kv_heads, 1};
    gear_status status = run_range(stream, round, id, is_v, is_part, global, error);
    return status || !is_part ? status : run_join(stream, round, is_v, error);
}

static gear_status range_tokens(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__kernel_id id = GEAR__KERNEL_RANGE_TOKENS;
    const gear__variant *variant = round->layer->variant;
    const cl_uint all_heads = variant->shape.side[is_v].axis == GEAR__AXIS_TOKEN_ALL;
    const size_t items = gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    const size_t groups = round->num_rows / (items > 1 ? GEAR__RANGE_TOKENS : GEAR__BLOCK);
    const size_t global[3] = {items * groups, all_heads ? 1 : variant->shape.kv_heads, 1};
    return run_range(stream, round, id, is_v, all_heads, global, error);
}

gear_status gear__append_2_range(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    switch (round->layer->variant->shape.side[is_v].axis) {
    case GEAR__AXIS_NONE: return GEAR_OK;
    case GEAR__AXIS_CHANNEL_GROUP:
    case GEAR__AXIS_CHANNEL_SEGMENT: return range_channels(stream, round, is_v, error);
    default: return range_tokens(stream, round, is_v, error);
    }
}
