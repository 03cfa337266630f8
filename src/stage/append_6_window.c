/* append_6_window.c: launcher of cl/append_6_window.cl. */
#include "stage/launch_args.h"

gear_status gear__append_6_window(gear__stream *stream, const gear__layer_memory *layer, cl_mem seqs, uint32_t num_seqs,
                                  uint32_t max_tokens, uint32_t advance, const gear__tensor *k, const gear__tensor *v,
                                  cl_mem health, gear_error *error)
{
    const gear__variant *variant = layer->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),  GEAR__ARG(seqs),          GEAR__ARG(num_seqs),
                              GEAR__ARG(advance),         GEAR__ARG(layer->window), GEAR__ARG(k->mem),
                              GEAR__ARG(k->offset),       GEAR__ARG(k->stride_seq), GEAR__ARG(k->stride_head),
                              GEAR__ARG(k->stride_token), GEAR__ARG(k->type),       GEAR__ARG(v->mem),
                              GEAR__ARG(v->offset),       GEAR__ARG(v->stride_seq), GEAR__ARG(v->stride_head),
                              GEAR__ARG(v->stride_token), GEAR__ARG(v->type),       GEAR__ARG(health)};
    const size_t global[3] = {gear__round_up_64(max_tokens * (variant->shape.head_dim / 8)),
                              (size_t)num_seqs * 2 * variant->shape.kv_heads, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_WINDOW][0], args, GEAR__COUNT_OF(args), global, error);
}
