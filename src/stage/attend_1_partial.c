/* attend_1_partial.c: launcher of cl/attend_1_partial.cl and of its variants for one kind of device, which take
 * the same arguments, and where it merges as well those of the output. */
#include <string.h>

#include "stage/launch_args.h"

gear_status gear__attend_1_partial(gear__stream *stream, const gear__attend_call *call, gear_error *error)
{
    const gear__layer_memory *m = call->layer;
    const gear__variant *variant = m->variant;
    const gear__shape *shape = &variant->shape;
    cl_uint query_heads = shape->query_heads, group = query_heads / shape->kv_heads, rows = call->max_queries * group;
    cl_uint row_tiles = (rows + call->rows - 1) / call->rows;
    const gear__tensor *q = &call->q, *k = &call->tail_k, *v = &call->tail_v;
    const gear__tensor *out = &call->out;
    cl_uint8 words = {{0}};
    cl_uint pieces_at = call->num_pieces ? call->num_seqs * GEAR__SEQ_WORDS : 0;
    cl_uint piece_rows = call->max_queries * query_heads;
    memcpy(words.s, call->words, sizeof words.s);
    const gear__arg args[] = {
        GEAR__ARG(variant->words), GEAR__ARG(m->pool), GEAR__ARG(m->table), GEAR__ARG(call->seqs), GEAR__ARG(call->advance),
        GEAR__ARG(m->window), GEAR__ARG(call->tensors), GEAR__ARG(q->mem), GEAR__ARG(q->offset), GEAR__ARG(k->mem),
        GEAR__ARG(k->offset), GEAR__ARG(v->mem), GEAR__ARG(v->offset), GEAR__ARG(call->scale), GEAR__ARG(call->soft_cap),
        GEAR__ARG(query_heads), GEAR__ARG(row_tiles), GEAR__ARG(call->partial), GEAR__ARG(call->softmax),
        /* of a kernel that merges */
        GEAR__ARG(out->mem), GEAR__ARG(out->offset), GEAR__ARG(out->stride_seq), GEAR__ARG(out->stride_head),
        GEAR__ARG(out->stride_token), GEAR__ARG(out->type), GEAR__ARG(call->lse), GEAR__ARG(call->lse_offset),
        GEAR__ARG(call->has_lse), GEAR__ARG(call->counters), GEAR__ARG(words), GEAR__ARG(variant->table_row),
        GEAR__ARG(shape->exact_max), GEAR__ARG(group), GEAR__ARG(pieces_at), GEAR__ARG(call->share), GEAR__ARG(piece_rows)};
    const size_t num_args = GEAR__COUNT_OF(args) - (gear__attend_merges(variant->tile.kernel) ? 0 : 17);
    const size_t items = call->work_items;
    const size_t head_tiles = (size_t)shape->kv_heads * row_tiles;
    const size_t even[3] = {items * call->splits, head_tiles, call->num_seqs};
    const size_t ragged[3] = {items * head_tiles, call->num_pieces, 1};
    const gear__kernel_id id = call->rows > variant->tile.rows    ? GEAR__KERNEL_PARTIAL_WIDE
                               : items < variant->tile.work_items ? GEAR__KERNEL_PARTIAL_SMALL
                                                                  : GEAR__KERNEL_PARTIAL;
    return gear__run_sized(stream, variant->kernel[id][0], args, num_args, call->num_pieces ? ragged : even, items, error);
}

void gear__attend_tensors(const gear__attend_call *call, uint32_t words[GEAR__CALL_WORDS])
{
    const gear__tensor *tensors[3] = {&call->q, &call->tail_k, &call->tail_v};
    for (int i = 0; i < 3; i++) {
        const cl_ulong record[4] = {
            [GEAR__CALL_STRIDE_SEQ] = tensors[i]->stride_seq,
            [GEAR__CALL_STRIDE_HEAD] = tensors[i]->stride_head,
            [GEAR__CALL_STRIDE_TOKEN] = tensors[i]->stride_token,
            [GEAR__CALL_TYPE] = tensors[i]->type,
        };
        memcpy(words + 8 * i, record, sizeof record);
    }
}
