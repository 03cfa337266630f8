/* append_6_window: puts the new tokens that stay uncompressed into the window ring, as sanitised halves.
 * Convention: docs/design.md, rule 1. Reference: src/ref/append_6_window.c.
 * Range: (channels, new tokens that stay of the sequence with most, batch x [K, V] x KV heads). `advance` is added to every
 * length of the list, so that a list uploaded once serves many steps. */
#include "record.clh"
#include "source.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

__kernel void gear_k_append_6_window(__global const uint *shape, __global const uint *seqs, uint num_seqs, uint advance,
                                     __global ushort *window, __global const uchar *k, ulong k_offset, ulong k_stride_seq,
                                     ulong k_stride_head, ulong k_stride_token, uint k_type, __global const uchar *v,
                                     ulong v_offset, ulong v_stride_seq, ulong v_stride_head, ulong v_stride_token, uint v_type,
                                     volatile __global uint *health)
{
    uint channel = (uint)get_global_id(0), z = (uint)get_global_id(2);
    uint heads = shape[GEAR__SHAPE_KV_HEADS], head = z % heads, is_v = z / heads % 2u, entry = z / heads / 2u;
    if (channel >= HEAD_DIM || entry >= num_seqs) {
        return;
    }
    __global const uint *seq = seqs + entry * GEAR__SEQ_WORDS;
    uint length = seq[GEAR__SEQ_LENGTH] + advance, first = max(seq[GEAR__SEQ_FIRST], length);
    uint position = first + (uint)get_global_id(1), token = position - length;
    if (token >= seq[GEAR__SEQ_COUNT]) {
        return;
    }
    ulong index = gear_input_index(seq, entry, token, head, channel, is_v ? v_stride_seq : k_stride_seq,
                                   is_v ? v_stride_head : k_stride_head, is_v ? v_stride_token : k_stride_token);
    float value = is_v ? gear_load(v + v_offset, index, v_type) : gear_load(k + k_offset, index, k_type);
    uint bad, bits = gear_sanitize(value, &bad);
    gear_count_bad(health, bad);
    window[gear_window_index(seq[GEAR__SEQ_SLOT], is_v, heads, head, shape[GEAR__SHAPE_WINDOW], position, HEAD_DIM, channel)] =
        (ushort)bits;
}
