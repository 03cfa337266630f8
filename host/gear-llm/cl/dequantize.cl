/* dequantize.cl: rows of a weight matrix as float32, for the matrix products of many tokens. One work-item writes 8 values;
 * they equal gguf_dequantize bit for bit. */
#pragma OPENCL FP_CONTRACT OFF
#include "values.clh"

__kernel void llm_k_dequantize(__global const uchar *weights, ulong row_bytes, ulong first_row, uint units, ulong count,
                               __global float *out)
{
    const ulong i = get_global_id(0);
    if (i >= count)
        return;
    const ulong row = i / (units * 4u);
    const uint at = (uint)(i % (units * 4u));
    vstore8(llm_values8(weights + (first_row + row) * row_bytes, at >> 2, at & 3u), i, out);
}
