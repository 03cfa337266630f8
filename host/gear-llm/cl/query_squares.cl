/* query_squares.cl: the mean square of each query channel over a prompt and the query heads of a KV head, as
 * gear_append_weighted takes it: q is [rows][heads][head_dim], sequence s has the rows first[s] to first[s + 1] - 1, and out is
 * [sequence][KV head][head_dim]. */
__kernel void llm_k_query_squares(__global const float *q, __global const uint *first, uint group, __global float *out)
{
    const uint c = (uint)get_global_id(0), head = (uint)get_global_id(1), s = (uint)get_global_id(2);
    const uint head_dim = (uint)get_global_size(0), kv_heads = (uint)get_global_size(1);
    const uint begin = first[s], end = first[s + 1u];
    float sum = 0.0f;
    for (uint row = begin; row < end; row++) {
        const __global float *at = q + ((ulong)row * kv_heads + head) * group * head_dim + c;
        for (uint j = 0; j < group; j++)
            sum = fma(at[j * head_dim], at[j * head_dim], sum);
    }
    out[(s * kv_heads + head) * head_dim + c] = sum / (float)((end - begin) * group);
}
