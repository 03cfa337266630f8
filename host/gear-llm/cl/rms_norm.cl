/* rms_norm.cl: out[i] = x[r] w / sqrt(mean of x[r]^2 + eps), where r is rows[i], or i. A work-group of LANES does one row.
 * `width` is a multiple of 8. */
#include "lanes.clh"

__kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void llm_k_rms_norm(__global const float *x,
                                                                                __global const float *weights,
                                                                                __global const uint *rows, uint listed,
                                                                                uint width, float eps, __global float *out)
{
    __local float part[LANES];
    const uint lane = (uint)get_local_id(0), eighths = width / 8u;
    const ulong i = get_group_id(0), r = listed ? rows[i] : i;
    const __global float *in = x + r * width;
    float8 squares = 0.0f;
    for (uint c = lane; c < eighths; c += LANES) {
        const float8 v = vload8(c, in);
        squares = fma(v, v, squares);
    }
    const float scale = 1.0f / sqrt(llm_sum_lanes(part, lane, llm_sum8(squares)) / (float)width + eps);
    for (uint c = lane; c < eighths; c += LANES)
        vstore8(vload8(c, in) * scale * vload8(c, weights), i * eighths + c, out);
}
