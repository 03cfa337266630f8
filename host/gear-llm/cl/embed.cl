/* embed.cl: the embedding rows of tokens as float32. One work-item writes 8 values. */
#include "values.clh"

__kernel void llm_k_embed(__global const uchar *weights, ulong row_bytes, __global const uint *ids, uint units,
                          __global float *out)
{
    const uint at = (uint)get_global_id(0);
    const ulong token = get_global_id(1);
    vstore8(llm_values8(weights + ids[token] * row_bytes, at >> 2, at & 3u), token * units * 4u + at, out);
}
