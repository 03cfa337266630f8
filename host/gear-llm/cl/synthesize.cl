/* synthesize.cl: the weights of a model without a file: values from a counter hash, zero in the mean and of about the given
 * scale, written as F16 or Q4_1 blocks. One work-item writes a unit of 32 values. */
#include "inline.clh"

#ifndef WEIGHT_TYPE
#  error "WEIGHT_TYPE is missing"
#endif

/* Mixes all bits of a counter (the finaliser of MurmurHash3). */
LLM_INLINE uint llm_hash(uint x)
{
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    return x ^ (x >> 16);
}

__kernel void llm_k_synthesize(__global uchar *out, ulong units, uint seed, float scale)
{
    const ulong unit = get_global_id(0);
    if (unit >= units)
        return;
    const uint key = llm_hash((uint)unit ^ llm_hash(seed + (uint)(unit >> 32)));
#if WEIGHT_TYPE == 1 /* uniform over +- sqrt(3) of the scale */
    __global half *values = (__global half *)out + unit * 32u;
    for (uint i = 0; i < 32u; i++)
        vstore_half(scale * 3.4641016f * ((float)(llm_hash(key + i) >> 8) * 0x1p-24f - 0.5f), i, values);
#elif WEIGHT_TYPE == 3 /* 16 levels, whose deviation is 4.61 steps */
    __global uchar *block = out + unit * 20u;
    const float step = scale / 4.6098f;
    vstore_half(step, 0, (__global half *)block);
    vstore_half(-7.5f * step, 1, (__global half *)block);
    for (uint i = 0; i < 4u; i++)
        vstore2(as_ushort2(llm_hash(key + i)), i, (__global ushort *)(block + 4));
#else
#  error "WEIGHT_TYPE is neither F16 nor Q4_1"
#endif
}
