/* append_1_transform: brings the staged tokens of one side into the space that the mixed backbone quantises in: K channels in
 * order of importance, V rotated by a Hadamard matrix along head_dim. Two kernels: the order of a sequence, once, with its
 * first segment; the transform of every staged row. Convention: docs/design.md, rule 10. Reference:
 * src/ref/append_1_transform.c. */
#include "exact.clh"
#include "record.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

GEAR__INLINE __global uchar *gear_order_of(__global const uint *shape, __global uchar *pool, __global const uint *table,
                                           uint slot, uint head)
{
    __global const uint *header = table + (ulong)slot * shape[GEAR__SHAPE_TABLE_ROW] * GEAR__BLOCK_WORDS;
    return gear_record(pool, header[GEAR__HEADER_ORDER]) + head * HEAD_DIM;
}

/* Importance of a channel: population variance over the segment, times the mean square of the queries where they are given; the
 * order record lists channels by falling importance, equal ones by index. 64 work-items for each (job, KV head); jobs that do
 * not open their sequence return. weights: [sequence of the batch][head][head_dim], or has_weights 0. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_1_order(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, uint num_rows, __global const ushort *x, __global const float *weights, ulong weights_offset,
    uint has_weights)
{
    __local float importance[HEAD_DIM];
    uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1), heads = shape[GEAR__SHAPE_KV_HEADS];
    __global const uint *job = jobs + (uint)get_group_id(0) * GEAR__JOB_WORDS;
    uint entry = job[GEAR__JOB_ENTRY], tokens = job[GEAR__JOB_TOKENS];
    __global uchar *order = gear_order_of(shape, pool, table, seqs[entry * GEAR__SEQ_WORDS + GEAR__SEQ_SLOT], head);
    float inverse = gear_inverse_count(tokens);
    for (uint c = lid; c < HEAD_DIM; c += 64u) {
        __global const ushort *column = x + ((ulong)head * num_rows + job[GEAR__JOB_ROW]) * HEAD_DIM + c;
        float sum = 0.0f, squares = 0.0f;
        for (uint t = 0; t < tokens; t++) {
            sum += gear_float_from_half(column[t * HEAD_DIM]);
        }
        float mean = sum * inverse;
        for (uint t = 0; t < tokens; t++) {
            float d = gear_float_from_half(column[t * HEAD_DIM]) - mean;
            squares += d * d;
        }
        float weight = has_weights ? weights[weights_offset + ((ulong)entry * heads + head) * HEAD_DIM + c] : 1.0f;
        float product = squares * inverse * weight;
        importance[c] = product > 0.0f ? product : 0.0f; /* a NaN among the weights must not break the permutation */
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (job[GEAR__JOB_FIRST] != 0u) {
        return;
    }
    for (uint c = lid; c < HEAD_DIM; c += 64u) {
        uint place = 0u;
        for (uint other = 0; other < HEAD_DIM; other++) {
            place += importance[other] > importance[c] || (importance[other] == importance[c] && other < c);
        }
        order[place] = (uchar)c;
    }
}

/* Rows in place, through the float scratch r of the same shape. Range: (staging rows, KV heads). */
__kernel void gear_k_append_1_transform(__global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table,
                                        __global const uint *seqs, __global const uint *jobs, __global const uint *row_jobs,
                                        uint num_rows, __global ushort *x, __global float *r)
{
    uint row = (uint)get_global_id(0), head = (uint)get_global_id(1);
    if (row >= num_rows) {
        return;
    }
    __global ushort *values = x + ((ulong)head * num_rows + row) * HEAD_DIM;
    __global float *scratch = r + ((ulong)head * num_rows + row) * HEAD_DIM;
    for (uint c = 0; c < HEAD_DIM; c++) {
        scratch[c] = gear_float_from_half(values[c]);
    }
    if (!is_v) {
        uint entry = jobs[row_jobs[row / 64u] * GEAR__JOB_WORDS + GEAR__JOB_ENTRY];
        __global const uchar *order = gear_order_of(shape, pool, table, seqs[entry * GEAR__SEQ_WORDS + GEAR__SEQ_SLOT], head);
        for (uint c = 0; c < HEAD_DIM; c++) {
            values[c] = (ushort)gear_half_from_float(scratch[order[c]]);
        }
        return;
    }
    /* power-of-two parts: 80 = 64 + 16, 96 = 64 + 32 */
    for (uint first = 0, size; first < HEAD_DIM; first += size) {
        size = 1u << (31u - clz(HEAD_DIM - first));
        for (uint step = 1u; step < size; step <<= 1) {
            for (uint i = 0; i < size / 2u; i++) {
                uint a = first + (i / step) * 2u * step + i % step, b = a + step;
                float low = scratch[a], high = scratch[b];
                scratch[a] = low + high;
                scratch[b] = low - high;
            }
        }
        for (uint c = first; c < first + size; c++) {
            values[c] = (ushort)gear_half_saturate(scratch[c] * gear__rotation_scale(size));
        }
    }
}
