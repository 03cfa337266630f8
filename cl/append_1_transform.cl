/* append_1_transform: brings the staged tokens of one side into the space that the mixed backbone quantises in: K channels in
 * the order of their sequence, V rotated by a Hadamard matrix along head_dim. Convention: docs/design.md, rule 10. Reference:
 * src/ref/append_1_transform.c. */
#include "exact.clh"
#include "record.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

GEAR__INLINE __global uchar *gear_order_of(__global const uint *shape, __global uchar *pool, __global const uint *table,
                                           uint slot, uint head)
{
    return gear_record(pool, gear_header_of(shape, table, slot)[GEAR__HEADER_ORDER]) + head * HEAD_DIM;
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
