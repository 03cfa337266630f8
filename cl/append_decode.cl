/* append_decode: all of a decode step that completes blocks: a work-group compresses the block of one sequence, KV head and
 * side (block.clh), fits its residual (lowrank_rows.clh), writes its page table entry, and puts the new tokens, all of which
 * stay, into the window. What it works on travels as arguments (GEAR__DECODE_*), so that a step is one launch. The same bits
 * as append_block and append_6_window. Reference: src/ref/append_decode.c.
 *
 * A new token takes the place of the block's first in the window: the one work-group that reads a side of the block also
 * writes it. Token weights, for which K's work-group would read V's side, are not for this kernel. A work-group without a
 * block returns early; barriers are not conditional.
 *
 * Work-groups: ([K, V], KV heads, sequences). r: [KV head][num_rows][HEAD_DIM], num_rows 64 for each sequence and side with
 * a low-rank part. first_entry: place in the batch of the first sequence. COLUMNS: 2, 4 or 8, no fewer than the ranks of
 * decode segments, or 0 where there are none. */
#include "argument_words.clh"
#include "block.clh"

#ifndef COLUMNS
#  error "COLUMNS is missing"
#endif
#if COLUMNS > 0
#  define ROW_ITEMS   ITEMS
#  define ROW_COLUMNS COLUMNS
#  include "lowrank_rows.clh"

/* Rank of a decode segment's low-rank part. */
GEAR__INLINE uint gear_decode_rank(__global const uint *shape, uint is_v)
{
    return shape[GEAR_SIDE(is_v) + GEAR__SIDE_RANK + GEAR__DECODE];
}
#endif

/* The new tokens of a side, `count`. */
GEAR__INLINE void gear_keep_tokens(__global const uint *shape, const gear_sequence *seq, __global ushort *window,
                                   const gear_tensor *k, const gear_tensor *v, uint entry, uint is_v, uint head, uint count,
                                   volatile __global uint *health, uint lid)
{
    const gear_tensor own = is_v ? *v : *k;
    const gear_rows rows = gear_rows_of(shape, seq, window, &own, entry, is_v, head);
    for (uint i = lid; i < count * (HEAD_DIM / 8); i += ITEMS) {
        gear_keep_row8(&rows, window, seq->length + i / (HEAD_DIM / 8), i % (HEAD_DIM / 8) * 8u, health);
    }
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_decode(
    __global const uint *shape, __global uchar *pool, __global uint *table, __global ushort *window, __global const uchar *k,
    ulong k_offset, ulong k_stride_seq, ulong k_stride_head, ulong k_stride_token, uint k_type, __global const uchar *v,
    ulong v_offset, ulong v_stride_seq, ulong v_stride_head, ulong v_stride_token, uint v_type, uint num_rows,
    __global float *r, volatile __global uint *health, uint first_entry, GEAR_ARGUMENT_WORDS)
{
    GEAR_BLOCK_MEMORY(memory)
#if COLUMNS > 0
    __local float4 a[ROW_A], room[ROW_ROOM];
    __local float grams[ROW_GRAMS] __attribute__((aligned(16)));
#endif
    const uint is_v = (uint)get_group_id(0), head = (uint)get_group_id(1), at = (uint)get_group_id(2);
    const uint lid = (uint)get_local_id(0);
    const uint8 words = GEAR_EIGHT_WORDS_OF(at);
    const uint tokens = words.s7 & 0xffu, index = words.s7 >> 8;
    const gear_tensor k_tensor = {k + k_offset, k_stride_seq, k_stride_head, k_stride_token, k_type};
    const gear_tensor v_tensor = {v + v_offset, v_stride_seq, v_stride_head, v_stride_token, v_type};
    gear_block_task task;
    task.seq = (gear_sequence){words.s0, words.s1, words.s3};
    task.entry = first_entry + at;
    if (tokens == 0u) {
        gear_keep_tokens(shape, &task.seq, window, &k_tensor, &v_tensor, task.entry, is_v, head, words.s2, health, lid);
        return;
    }
    task.first = words.s6;
    task.tokens = tokens;
    task.index = 0u;
    task.offset = words.s4;
    task.segment = words.s5;
    task.cls = GEAR__DECODE;
    task.header = gear_header_of(shape, table, words.s0);
    task.residual = 0;
#if COLUMNS > 0
    const uint rank = gear_decode_rank(shape, is_v), k_ranks = gear_decode_rank(shape, 0u) ? 1u : 0u;
    const uint ranks = k_ranks + (gear_decode_rank(shape, 1u) ? 1u : 0u); /* sides that leave a residual */
    task.residual = rank ? r + ((ulong)head * num_rows + 64ul * (at * ranks + is_v * k_ranks)) * HEAD_DIM : 0;
#else
    (void)r;
    (void)num_rows;
#endif
    if (is_v == 0u && head == 0u && lid == 0u) {
        const ulong entry = (ulong)words.s0 * shape[GEAR__SHAPE_TABLE_ROW] + 1u + index;
        vstore4((uint4)(task.offset, task.segment, task.first, tokens | GEAR__DECODE << 8), entry, table);
    }
    gear_compress_block(&memory, shape, pool, &task, window, &k_tensor, &v_tensor, health, head, is_v, lid);
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    gear_keep_tokens(shape, &task.seq, window, &k_tensor, &v_tensor, task.entry, is_v, head, words.s2, health, lid);
#if COLUMNS > 0
    if (rank == 0u) {
        return;
    }
    __global const uint *side = shape + GEAR_SIDE(is_v);
    __global uchar *segment = gear_segment_head(pool, shape, task.segment, GEAR__DECODE, head);
    const gear_row_desk desk = {a, room, grams};
    gear_row_fit fit;
    fit.rank = rank;
    fit.usable = min(min(rank, tokens), (uint)HEAD_DIM);
    fit.bits = side[GEAR__SIDE_FACTOR_BITS];
    fit.passes = side[GEAR__SIDE_ITERATIONS];
    fit.residual = task.residual;
    fit.a = gear_block_head(pool, shape, task.offset, GEAR__DECODE, head) + side[GEAR__SIDE_A + GEAR__DECODE];
    fit.b = segment + side[GEAR__SIDE_B + GEAR__DECODE];
    fit.scales = (__global ushort *)(segment + side[GEAR__SIDE_FACTORS + GEAR__DECODE]);
    gear_fit_rows(&fit, &desk, lid);
#endif
}
