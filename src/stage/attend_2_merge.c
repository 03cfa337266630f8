/* attend_2_merge.c: launcher of cl/attend_2_merge.cl. */
#include "stage/launch_args.h"

gear_status gear__attend_2_merge(gear__stream *stream, const gear__attend_call *call, gear_error *error)
{
    const gear__variant *variant = call->layer->variant;
    const gear__tensor *out = &call->out;
    cl_uint query_heads = variant->shape.query_heads;
    const gear__arg args[] = {GEAR__ARG(call->seqs),        GEAR__ARG(query_heads),     GEAR__ARG(call->splits),
                              GEAR__ARG(call->partial),     GEAR__ARG(call->softmax),   GEAR__ARG(out->mem),
                              GEAR__ARG(out->offset),       GEAR__ARG(out->stride_seq), GEAR__ARG(out->stride_head),
                              GEAR__ARG(out->stride_token), GEAR__ARG(out->type),       GEAR__ARG(call->lse),
                              GEAR__ARG(call->lse_offset),  GEAR__ARG(call->has_lse)};
    const size_t global[3] = {64 * (size_t)call->max_queries * query_heads, call->num_seqs, 1};
    return gear__run(stream, variant->kernel[GEAR__KERNEL_MERGE][0], args, GEAR__COUNT_OF(args), global, error);
}
