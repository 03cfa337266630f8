/* append_decode_nvidia: append_decode with the Gram matrices of its fits from tensor cores, for NVIDIA GPUs from sm_80 on
 * (lowrank_rows_nvidia.clh). Reference: src/ref/append_decode.c. */
#define ROW_TENSOR
#define DECODE_KERNEL gear_k_append_decode_nvidia
#define DECODE_SIZE   /* with which the compiler takes all registers there are */
#include "append_decode.clh"
