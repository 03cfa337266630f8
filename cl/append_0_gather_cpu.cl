/* append_0_gather_cpu: append_0_gather for CPU devices: the same arguments and results, one work-item for each (staging block,
 * KV head), eight channels at a time. Reference: src/ref/append_0_gather.c. Range: (staging blocks, KV heads). */
#include "tile.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* x, mask: of the block. Not inlined: PoCL puts three copies of a kernel into its program, and this way the work is compiled
 * once. */
static __attribute__((noinline)) void gear_gather_block(const gear_block_rows *b, __global ushort *exact_record,
                                                        volatile __global uint *health, __global ushort *x,
                                                        __global uchar *mask)
{
    ushort16 halves[64 * HEAD_DIM / 16];
    const gear_tile tile = {(ushort *)halves, 0, 0, HEAD_DIM};
    const uint exact = gear_exact_in(b);
    gear_load_rows(b, &tile, GEAR_TO_TILE, 0u, 64u, 1u, exact_record, health, 0u);
#pragma unroll 1
    for (uint row = 0; row < 64u; row++) {
        const uchar16 marks = row >= b->tokens ? GEAR__MASK_PADDING : row < exact ? GEAR__MASK_EXACT : 0u;
#pragma unroll 4
        for (uint i = 0; i < HEAD_DIM / 16; i++) {
            ((__global ushort16 *)x)[row * (HEAD_DIM / 16) + i] = halves[row * (HEAD_DIM / 16) + i];
            ((__global uchar16 *)mask)[row * (HEAD_DIM / 16) + i] = marks;
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_0_gather_cpu(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, __global const uint *row_jobs, __global const ushort *window, __global const uchar *input,
    ulong input_offset, ulong stride_seq, ulong stride_head, ulong stride_token, uint type, uint num_rows, __global ushort *x,
    __global uchar *mask, volatile __global uint *health)
{
    const uint row_block = (uint)get_group_id(0), head = (uint)get_group_id(1), heads = shape[GEAR__SHAPE_KV_HEADS];
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    const uint entry = job[GEAR__JOB_ENTRY], index = row_block - job[GEAR__JOB_ROW] / 64u;
    if (index == 0u && head == 0u && !is_v) {
        gear_start_segment(pool, job[GEAR__JOB_SEGMENT], job[GEAR__JOB_TOKENS], job[GEAR__JOB_BLOCKS]);
    }
    const gear_sequence seq = gear_sequence_of(seqs, entry);
    __global const uint *header = gear_header_of(shape, table, seq.slot);
    const gear_tensor tensor = {input + input_offset, stride_seq, stride_head, stride_token, type};
    const gear_rows rows = gear_rows_of(shape, &seq, window, &tensor, entry, is_v, head);
    const gear_block_rows b = gear_block_rows_of(&rows, header, job[GEAR__JOB_FIRST], job[GEAR__JOB_TOKENS], index);
    __global ushort *exact_record = (__global ushort *)gear_record(pool, header[GEAR__HEADER_EXACT]) +
                                    (ulong)((is_v * heads + head) * shape[GEAR__SHAPE_EXACT_MAX]) * HEAD_DIM;
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    gear_gather_block(&b, exact_record, health, x + at, mask + at);
}
