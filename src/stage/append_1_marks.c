/* append_1_marks.c: launchers of cl/append_1_marks.cl: one of two kernels, by axis. */
#include "stage/launch_args.h"

static gear_status mark_channels(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                 gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),
                              GEAR__ARG(is_v),
                              GEAR__ARG(m->table),
                              GEAR__ARG(round->seqs),
                              GEAR__ARG(round->jobs),
                              GEAR__ARG(m->window),
                              GEAR__ARG(input->mem),
                              GEAR__ARG(input->offset),
                              GEAR__ARG(input->stride_seq),
                              GEAR__ARG(input->stride_head),
                              GEAR__ARG(input->stride_token),
                              GEAR__ARG(input->type),
                              GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->mask)};
    const size_t items = gear__kernel_items(GEAR__KERNEL_OUTLIERS_CHANNELS, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * variant->shape.head_dim / GEAR__SELECT_VECTORS, variant->shape.kv_heads, round->num_jobs};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_OUTLIERS_CHANNELS][is_v], args, GEAR__COUNT_OF(args), global,
                           items, error);
}

static gear_status mark_tokens(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                               gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const uint32_t length = variant->shape.kv_heads * variant->shape.head_dim;
    const cl_uint per_end = gear__outlier_per_end(variant->shape.side[is_v].outlier_fraction, length, length);
    const gear__arg args[] = {GEAR__ARG(variant->words),
                              GEAR__ARG(is_v),
                              GEAR__ARG(m->table),
                              GEAR__ARG(round->seqs),
                              GEAR__ARG(round->jobs),
                              GEAR__ARG(round->row_jobs),
                              GEAR__ARG(per_end),
                              GEAR__ARG(m->window),
                              GEAR__ARG(input->mem),
                              GEAR__ARG(input->offset),
                              GEAR__ARG(input->stride_seq),
                              GEAR__ARG(input->stride_head),
                              GEAR__ARG(input->stride_token),
                              GEAR__ARG(input->type),
                              GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->mask)};
    const size_t items = gear__kernel_items(GEAR__KERNEL_OUTLIERS_TOKENS, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * round->num_rows / GEAR__SELECT_VECTORS, 1, 1};
    return gear__run_sized(stream, variant->kernel[GEAR__KERNEL_OUTLIERS_TOKENS][is_v], args, GEAR__COUNT_OF(args), global,
                           items, error);
}

gear_status gear__append_1_marks(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                 gear_error *error)
{
    return round->layer->variant->shape.side[is_v].outlier_axis == GEAR__AXIS_CHANNEL_SEGMENT
               ? mark_channels(stream, round, is_v, input, error)
               : mark_tokens(stream, round, is_v, input, error);
}
