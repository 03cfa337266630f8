/* append_1_order: the channel order of a sequence, from the importance of K's channels over the segment that opens it.
 * Convention: docs/design.md, rule 10. Reference: src/ref/append_1_order.c. Two launches: the moments of every block, many
 * work-groups; their sum and the order, one for each (job, KV head). Reads the tokens where they come from, like
 * append_0_gather, but counts and records nothing. */
#include "block_place.clh"
#include "channel_order.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* sums: [KV head][staging block][sum, squares about the block's mean][HEAD_DIM], only of blocks of jobs that open a sequence.
 * Work-groups: (staging blocks, KV heads). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_1_moments(
    __global const uint *shape, __global const uint *places, __global const ushort *window, __global const uchar *k,
    ulong k_offset, ulong stride_seq, ulong stride_head, ulong stride_token, uint type, uint num_rows, __global float *sums)
{
    GEAR_LOCAL ushort halves[64 * GEAR_PITCH_K] __attribute__((aligned(16)));
    const uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    gear_block_place place;
    gear_get_place(&place, places, row_block);
    if (place.first != 0u) {
        return;
    }
    const gear_tensor tensor = {k + k_offset, stride_seq, stride_head, stride_token, type};
    const gear_rows rows = gear_rows_of(shape, &place.seq, window, &tensor, place.entry, 0u, head);
    const gear_block_rows block = gear_block_rows_of(&rows, place.header, 0u, place.tokens, place.index);
    __global float *out = sums + ((ulong)head * (num_rows / 64u) + row_block) * 2u * HEAD_DIM;
#ifdef __NV_CL_C_VERSION
    if (block.plain) {
        gear_find_moments_of_rows(block.plain, block.plain_stride, out, lid);
        return;
    }
#endif
    const gear_tile tile = {halves, 0, 0, GEAR_PITCH_K, 0};
    gear_load_rows(&block, &tile, GEAR_TO_TILE, 0u, 64u, 0u, 0, 0, lid);
    GEAR_BARRIER();
    gear_find_moments(halves, block.tokens, out, lid);
}

/* A work-group for each (job, KV head). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_1_order(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, uint num_rows, __global const float *sums, __global const float *weights, ulong weights_offset,
    uint has_weights)
{
    GEAR_LOCAL float importance[HEAD_DIM] __attribute__((aligned(16)));
    const gear_channel_sums all = {sums, weights, weights_offset, num_rows, has_weights};
    gear_order_channels(shape, pool, table, seqs, jobs + (uint)get_group_id(0) * GEAR__JOB_WORDS, &all, importance,
                        (uint)get_group_id(1), (uint)get_local_id(0));
}
