/* half.c: float32 <-> float16 and bfloat16 on bit patterns. */
#include "model/half.h"

#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* value / 2^shift, shift 1..31, round to nearest even. */
static uint32_t round_shift(uint32_t value, uint32_t shift)
{
    uint32_t kept = value >> shift, rest = value & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
    return kept + (rest > tie || (rest == tie && (kept & 1u)));
}

uint16_t gear__half_from_float(float value)
{
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, exponent = bits >> 23 & 0xffu, mantissa = bits & 0x7fffffu;
    if (exponent == 0xffu) {
        return (uint16_t)(sign | 0x7c00u | (mantissa ? 0x200u | mantissa >> 13 : 0u));
    }
    if (exponent >= 143u) { /* 2^16 and more */
        return (uint16_t)(sign | 0x7c00u);
    }
    if (exponent >= 113u) { /* 2^-14 and more: normal; a carry out of the mantissa raises the exponent, up to infinity */
        return (uint16_t)(sign | (((exponent - 112u) << 10) + round_shift(mantissa, 13u)));
    }
    if (exponent < 102u) { /* below half of the least subnormal */
        return (uint16_t)sign;
    }
    return (uint16_t)(sign | round_shift(mantissa | 0x800000u, 126u - exponent));
}

uint16_t gear__half_saturate(float value)
{
    uint32_t half = gear__half_from_float(value), magnitude = half & 0x7fffu;
    if (magnitude > 0x7c00u) {
        return 0;
    }
    return (uint16_t)(magnitude == 0x7c00u ? (half & 0x8000u) | GEAR__HALF_MAX : half);
}

float gear__float_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 0x1fu, mantissa = half & 0x3ffu;
    if (exponent == 0x1fu) {
        return float_of(sign | 0x7f800000u | mantissa << 13);
    }
    if (!exponent) {
        if (!mantissa) {
            return float_of(sign);
        }
        exponent = 1u;
        while (!(mantissa & 0x400u)) {
            mantissa <<= 1;
            exponent--; /* may wrap below 0: the sum below is right modulo 2^32 */
        }
    }
    return float_of(sign | (exponent + 112u) << 23 | (mantissa & 0x3ffu) << 13);
}

uint16_t gear__bf16_from_float(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)round_shift(bits, 16u);
}

float gear__float_from_bf16(uint16_t value)
{
    return float_of((uint32_t)value << 16);
}
