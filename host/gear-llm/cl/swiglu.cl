/* swiglu.cl: gate = gate / (1 + exp(-gate)) x up, 8 values a work-item. */
__kernel void llm_k_swiglu(__global float *gate, __global const float *up, ulong count)
{
    const ulong i = get_global_id(0);
    if (i >= count)
        return;
    const float8 g = vload8(i, gate);
    vstore8(g / (1.0f + exp(-g)) * vload8(i, up), i, gate);
}
