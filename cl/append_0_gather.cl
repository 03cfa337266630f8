/* append_0_gather: brings the tokens of every segment to compress into the staging array of one side, as halves, from the
 * window and the caller's tensor; sanitises; puts the first tokens of a sequence into the exact record and stages their
 * stand-ins; starts the segment headers (K). Convention: docs/design.md, rules 1 to 3. Reference: src/ref/append_0_gather.c.
 * A work-group for each (staging block, KV head): through local memory, eight channels at a time. x and mask are
 * [head][row][head_dim]. */
#include "tile.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* x, mask: of the block. Not inlined on a CPU: PoCL puts three copies of a kernel into its program, and this way the work is
 * compiled once. */
GEAR_OUTLINE void gear_gather_block(const gear_block_rows *b, GEAR_LOCAL ushort *halves, __global ushort *exact_record,
                                    volatile __global uint *health, __global ushort *x, __global uchar *mask, uint lid)
{
    const gear_tile tile = {halves, 0, 0, HEAD_DIM, 0};
    const uint exact = gear_exact_in(b);
    gear_load_rows(b, &tile, GEAR_TO_TILE, 0u, 64u, 1u, exact_record, health, lid);
    GEAR_BARRIER();
#pragma unroll 4
    for (uint i = lid; i < 64u * HEAD_DIM / 16u; i += ITEMS) {
        const uint row = i / (HEAD_DIM / 16u);
        const uchar16 marks = row >= b->tokens ? GEAR__MASK_PADDING : row < exact ? GEAR__MASK_EXACT : 0u;
        ((__global ushort16 *)x)[i] = ((GEAR_LOCAL const ushort16 *)halves)[i];
        ((__global uchar16 *)mask)[i] = marks;
    }
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_0_gather(
    __global const uint *shape, uint is_v, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, __global const uint *row_jobs, __global const ushort *window, __global const uchar *input,
    ulong input_offset, ulong stride_seq, ulong stride_head, ulong stride_token, uint type, uint num_rows, __global ushort *x,
    __global uchar *mask, volatile __global uint *health)
{
    GEAR_LOCAL ushort halves[64 * HEAD_DIM] __attribute__((aligned(32)));
    const uint row_block = (uint)get_group_id(0), head = (uint)get_group_id(1), lid = (uint)get_local_id(0);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    const uint entry = job[GEAR__JOB_ENTRY], index = row_block - job[GEAR__JOB_ROW] / 64u;
    if (index == 0u && head == 0u && !is_v && lid == 0u) {
        gear_start_segment(pool, job[GEAR__JOB_SEGMENT], job[GEAR__JOB_TOKENS], job[GEAR__JOB_BLOCKS]);
    }
    const gear_sequence seq = gear_sequence_of(seqs, entry);
    __global const uint *header = gear_header_of(shape, table, seq.slot);
    const gear_tensor tensor = {input + input_offset, stride_seq, stride_head, stride_token, type};
    const gear_rows rows = gear_rows_of(shape, &seq, window, &tensor, entry, is_v, head);
    const gear_block_rows b = gear_block_rows_of(&rows, header, job[GEAR__JOB_FIRST], job[GEAR__JOB_TOKENS], index);
    __global ushort *exact_record = gear_exact_of(pool, shape, header, is_v, head, HEAD_DIM);
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    gear_gather_block(&b, halves, exact_record, health, x + at, mask + at, lid);
}
