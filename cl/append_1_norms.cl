/* append_1_norms: the weight of each token in the least-squares fit of 1-bit channels of K: tokens of large keys and values
 * count less. From the staged K and the V that comes in with it. Convention: docs/design.md, rule 11. Reference:
 * src/ref/append_1_norms.c. 64 work-items, a token each, for each (staging block, KV head). The weight of a row goes to the
 * first place of its row of r, which is free until the residual is written. */
#include "record.clh"
#include "source.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_1_norms(
    __global const uint *shape, __global const uint *seqs, __global const uint *jobs, __global const uint *row_jobs,
    __global const ushort *window, __global const uchar *v, ulong v_offset, ulong stride_seq, ulong stride_head,
    ulong stride_token, uint type, uint num_rows, __global const ushort *x, __global const uchar *mask, __global float *r)
{
    __local float norms_k[64], norms_v[64];
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1), bad;
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    uint entry = job[GEAR__JOB_ENTRY], position = job[GEAR__JOB_FIRST] + row_block * 64u + lid - job[GEAR__JOB_ROW];
    ulong first = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM, at = first + lid * HEAD_DIM;
    const uint plain = mask[at] == 0;
    float k = 0.0f, values = 0.0f;
    if (plain) {
        gear_gather g = {gear_sequence_of(seqs, entry),
                         window,
                         v + v_offset,
                         stride_seq,
                         stride_head,
                         stride_token,
                         entry,
                         type,
                         shape[GEAR__SHAPE_WINDOW],
                         shape[GEAR__SHAPE_KV_HEADS],
                         1u,
                         head,
                         0u};
        for (uint c = 0; c < HEAD_DIM; c++) {
            float a = gear_float_from_half(x[at + c]), b;
            g.channel = c;
            b = gear_float_from_half(gear_read(&g, position, &bad));
            k += a * a;
            values += b * b;
        }
    }
    k = k > 0.0f ? k * gear_rsqrt(k) : 0.0f;
    values = values > 0.0f ? values * gear_rsqrt(values) : 0.0f;
    norms_k[lid] = k;
    norms_v[lid] = values;
    barrier(CLK_LOCAL_MEM_FENCE);

    float sum_k = 0.0f, sum_v = 0.0f, weight = 1.0f;
    uint count = 0u;
    for (uint i = 0; i < 64u; i++) { /* zeros of the others change no sum */
        sum_k += norms_k[i];
        sum_v += norms_v[i];
        count += mask[first + i * HEAD_DIM] == 0;
    }
    if (plain && sum_k > 0.0f && sum_v > 0.0f) {
        float inverse = gear_inverse_count(count), mean = (sum_k * inverse) * (sum_v * inverse);
        float norm = (k * values) * gear_reciprocal(mean) + 1e-4f;
        weight = clamp(gear_reciprocal(norm), 0.01f, 1000.0f);
    }
    r[at] = weight;
}
