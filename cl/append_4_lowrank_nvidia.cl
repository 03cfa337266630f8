/* append_4_lowrank_nvidia: the fits of one block of append_4_lowrank, with Gram matrices from tensor cores, for NVIDIA GPUs
 * from sm_80 on (lowrank_rows_nvidia.clh). Reference: src/ref/append_4_lowrank.c. */
#define ROW_TENSOR
#define BLOCK_KERNEL gear_k_append_4_lowrank_block_nvidia
#include "lowrank_block.clh"
