/* append_6_window: puts the new tokens that stay uncompressed into the window ring, as sanitised halves.
 * Convention: docs/design.md, rule 1. Reference: src/ref/append_6_window.c.
 * Range: (eight channels x new tokens that stay of the sequence with most, batch x [K, V] x KV heads). `advance` is added to
 * every length of the list, so that a list uploaded once serves many steps. */
#include "rows.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

__kernel void gear_k_append_6_window(__global const uint *shape, __global const uint *seqs, uint num_seqs, uint advance,
                                     __global ushort *window, __global const uchar *k, ulong k_offset, ulong k_stride_seq,
                                     ulong k_stride_head, ulong k_stride_token, uint k_type, __global const uchar *v,
                                     ulong v_offset, ulong v_stride_seq, ulong v_stride_head, ulong v_stride_token, uint v_type,
                                     volatile __global uint *health)
{
    const uint vector = (uint)get_global_id(0), y = (uint)get_global_id(1), channel = vector % (HEAD_DIM / 8) * 8u;
    const uint heads = shape[GEAR__SHAPE_KV_HEADS], head = y % heads, is_v = y / heads % 2u, entry = y / heads / 2u;
    if (entry >= num_seqs) {
        return;
    }
    __global const uint *words = seqs + entry * GEAR__SEQ_WORDS;
    gear_sequence seq = gear_sequence_of(seqs, entry);
    seq.length += advance;
    const uint position = max(words[GEAR__SEQ_FIRST], seq.length) + vector / (HEAD_DIM / 8);
    if (position - seq.length >= words[GEAR__SEQ_COUNT]) {
        return;
    }
    const gear_tensor tensor = {is_v ? v + v_offset : k + k_offset, is_v ? v_stride_seq : k_stride_seq,
                                is_v ? v_stride_head : k_stride_head, is_v ? v_stride_token : k_stride_token,
                                is_v ? v_type : k_type};
    const gear_rows rows = gear_rows_of(shape, &seq, window, &tensor, entry, is_v, head);
    gear_keep_row8(&rows, window, position, channel, health);
}
