/* kit_mixed.c: channel segments, pairs of 6 + 6 and 6 + 4 bits and levels of the mixed backbone (rules 10 and 11). */
#include <math.h>
#include <string.h>

#include "ref/kit.h"

/* Lloyd-Max levels of N(0, 1) divided by the largest; the other half is their mirror image. */
static const float levels_3[4] = {0.113837f, 0.351183f, 0.624388f, 1.0f};
static const float levels_4[8] = {0.046832f, 0.141606f, 0.239801f, 0.344256f, 0.459146f, 0.591622f, 0.756808f, 1.0f};

gear__ref_segment gear__ref_segment_of(const gear__side *side, uint32_t channel)
{
    gear__ref_segment segment = {.channels = side->segments[0].channels, .bits = side->segments[0].bits};
    while (channel >= segment.first + segment.channels) {
        segment.first += segment.channels;
        segment.planes += 8u * segment.channels * segment.bits;
        segment.index++;
        segment.channels = side->segments[segment.index].channels;
        segment.bits = side->segments[segment.index].bits;
    }
    return segment;
}

float gear__ref_normal_level(uint32_t bits, uint32_t code)
{
    uint32_t half = 1u << (bits - 1u);
    const float *levels = bits == 3 ? levels_3 : levels_4;
    return code < half ? -levels[half - 1u - code] : levels[code - half];
}

/* Fields of a pair: the first 6 bits are the steps of s, the rest is z's. */
static uint32_t pair_field(const gear__side *side, uint32_t token, uint32_t channel, uint32_t *width)
{
    *width = side->is_v ? 10 : 12;
    return side->is_v ? channel / 64u * GEAR__BLOCK + token : channel;
}

uint32_t gear__ref_mixed_pair_get(const gear__side *side, const uint8_t *head, uint32_t token, uint32_t channel)
{
    uint32_t width, field = pair_field(side, token, channel, &width), value = 0;
    for (uint32_t i = 0; i < width; i++) {
        uint32_t bit = field * width + i;
        value |= ((uint32_t)head[side->pairs + bit / 8u] >> bit % 8u & 1u) << i;
    }
    return value;
}

void gear__ref_mixed_pair_set(const gear__side *side, uint8_t *head, uint32_t token, uint32_t channel, uint32_t value)
{
    uint32_t width, field = pair_field(side, token, channel, &width);
    for (uint32_t i = 0; i < width; i++) {
        uint32_t bit = field * width + i;
        uint8_t *at = head + side->pairs + bit / 8u;
        *at = (uint8_t)((*at & ~(1u << bit % 8u)) | (value >> i & 1u) << bit % 8u);
    }
}

uint16_t gear__ref_super(const gear__side *side, const uint8_t *head, uint32_t segment, uint32_t which)
{
    return gear__ref_load_half(head + side->supers, 3u * segment + which);
}

gear__ref_scale gear__ref_mixed_scale(const gear__side *side, const uint8_t *head, uint32_t token, uint32_t channel)
{
    uint32_t pair = gear__ref_mixed_pair_get(side, head, token, channel), segment = gear__ref_segment_of(side, channel).index;
    float above = (float)(pair >> 6), s = (float)(pair & 63u) * gear__float_from_half(gear__ref_super(side, head, segment, 0));
    if (side->is_v) {
        return (gear__ref_scale){s, (above - 8) * 0.125f * s};
    }
    float zero = gear__float_from_half(gear__ref_super(side, head, segment, 1));
    float unit = gear__float_from_half(gear__ref_super(side, head, segment, 2));
    return (gear__ref_scale){s, fmaf(above, unit, zero)};
}

/* Uniform levels as code x step + low. */
static gear__ref_scale affine(gear__ref_scale scale, uint32_t bits)
{
    float reciprocal = 2.0f / (float)((1u << bits) - 1u);
    return (gear__ref_scale){scale.s * reciprocal, scale.z - scale.s};
}

uint32_t gear__ref_mixed_encode(const gear__side *side, gear__ref_scale scale, uint32_t bits, float value)
{
    if (!side->levels) {
        gear__ref_scale line = affine(scale, bits);
        float above = value - line.z;
        return above > 0 ? (uint32_t)gear__ref_quotient(above, line.s, 0, (int32_t)(1u << bits) - 1) : 0;
    }
    uint32_t code = 0;
    for (uint32_t i = 1; i < 1u << bits; i++) {
        float middle = 0.5f * (gear__ref_normal_level(bits, i - 1u) + gear__ref_normal_level(bits, i));
        code += fmaf(-middle, scale.s, value - scale.z) > 0;
    }
    return code;
}

float gear__ref_mixed_value(const gear__side *side, gear__ref_scale scale, uint32_t bits, uint32_t code)
{
    gear__ref_scale line = affine(scale, bits);
    return side->levels ? fmaf(gear__ref_normal_level(bits, code), scale.s, scale.z) : fmaf((float)code, line.s, line.z);
}

float gear__ref_rsqrt(float a)
{
    uint32_t bits;
    float y, half = 0.5f * a;
    memcpy(&bits, &a, sizeof bits);
    bits = 0x5f3759dfu - (bits >> 1);
    memcpy(&y, &bits, sizeof y);
    for (int i = 0; i < 3; i++) {
        y = y * (1.5f - (half * y) * y);
    }
    return y;
}
