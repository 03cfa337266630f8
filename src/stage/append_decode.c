/* append_decode.c: launcher of cl/append_decode.cl. */
#include "stage/argument_words.h"
#include "stage/launch_args.h"

uint32_t gear__decode_rows(const gear__shape *shape)
{
    const uint32_t of_k = shape->side[0].rank[GEAR__DECODE] ? GEAR__BLOCK : 0;
    return of_k + (shape->side[1].rank[GEAR__DECODE] ? GEAR__BLOCK : 0);
}

gear_status gear__append_decode(gear__stream *stream, const gear__decode_call *call, const gear__tensor *k,
                                const gear__tensor *v, gear_error *error)
{
    const gear__layer_memory *m = call->layer;
    const gear__variant *variant = m->variant;
    cl_kernel kernel = variant->kernel[GEAR__KERNEL_DECODE][0];
    const cl_uint num_rows = call->num_seqs * gear__decode_rows(&variant->shape);
    const gear__arg args[] = {
        GEAR__ARG(variant->words),  GEAR__ARG(m->pool),        GEAR__ARG(m->table),        GEAR__ARG(m->window),
        GEAR__ARG(k->mem),          GEAR__ARG(k->offset),      GEAR__ARG(k->stride_seq),   GEAR__ARG(k->stride_head),
        GEAR__ARG(k->stride_token), GEAR__ARG(k->type),        GEAR__ARG(v->mem),          GEAR__ARG(v->offset),
        GEAR__ARG(v->stride_seq),   GEAR__ARG(v->stride_head), GEAR__ARG(v->stride_token), GEAR__ARG(v->type),
        GEAR__ARG(num_rows),        GEAR__ARG(call->r),        GEAR__ARG(call->health),    GEAR__ARG(call->first_entry)};
    _Static_assert(GEAR__COUNT_OF(args) <= GEAR__MOST_FIRST_ARGS, "room for the arguments before the words");
    const size_t items = gear__kernel_items(GEAR__KERNEL_DECODE, &variant->append, variant->shape.head_dim);
    const size_t local[3] = {items, 1, 1};
    const size_t global[3] = {2 * items, variant->shape.kv_heads, call->num_seqs};
    gear_status status = gear__set_args_with_words(kernel, args, GEAR__COUNT_OF(args), call->words,
                                                   call->num_seqs * GEAR__DECODE_WORDS, GEAR__UPLOAD_WORDS, error);
    return status ? status : gear__stream_kernel(stream, kernel, 3, global, local, error);
}
