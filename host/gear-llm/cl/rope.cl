/* rope.cl: rotary position embedding in place, pairs (i, i + head_dim / 2): x is [rows][heads][head_dim], and the table holds
 * (cos, sin) as [position][head_dim / 2], computed by the host in double precision. */
__kernel void llm_k_rope(__global float *x, __global const float2 *table, __global const uint *positions)
{
    const uint i = (uint)get_global_id(0), pairs = (uint)get_global_size(0);
    const ulong head = get_global_id(1), row = get_global_id(2);
    __global float *pair = x + (row * get_global_size(1) + head) * 2u * pairs + i;
    const float2 turn = table[(ulong)positions[row] * pairs + i];
    const float a = pair[0], b = pair[pairs];
    pair[0] = a * turn.x - b * turn.y;
    pair[pairs] = b * turn.x + a * turn.y;
}
