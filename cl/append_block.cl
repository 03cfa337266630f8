/* append_block: all that compressing a block takes where nothing but the channel order and outliers (append_1_marks) reaches
 * beyond it: a work-group brings the 64 tokens of one KV head and side from the window or the caller's tensor into local
 * memory, compresses them there (block.clh) and writes codes and scales; the residual where there is a low-rank part; where
 * there are outliers the lengths of their lists, and their number in place of the base. Reference: src/ref/append_block.c.
 * Work-groups: (staging blocks, KV heads, sides from first_side on). Where K's channels have an order, and this launch is of V
 * alone, num_orders more along the first axis, which come first, each for a job: its channel order (append_1_order), which has
 * to wait for little but memory. */
#include "block.clh"
#include "block_place.clh"
#include "channel_order.clh"

__kernel GEAR_WORK_ITEMS(ITEMS) void gear_k_append_block(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, __global const uint *places, __global const ushort *window, __global const uchar *k,
    ulong k_offset, ulong k_stride_seq, ulong k_stride_head, ulong k_stride_token, uint k_type, __global const uchar *v,
    ulong v_offset, ulong v_stride_seq, ulong v_stride_head, ulong v_stride_token, uint v_type, uint num_rows,
    __global ushort *r, volatile __global uint *health, __global const uint *marks, uint first_side, uint num_orders,
    __global const float *sums, __global const float *weights, ulong weights_offset, uint has_weights)
{
    GEAR_BLOCK_MEMORY(memory)
    const uint head = (uint)get_group_id(1), lid = (uint)get_local_id(0);
    const uint group = (uint)get_group_id(0);
    const gear_tensor k_tensor = {k + k_offset, k_stride_seq, k_stride_head, k_stride_token, k_type};
    const gear_channel_sums all = {sums, weights, weights_offset, num_rows, has_weights};
    if (K_AXIS == 5 && group < num_orders) {
        gear_order_channels(shape, pool, table, seqs, jobs + group * GEAR__JOB_WORDS, &all, memory.floats, head, lid);
    } else {
        const uint row_block = group - num_orders, is_v = (uint)get_group_id(2) + first_side;
        const gear_tensor v_tensor = {v + v_offset, v_stride_seq, v_stride_head, v_stride_token, v_type};
        gear_block_place place;
        gear_get_place(&place, places, row_block);
        gear_block_task task;
        task.entry = place.entry;
        task.seq = place.seq;
        task.first = place.first;
        task.tokens = place.tokens;
        task.index = place.index;
        task.offset =
            place.offset != GEAR__NO_STEP ? place.offset : table[place.table * GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET];
        task.segment = place.segment;
        task.cls = place.cls;
        task.header = place.header;
        task.residual = shape[GEAR_SIDE(is_v) + GEAR__SIDE_RANK + task.cls]
                            ? r + ((ulong)head * num_rows + row_block * 64ul) * HEAD_DIM
                            : 0;
        task.marks = marks + gear__mark_at(HEAD_DIM, num_rows, head, 0u, row_block * 64u) / 2u;
        task.marks_stride = num_rows / 2u;
        gear_compress_block(&memory, shape, pool, &task, window, &k_tensor, &v_tensor, health, head, is_v, lid);
    }
}
