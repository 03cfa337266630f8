/* stage_cases.c: see the header. The table covers each head_dim, axis, number of bits, group, factor width and outlier rule on
 * both sides with few distinct kernels; no two cases agree in all options of attend_1_partial. */
#include "stage_cases.h"

#include <math.h>
#include <string.h>

#include "model/half.h"
#include "stage_bench.h"

#define KIVI   GEAR_BACKBONE_KIVI
#define KCVT   GEAR_BACKBONE_KCVT
#define TOKEN  GEAR_BACKBONE_TOKEN
#define VECTOR GEAR_OUTLIER_VECTOR
#define BLOCK  GEAR_OUTLIER_BLOCK
#define MIXED  GEAR_BACKBONE_MIXED
/* The rules with deltas of 8 bits. */
#define VECTOR8 GEAR_OUTLIER_VECTOR, .delta_bits = 8
#define BLOCK8  GEAR_OUTLIER_BLOCK, .delta_bits = 8
#define CODEC(kind, width, size, prompt, decode, passes, stored, share, rule)                                                  \
  {                                                                                                                            \
    .struct_size = sizeof(gear_codec), .backbone = kind, .bits = width, .group = size, .rank_prompt = prompt,                  \
    .rank_decode = decode, .power_iterations = passes, .factor_bits = stored, .outlier_fraction = share, .outlier_rule = rule  \
  }
#define MIXED_K(prompt, decode, stored, share, rule, ...)                                                                      \
  {                                                                                                                            \
    .struct_size = sizeof(gear_codec), .backbone = MIXED, .bits = 2, .rank_prompt = prompt, .rank_decode = decode,             \
    .factor_bits = stored, .outlier_fraction = share, .outlier_rule = rule, .segments = {                                      \
        __VA_ARGS__                                                                                                            \
    }                                                                                                                          \
  }
#define MIXED_V(width, turned, kind, share, rule)                                                                              \
  {                                                                                                                            \
    .struct_size = sizeof(gear_codec), .backbone = MIXED, .bits = width, .outlier_fraction = share, .outlier_rule = rule,      \
    .rotate = turned, .levels = kind                                                                                           \
  }

static const stage_case cases[] = {
    {"kivi2 d64", 64, 2, 1, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.02f, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.02f, VECTOR)},
    {"kivi3 d80 n20", 80, 1, 3, 1, 20, 0, 1, GEAR_BF16, 1, CODEC(KIVI, 3, 16, 2, 1, 2, 4, 0.03f, BLOCK8),
     CODEC(KIVI, 3, 32, 2, 8, 3, 8, 0.03f, BLOCK)},
    {"mixed421 d80 n20", 80, 2, 1, 2, 20, 0, 1, GEAR_BF16, 1, MIXED_K(0, 2, 8, 0.02f, BLOCK8, {16, 4}, {16, 2}, {48, 1}),
     MIXED_V(3, 1, GEAR_LEVELS_NORMAL, 0.02f, BLOCK8)},
    {"kcvt4 d64 n20", 64, 3, 1, 2, 20, 10, 4, GEAR_F32, 1, CODEC(KCVT, 4, 0, 8, 3, 3, 8, 0.02f, VECTOR8),
     CODEC(KCVT, 4, 0, 8, 3, 3, 4, 0.02f, VECTOR8)},
    {"token4 d96", 96, 2, 4, 5, 64, 8, 0, GEAR_F16, 1, CODEC(TOKEN, 4, 128, 1, 0, 1, 16, 0.05f, VECTOR),
     CODEC(TOKEN, 8, 64, 0, 4, 3, 16, 0.001f, VECTOR)},
    {"kivi24 d128", 128, 3, 1, 3, 33, 64, 4, GEAR_F32, 0, CODEC(KIVI, 2, 32, 0, 8, 3, 16, 0.01f, BLOCK8),
     CODEC(KIVI, 4, 128, 4, 4, 4, 16, 0.0001f, BLOCK)},
    {"kivi83 d256", 256, 1, 2, 1, 64, 0, 2, GEAR_F32, 0, CODEC(KIVI, 8, 64, 4, 4, 3, 8, 0.10f, VECTOR),
     CODEC(KIVI, 3, 64, 0, 0, 0, 16, 0.10f, VECTOR8)},
    {"half2 d64 n1", 64, 2, 8, 2, 7, 0, 0, GEAR_BF16, 0, CODEC(KIVI, 16, 0, 0, 0, 0, 0, 0, VECTOR),
     CODEC(KIVI, 2, 16, 0, 2, 3, 8, 0, VECTOR)},
    {"token3 half d128", 128, 1, 7, 1, 64, 5, 64, GEAR_F32, 1, CODEC(TOKEN, 3, 32, 3, 3, 3, 4, 0.02f, BLOCK),
     CODEC(TOKEN, 16, 0, 0, 0, 0, 0, 0, VECTOR)},
    {"kcvt28 d80 n128", 80, 2, 1, 4, 128, 0, 4, GEAR_F16, 0, CODEC(KCVT, 2, 0, 2, 2, 3, 16, 0.10f, BLOCK8),
     CODEC(KCVT, 8, 0, 2, 0, 3, 16, 0.02f, BLOCK)},
    {"token42 d256", 256, 2, 1, 1, 64, 0, 0, GEAR_BF16, 1, CODEC(TOKEN, 4, 16, 0, 0, 0, 0, 0.02f, BLOCK8),
     CODEC(TOKEN, 2, 128, 5, 6, 3, 16, 0.02f, VECTOR)},
    {"half d96", 96, 3, 1, 1, 64, 0, 4, GEAR_F16, 0, CODEC(TOKEN, 16, 0, 0, 0, 0, 0, 0, VECTOR),
     CODEC(KCVT, 16, 0, 0, 0, 0, 0, 0, VECTOR)},
    {"mixed42 d64", 64, 2, 3, 1, 64, 64, 4, GEAR_F16, 0, MIXED_K(4, 2, 4, 0, VECTOR, {16, 4}, {48, 2}),
     MIXED_V(2, 1, GEAR_LEVELS_UNIFORM, 0, VECTOR)},
    {"mixed42 d256", 256, 1, 2, 1, 64, 64, 4, GEAR_F16, 0, MIXED_K(4, 2, 4, 0, VECTOR, {64, 4}, {192, 2}),
     MIXED_V(2, 1, GEAR_LEVELS_UNIFORM, 0, VECTOR)},
    {"mixed54 d96", 96, 1, 4, 1, 64, 0, 0, GEAR_F32, 1, MIXED_K(0, 0, 16, 0.02f, VECTOR8, {32, 5}, {64, 4}),
     MIXED_V(4, 1, GEAR_LEVELS_UNIFORM, 0.01f, VECTOR8)},
    {"mixed8532 d128", 128, 2, 1, 3, 33, 10, 4, GEAR_F16, 0, MIXED_K(2, 1, 16, 0, VECTOR, {16, 8}, {32, 5}, {32, 3}, {48, 2}),
     MIXED_V(4, 0, GEAR_LEVELS_NORMAL, 0, VECTOR)},
    {"mixed31 d256", 256, 1, 2, 1, 64, 0, 2, GEAR_F32, 0, MIXED_K(0, 0, 16, 0.05f, BLOCK8, {64, 3}, {192, 1}),
     MIXED_V(3, 1, GEAR_LEVELS_UNIFORM, 0, VECTOR)},
    {"kivi2 marks d128", 128, 2, 2, 2, 64, 0, 2, GEAR_F16, 0, CODEC(KIVI, 2, 64, 0, 0, 3, 16, 0.10f, VECTOR),
     CODEC(KIVI, 2, 16, 0, 0, 3, 16, 0.10f, VECTOR)}, /* groups of nothing but outliers */
    {"mixed421 kivi2 d64", 64, 2, 2, 2, 64, 10, 4, GEAR_BF16, 0, MIXED_K(4, 2, 4, 0, VECTOR, {16, 4}, {16, 2}, {32, 1}),
     CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0, VECTOR)},
};

/* Without outliers these have the largest work-groups of the nvidia kernel, and small ones where a multiprocessor has room;
 * with so many, more entries of both sides than local memory takes at a time. 4 query rows (paired), or 8 of their own. */
static const stage_case nvidia_cases[] = {
    {"low rank d128, 4 rows", 128, 2, 4, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR)},
    {"low rank d128, 8 rows", 128, 2, 4, 2, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR)},
    {"outliers d128, 4 rows", 128, 1, 4, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.10f, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.10f, VECTOR)},
    {"outliers d128, 8 rows", 128, 1, 4, 2, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.10f, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.10f, VECTOR)},
    {"mixed42 d128, 4 rows", 128, 2, 4, 1, 64, 64, 4, GEAR_F16, 0, MIXED_K(4, 2, 4, 0, VECTOR, {16, 4}, {112, 2}),
     MIXED_V(2, 1, GEAR_LEVELS_UNIFORM, 0, VECTOR)},
    {"outliers d128, 2 heads", 128, 2, 4, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.05f, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.05f, VECTOR)},
    {"outliers d64, 2 heads", 64, 2, 4, 2, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.05f, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0.10f, VECTOR)},
    {"outliers of K d128", 128, 2, 4, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0.05f, VECTOR),
     CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0, VECTOR)},
    {"outliers of V d128", 128, 2, 4, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0, VECTOR),
     CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0.10f, VECTOR8)},
    {"outliers d80, 2 heads", 80, 2, 4, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 16, 4, 2, 3, 16, 0.05f, VECTOR8),
     CODEC(KIVI, 2, 16, 4, 2, 3, 16, 0.10f, VECTOR8)},
};

static const stage_case wide_cases[] = {
    {"wide kivi2 d128 r12", 128, 2, 4, 3, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR)},
    {"wide kivi2 d128 r16", 128, 2, 4, 4, 64, 0, 10, GEAR_F32, 1, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR)},
    {"wide kivi2 d64 r20", 64, 2, 4, 5, 64, 0, 0, GEAR_BF16, 0, CODEC(KIVI, 2, 32, 4, 2, 3, 4, 0, VECTOR),
     CODEC(KIVI, 2, 32, 2, 2, 3, 8, 0, VECTOR)},
    {"wide kivi2 d128 r32", 128, 2, 4, 8, 64, 0, 10, GEAR_F16, 0, CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0, VECTOR),
     CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0, VECTOR)},
    {"wide kcvt2 d96 r16", 96, 1, 16, 1, 64, 0, 0, GEAR_F16, 0, CODEC(KCVT, 2, 0, 4, 2, 3, 16, 0, VECTOR),
     CODEC(KCVT, 2, 0, 0, 0, 0, 16, 0, VECTOR)},
    {"wide mixed42 d128 r16", 128, 2, 4, 4, 64, 64, 4, GEAR_F16, 0, MIXED_K(4, 2, 4, 0, VECTOR, {16, 4}, {112, 2}),
     MIXED_V(2, 1, GEAR_LEVELS_UNIFORM, 0, VECTOR)},
    {"wide mixed5321 d128 r20", 128, 1, 4, 5, 64, 0, 4, GEAR_F32, 0,
     MIXED_K(0, 0, 16, 0, VECTOR, {16, 5}, {64, 3}, {32, 2}, {16, 1}), MIXED_V(3, 1, GEAR_LEVELS_UNIFORM, 0, VECTOR)},
    {"wide mixed421 d64 r12", 64, 2, 4, 3, 64, 10, 4, GEAR_BF16, 0, MIXED_K(4, 2, 4, 0, VECTOR, {16, 4}, {16, 2}, {32, 1}),
     CODEC(KIVI, 2, 64, 0, 0, 0, 16, 0, VECTOR)},
    {"wide kivi2 d80 r20", 80, 2, 4, 5, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 16, 6, 0, 3, 16, 0, VECTOR),
     CODEC(KIVI, 2, 32, 6, 0, 3, 16, 0, VECTOR)},
    {"wide kivi2 d96 r12", 96, 2, 4, 3, 64, 0, 0, GEAR_BF16, 1, CODEC(KIVI, 2, 16, 6, 0, 3, 16, 0, VECTOR),
     CODEC(KIVI, 2, 32, 6, 0, 3, 16, 0, VECTOR)},
    {"wide kivi2 d128 r20 n7", 128, 2, 4, 5, 7, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 16, 0, VECTOR)},
    {"wide mixed42 d128 r20 n7", 128, 2, 4, 5, 7, 0, 4, GEAR_F16, 0, MIXED_K(4, 2, 4, 0, VECTOR, {16, 4}, {112, 2}),
     MIXED_V(2, 1, GEAR_LEVELS_UNIFORM, 0, VECTOR)},
    {"wide kivi2 d128 r16 f8", 128, 2, 4, 4, 64, 0, 0, GEAR_F16, 0, CODEC(KIVI, 2, 64, 4, 2, 3, 8, 0, VECTOR),
     CODEC(KIVI, 2, 64, 4, 2, 3, 8, 0, VECTOR)},
};

const stage_case *stage_nvidia_cases(uint32_t *count)
{
    *count = (uint32_t)(sizeof nvidia_cases / sizeof *nvidia_cases);
    return nvidia_cases;
}

const stage_case *stage_wide_cases(uint32_t *count)
{
    *count = (uint32_t)(sizeof wide_cases / sizeof *wide_cases);
    return wide_cases;
}

const stage_case *stage_cases(uint32_t *count)
{
    *count = stage_tiny() ? 3 : (uint32_t)(sizeof cases / sizeof *cases);
    return cases;
}

int stage_is_both_ways(uint32_t index)
{
    static const char *const names[] = {"kivi2 d64", "token4 d96", "kivi83 d256", "mixed8532 d128"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(cases[index].name, names[i])) {
            return !stage_tiny();
        }
    }
    return 0;
}

int stage_runs(uint32_t index, int is_other, int is_ranked)
{
    const int is_ranked_here = index % 2 == 0;
    return is_other ? is_ranked != is_ranked_here || stage_is_both_ways(index) : is_ranked == is_ranked_here;
}

uint32_t stage_hash(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t h = a * 0x9e3779b1u ^ (b + 0x7f4a7c15u) * 0x85ebca77u ^ (c + 0x165667b1u) * 0xc2b2ae3du;
    for (int i = 0; i < 2; i++) {
        h ^= h >> 16;
        h *= 0x7feb352du;
        h ^= h >> 15;
        h *= 0x846ca68bu;
    }
    return h ^ h >> 16;
}

float stage_normal(uint32_t hash)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 4; i++) {
        sum += hash >> 8 * i & 0xffu;
    }
    return ((float)sum + (float)(hash % 251u) / 251.0f - 510.5f) / 148.0f;
}

static float smooth(uint32_t h, uint32_t head, uint32_t position, uint32_t channel)
{
    float wave = sinf(0.13f * (float)position + (float)head) * cosf(0.7f * (float)channel);
    float strength = channel % 29 == 3 ? 4.0f : 0.5f;
    return strength * stage_normal(h) + wave;
}

static float extreme(uint32_t h, uint32_t position, uint32_t channel)
{
    float sign = h & 1u ? -1.0f : 1.0f;
    if (position % 13 == 5) {
        return 1.25f;
    }
    if (position % 17 == 9) {
        return sign * 0.0f;
    }
    switch (channel % 8) {
    case 0: return 0.1f;
    case 1: return sign * ldexpf((float)(h >> 8 & 1023u), -24);
    case 2: return sign * 0.0f;
    case 3: return sign * (h & 2u ? 65504.0f : 65519.0f);
    case 4: return h >> 8 & 15u ? stage_normal(h) : 60000.0f;
    case 5:
        switch (h >> 8 & 31u) {
        case 0: return NAN;
        case 1: return INFINITY;
        case 2: return -INFINITY;
        case 3: return sign * 65520.0f;
        case 4: return sign * 1e30f;
        default: return stage_normal(h);
        }
    case 6: return rintf(2.0f * stage_normal(h)) / 2.0f;
    default: return ldexpf(stage_normal(h), -(int)(h >> 4 & 31u));
    }
}

float stage_value(stage_data data, uint32_t seed, uint32_t is_v, uint32_t head, uint32_t position, uint32_t channel)
{
    uint32_t h = stage_hash(seed * 2u + is_v, position, head * 256u + channel);
    switch (data) {
    case STAGE_SMOOTH: return smooth(h, head, position, channel);
    case STAGE_TIES: return position % 11 == 7 ? -0.0f : rintf(2.0f * stage_normal(h)) / 2.0f;
    case STAGE_FINE_TIES:
        return channel == 20 || position == 100 ? (float)(h % 3u) - 1.0f : rintf(16.0f * stage_normal(h)) / 16.0f;
    case STAGE_LARGE_CHANNEL:
        if (!is_v && channel == 5) {
            return position % 64 == 11 ? 1200.0f : 0.0f;
        }
        return smooth(h, head, position, channel);
    case STAGE_UNEVEN: {
        int is_large = is_v ? head % 2 == 1 && channel >= 24 : position % 64 == 11;
        return (is_large ? 4.0f : 1.0f) * smooth(h, head, position, channel);
    }
    default: return extreme(h, position, channel);
    }
}

uint32_t stage_element(gear_type type)
{
    return type == GEAR_F32 ? 4 : 2;
}

void stage_store(void *tensor, uint64_t index, gear_type type, float value)
{
    if (type == GEAR_F32) {
        ((float *)tensor)[index] = value;
    } else {
        ((uint16_t *)tensor)[index] = type == GEAR_F16 ? gear__half_from_float(value) : gear__bf16_from_float(value);
    }
}

float stage_load(const void *tensor, uint64_t index, gear_type type)
{
    if (type == GEAR_F32) {
        return ((const float *)tensor)[index];
    }
    uint16_t bits = ((const uint16_t *)tensor)[index];
    return type == GEAR_F16 ? gear__float_from_half(bits) : gear__float_from_bf16(bits);
}
