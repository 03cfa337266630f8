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
#define DECODE_KERNEL gear_k_append_decode
#define DECODE_SIZE   __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
#include "append_decode.clh"
