/* attend_2_merge: joins the partial results of the splits of every query row, normalises, and writes the output and the natural
 * log-sum-exp. Reference: src/ref/attend_2_merge.c.
 * Range: 64 work-items for each (query token of the longest sequence x query heads, sequence). */
#include "half.clh"
#include "layout.h"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_attend_2_merge(
    __global const uint *seqs, uint query_heads, uint splits, __global const float *partial, __global const float *softmax,
    __global uchar *out, ulong out_offset, ulong stride_seq, ulong stride_head, ulong stride_token, uint type,
    __global float *lse, ulong lse_offset, uint has_lse)
{
    const uint lid = (uint)get_local_id(0), token = (uint)get_group_id(0) / query_heads, entry = (uint)get_group_id(1);
    const uint head = (uint)get_group_id(0) % query_heads;
    __global const uint *seq = seqs + entry * GEAR__SEQ_WORDS;
    if (token >= seq[GEAR__SEQ_COUNT]) {
        return;
    }
    const ulong row = (ulong)(seq[GEAR__SEQ_ROW] + token) * query_heads + head;
    float m = -1e30f, l = 0.0f;
    for (uint s = 0; s < splits; s++) {
        m = fmax(m, softmax[2ul * (row * splits + s)]);
    }
    for (uint s = 0; s < splits; s++) {
        ulong at = 2ul * (row * splits + s);
        l = fma(softmax[at + 1ul], exp(softmax[at] - m), l);
    }
    const ulong first = stride_seq ? entry * stride_seq : seq[GEAR__SEQ_ROW] * stride_token;
    for (uint c = lid; c < HEAD_DIM; c += 64u) {
        float sum = 0.0f;
        for (uint s = 0; s < splits; s++) {
            ulong at = row * splits + s;
            sum = fma(partial[at * HEAD_DIM + c], exp(softmax[2ul * at] - m), sum);
        }
        gear_store(out + out_offset, first + token * stride_token + head * stride_head + c, type, sum / l);
    }
    if (has_lse && lid == 0u) {
        lse[lse_offset + (ulong)seq[GEAR__SEQ_ROW] * query_heads + (ulong)head * seq[GEAR__SEQ_COUNT] + token] = m + log(l);
    }
}
