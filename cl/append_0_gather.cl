/* append_0_gather: brings the tokens of every segment to compress into the staging array of one side, as halves, from the
 * window and the caller's tensor; sanitises; puts the first tokens of a sequence into the exact record and stages their
 * stand-ins; starts the segment headers (K). Convention: docs/design.md, rules 1 to 3. Reference: src/ref/append_0_gather.c.
 * Range: (channels, staging rows, KV heads), one work-item a value. x and mask are [head][row][head_dim]. */
#include "record.clh"
#include "source.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

__kernel void gear_k_append_0_gather(__global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table,
                                     __global const uint *seqs, __global const uint *jobs, __global const uint *row_jobs,
                                     __global const ushort *window, __global const uchar *input, ulong input_offset,
                                     ulong stride_seq, ulong stride_head, ulong stride_token, uint type, uint num_rows,
                                     __global ushort *x, __global uchar *mask, volatile __global uint *health)
{
    uint channel = (uint)get_global_id(0), row = (uint)get_global_id(1), head = (uint)get_global_id(2);
    uint heads = shape[GEAR__SHAPE_KV_HEADS];
    if (channel >= HEAD_DIM || row >= num_rows || head >= heads) {
        return;
    }
    __global const uint *job = jobs + row_jobs[row / 64u] * GEAR__JOB_WORDS;
    uint token = row - job[GEAR__JOB_ROW], tokens = job[GEAR__JOB_TOKENS], first = job[GEAR__JOB_FIRST];
    ulong at = ((ulong)head * num_rows + row) * HEAD_DIM + channel;
    if (token >= tokens) {
        x[at] = 0;
        mask[at] = GEAR__MASK_PADDING;
        return;
    }
    if (token == 0u && channel == 0u && head == 0u && !is_v) {
        gear_start_segment(pool, job[GEAR__JOB_SEGMENT], tokens, job[GEAR__JOB_BLOCKS]);
    }
    uint entry = job[GEAR__JOB_ENTRY];
    gear_gather g = {gear_sequence_of(seqs, entry),
                     window,
                     input + input_offset,
                     stride_seq,
                     stride_head,
                     stride_token,
                     entry,
                     type,
                     shape[GEAR__SHAPE_WINDOW],
                     heads,
                     is_v,
                     head,
                     channel};
    uint bad, value = gear_read(&g, first + token, &bad);
    gear_count_bad(health, bad);

    __global const uint *header = gear_header_of(shape, table, g.seq.slot);
    uint exact = header[GEAR__HEADER_TOKENS], position = first + token;
    if (position < exact) {
        __global ushort *record = (__global ushort *)gear_record(pool, header[GEAR__HEADER_EXACT]);
        record[((is_v * heads + head) * shape[GEAR__SHAPE_EXACT_MAX] + position) * HEAD_DIM + channel] = (ushort)value;
        value = gear_stand_in(&g, position, exact, first, tokens);
        mask[at] = GEAR__MASK_EXACT;
    } else {
        mask[at] = 0;
    }
    x[at] = (ushort)value;
}
