/* reconstruct.c: launcher of cl/reconstruct.cl. */
#include "stage/launch_args.h"

gear_status gear__reconstruct(gear__stream *stream, const gear__layer_memory *layer, cl_mem seqs, uint32_t is_v, uint32_t first,
                              uint32_t count, uint32_t first_tile, uint32_t tiles, const gear__tensor *out, gear_error *error)
{
    const gear__variant *variant = layer->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words), GEAR__ARG(layer->pool),      GEAR__ARG(layer->table),
                              GEAR__ARG(seqs),           GEAR__ARG(layer->window),    GEAR__ARG(first),
                              GEAR__ARG(count),          GEAR__ARG(first_tile),       GEAR__ARG(out->mem),
                              GEAR__ARG(out->offset),    GEAR__ARG(out->stride_head), GEAR__ARG(out->stride_token),
                              GEAR__ARG(out->type)};
    const size_t global[3] = {64 * (size_t)tiles, variant->shape.kv_heads, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_RECONSTRUCT][is_v], args, GEAR__COUNT_OF(args), global, error);
}
