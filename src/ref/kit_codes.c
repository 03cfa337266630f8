/* kit_codes.c: one code, one pair, one factor of a record, and rule 6's division. */
#include "ref/kit.h"

#include <math.h>

uint32_t gear__ref_bits_get(const uint8_t *plane, uint32_t bit, uint32_t w)
{
    return gear__ref_load_word(plane, bit / 32u) >> bit % 32u & ((1u << w) - 1u);
}

void gear__ref_bits_set(uint8_t *plane, uint32_t bit, uint32_t w, uint32_t code)
{
    uint32_t word = gear__ref_load_word(plane, bit / 32u);
    gear__ref_store_word(plane, bit / 32u, word | (code & ((1u << w) - 1u)) << bit % 32u);
}

/* Where a code is: its segment's planes, and its bit in a plane of w bits there. */
static uint32_t bit_at(const gear__side *side, const gear__ref_segment *segment, uint32_t w, uint32_t token, uint32_t channel)
{
    channel -= segment->first;
    return side->is_v ? gear__v_bit(w, token, channel) : gear__k_bit(w, segment->channels / GEAR__STEP, token, channel);
}

uint32_t gear__ref_code_get(const gear__side *side, const uint8_t *head, uint32_t token, uint32_t channel)
{
    const gear__ref_segment segment = gear__ref_segment_of(side, channel);
    uint32_t w = gear__main_plane(segment.bits), high = gear__high_plane(segment.bits);
    const uint8_t *plane = head + side->codes + segment.planes;
    uint32_t code = gear__ref_bits_get(plane, bit_at(side, &segment, w, token, channel), w);
    if (high) {
        plane += 8u * segment.channels * w;
        code |= gear__ref_bits_get(plane, bit_at(side, &segment, high, token, channel), high) << w;
    }
    return code;
}

void gear__ref_code_set(const gear__side *side, uint8_t *head, uint32_t token, uint32_t channel, uint32_t code)
{
    const gear__ref_segment segment = gear__ref_segment_of(side, channel);
    uint32_t w = gear__main_plane(segment.bits), high = gear__high_plane(segment.bits);
    uint8_t *plane = head + side->codes + segment.planes;
    gear__ref_bits_set(plane, bit_at(side, &segment, w, token, channel), w, code);
    if (high) {
        plane += 8u * segment.channels * w;
        gear__ref_bits_set(plane, bit_at(side, &segment, high, token, channel), high, code >> w);
    }
}

/* Where the scale is; the lo is `distance` halves later. */
static uint8_t *pair_at(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, uint32_t token,
                        uint32_t channel, uint32_t *distance)
{
    uint32_t d = shape->head_dim;
    switch (side->axis) {
    case GEAR__AXIS_CHANNEL_GROUP:
        *distance = d;
        return place.head + side->pairs + 2u * (token / side->group * 2u * d + channel);
    case GEAR__AXIS_TOKEN_GROUP:
        *distance = GEAR__BLOCK;
        return place.head + side->pairs + 2u * (channel / side->group * 2u * GEAR__BLOCK + token);
    case GEAR__AXIS_CHANNEL_SEGMENT: *distance = d; return place.seg + side->seg_pairs[cls] + 2u * channel;
    default: /* GEAR__AXIS_TOKEN_ALL */ *distance = GEAR__BLOCK; return place.shared + side->shared_pairs + 2u * token;
    }
}

gear__ref_pair gear__ref_pair_get(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place,
                                  uint32_t token, uint32_t channel)
{
    uint32_t distance;
    const uint8_t *at = pair_at(shape, side, cls, place, token, channel, &distance);
    return (gear__ref_pair){gear__ref_load_half(at, 0), gear__ref_load_half(at, distance)};
}

void gear__ref_pair_set(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, uint32_t token,
                        uint32_t channel, gear__ref_pair pair)
{
    uint32_t distance;
    uint8_t *at = pair_at(shape, side, cls, place, token, channel, &distance);
    gear__ref_store_half(at, 0, pair.scale);
    gear__ref_store_half(at, distance, pair.lo);
}

float gear__ref_inverse(uint16_t scale)
{
    int exponent = scale >> 10 & 0x1f;
    uint32_t mantissa = scale & 0x3ffu;
    if (exponent) {
        mantissa |= 0x400u;
    } else {
        exponent = 1;
        while (!(mantissa & 0x400u)) {
            mantissa <<= 1;
            exponent--;
        }
    }
    return ldexpf((float)((1u << 31) / mantissa), -31 - (exponent - 25));
}

/* Rule 6: the candidate c of d / scale, off by at most one, made exact and clamped. */
static int32_t corrected(float c, float d, float scale, int32_t low, int32_t high)
{
    float above = fmaf(-(c + 0.5f), scale, d), below = fmaf(-(c - 0.5f), scale, d);
    int odd = (int32_t)c & 1;
    if (above > 0 || (above == 0 && odd)) {
        c += 1;
    } else if (below < 0 || (below == 0 && odd)) {
        c -= 1;
    }
    return c < (float)low ? low : c > (float)high ? high : (int32_t)c;
}

int32_t gear__ref_divide(float d, uint16_t scale, int32_t low, int32_t high)
{
    return scale ? corrected(rintf(d * gear__ref_inverse(scale)), d, gear__float_from_half(scale), low, high) : 0;
}

int32_t gear__ref_quotient(float d, float scale, int32_t low, int32_t high)
{
    float c = rintf(d / scale);
    c = c < (float)low ? (float)low : c > (float)high ? (float)high : c;
    return corrected(c, d, scale, low, high);
}

float gear__ref_dequantize(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place,
                           uint32_t token, uint32_t channel)
{
    uint32_t code = gear__ref_code_get(side, place.head, token, channel);
    if (side->axis == GEAR__AXIS_NONE) {
        return gear__float_from_half((uint16_t)code);
    }
    if (gear__is_mixed(side)) {
        return gear__ref_mixed_value(side, gear__ref_mixed_scale(side, place.head, token, channel),
                                     gear__ref_segment_of(side, channel).bits, code);
    }
    gear__ref_pair pair = gear__ref_pair_get(shape, side, cls, place, token, channel);
    return fmaf((float)code, gear__float_from_half(pair.scale), gear__float_from_half(pair.lo));
}

float gear__ref_factor_get(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, int which,
                           uint32_t column, uint32_t index)
{
    const uint8_t *at = which ? place.seg + side->b[cls] : place.head + side->a[cls];
    uint32_t element = column * (which ? shape->head_dim : GEAR__BLOCK) + index;
    if (side->factor_bits == 16) {
        return gear__float_from_half(gear__ref_load_half(at, element));
    }
    int32_t code;
    if (side->factor_bits == 8) {
        code = (int8_t)at[element];
    } else {
        code = (int32_t)((uint32_t)at[element / 2u] >> 4u * (element & 1u) & 15u) - 8;
    }
    uint16_t scale = gear__ref_load_half(place.seg + side->factors[cls], column + (which ? side->rank[cls] : 0u));
    return (float)code * gear__float_from_half(scale);
}

float gear__ref_lowrank(const gear__shape *shape, const gear__side *side, uint32_t cls, gear__ref_place place, uint32_t token,
                        uint32_t channel)
{
    float sum = 0;
    for (uint32_t j = 0; j < side->rank[cls]; j++) {
        sum = fmaf(gear__ref_factor_get(shape, side, cls, place, 0, j, token),
                   gear__ref_factor_get(shape, side, cls, place, 1, j, channel), sum);
    }
    return sum;
}
