/* append_1_outliers.c: launchers of cl/append_1_outliers.cl: one of three kernels, by rule and axis. */
#include "stage/launch_args.h"

static gear_status mark_channels(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__variant *variant = round->layer->variant;
    cl_uint heads = variant->shape.kv_heads;
    const gear__arg args[] = {GEAR__ARG(round->jobs), GEAR__ARG(is_v), GEAR__ARG(round->num_rows), GEAR__ARG(round->x),
                              GEAR__ARG(round->mask)};
    const size_t items = gear__kernel_items(GEAR__KERNEL_OUTLIERS_CHANNELS, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * variant->shape.head_dim / GEAR__SELECT_VECTORS, heads, round->num_jobs};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_OUTLIERS_CHANNELS][is_v], args, GEAR__COUNT_OF(args), global,
                           items, error);
}

static gear_status mark_tokens(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__variant *variant = round->layer->variant;
    const gear__side *side = &variant->shape.side[is_v];
    cl_uint heads = variant->shape.kv_heads, length = heads * variant->shape.head_dim;
    cl_uint per_end = gear__outlier_per_end(side->outlier_fraction, length, length);
    const gear__arg args[] = {GEAR__ARG(per_end), GEAR__ARG(round->num_rows), GEAR__ARG(heads), GEAR__ARG(round->x),
                              GEAR__ARG(round->mask)};
    const size_t items = gear__kernel_items(GEAR__KERNEL_OUTLIERS_TOKENS, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * round->num_rows / GEAR__SELECT_VECTORS, 1, 1};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_OUTLIERS_TOKENS][is_v], args, GEAR__COUNT_OF(args), global,
                           items, error);
}

static gear_status mark_blocks(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    uint32_t head_dim = variant->shape.head_dim;
    cl_uint budget = gear__outlier_per_block(variant->shape.side[is_v].outlier_fraction, head_dim, 64 * head_dim);
    const gear__arg args[] = {
        GEAR__ARG(variant->words),  GEAR__ARG(is_v),   GEAR__ARG(m->pool),         GEAR__ARG(m->table), GEAR__ARG(round->jobs),
        GEAR__ARG(round->row_jobs), GEAR__ARG(budget), GEAR__ARG(round->num_rows), GEAR__ARG(round->x), GEAR__ARG(round->mask)};
    const size_t items = gear__kernel_items(GEAR__KERNEL_OUTLIERS_BLOCK, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * round->num_rows / GEAR__BLOCK, variant->shape.kv_heads, 1};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_OUTLIERS_BLOCK][is_v], args, GEAR__COUNT_OF(args), global,
                           items, error);
}

gear_status gear__append_1_outliers(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__side *side = &round->layer->variant->shape.side[is_v];
    if (side->outlier_rule == GEAR_OUTLIER_BLOCK) {
        return mark_blocks(stream, round, is_v, error);
    }
    return side->outlier_axis == GEAR__AXIS_CHANNEL_SEGMENT ? mark_channels(stream, round, is_v, error)
                                                            : mark_tokens(stream, round, is_v, error);
}
