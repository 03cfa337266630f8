/* append_1_marks.c: launchers of cl/append_1_marks.cl: one of two kernels, by axis. */
#include <string.h>

#include "stage/launch_args.h"

#define MOST_OWN 2

/* own: the arguments of a kernel that the other has not, behind the jobs. groups: work-groups along each axis. */
static gear_status mark(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                        gear__kernel_id id, const gear__arg *own, size_t num_own, const size_t groups[3], gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg first[] = {GEAR__ARG(variant->words), GEAR__ARG(is_v), GEAR__ARG(m->table), GEAR__ARG(round->seqs),
                               GEAR__ARG(round->jobs)};
    const gear__arg last[] = {GEAR__ARG(m->window),         GEAR__ARG(input->mem),         GEAR__ARG(input->offset),
                              GEAR__ARG(input->stride_seq), GEAR__ARG(input->stride_head), GEAR__ARG(input->stride_token),
                              GEAR__ARG(input->type),       GEAR__ARG(round->num_rows),    GEAR__ARG(round->mask)};
    gear__arg args[GEAR__COUNT_OF(first) + MOST_OWN + GEAR__COUNT_OF(last)];
    memcpy(args, first, sizeof first);
    if (num_own) {
        memcpy(args + GEAR__COUNT_OF(first), own, num_own * sizeof *own);
    }
    memcpy(args + GEAR__COUNT_OF(first) + num_own, last, sizeof last);
    const size_t items = gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * groups[0], groups[1], groups[2]};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, GEAR__COUNT_OF(first) + num_own + GEAR__COUNT_OF(last),
                           global, items, error);
}

static gear_status mark_channels(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                 gear_error *error)
{
    const gear__shape *shape = &round->layer->variant->shape;
    const size_t groups[3] = {shape->head_dim / GEAR__SELECT_VECTORS, shape->kv_heads, round->num_jobs};
    return mark(stream, round, is_v, input, GEAR__KERNEL_OUTLIERS_CHANNELS, NULL, 0, groups, error);
}

static gear_status mark_tokens(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                               gear_error *error)
{
    const gear__shape *shape = &round->layer->variant->shape;
    const uint32_t length = shape->kv_heads * shape->head_dim;
    const cl_uint per_end = gear__outlier_per_end(shape->side[is_v].outlier_fraction, length, length);
    const gear__arg own[MOST_OWN] = {GEAR__ARG(round->row_jobs), GEAR__ARG(per_end)};
    const uint32_t rows = GEAR__SELECT_ROWS(round->layer->variant->append.has_tensor_cores, length, input->type);
    const size_t groups[3] = {round->num_rows / rows, 1, 1};
    return mark(stream, round, is_v, input, GEAR__KERNEL_OUTLIERS_TOKENS, own, MOST_OWN, groups, error);
}

gear_status gear__append_1_marks(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                 gear_error *error)
{
    return round->layer->variant->shape.side[is_v].outlier_axis == GEAR__AXIS_CHANNEL_SEGMENT
               ? mark_channels(stream, round, is_v, input, error)
               : mark_tokens(stream, round, is_v, input, error);
}
