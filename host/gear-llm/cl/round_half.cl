/* round_half.cl: float32 values to the nearest 16-bit float, ties to even, still as float32 and in place; what is beyond the range
 * becomes +-65504. So the keys and values of a prompt are those that a 16-bit cache holds. By integers, as not every compiler's
 * vstore_half rounds. 8 values a work-item. */
__kernel void llm_k_round_half(__global float *x, ulong count)
{
    const ulong i = get_global_id(0);
    if (i >= count)
        return;
    const float8 v = clamp(vload8(i, x), -65504.0f, 65504.0f), size = fabs(v);
    const uint8 bits = as_uint8(size);
    const uint8 normal = (bits + 0xfffu + ((bits >> 13u) & 1u)) & ~(uint8)0x1fffu;
    const float8 small = (size + 0.5f) - 0.5f; /* below 2^-14 steps are 2^-24, as those of floats from 0.5 to 1 */
    vstore8(copysign(select(small, as_float8(normal), as_int8(size >= 0x1p-14f)), v), i, x);
}
