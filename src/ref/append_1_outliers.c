/* append_1_outliers.c: marks the outliers (paper, eq. 5; rule 4). Selection is by rank, not by sorting: the smallest key that
 * fewer than `count` candidates exceed, found bit by bit, then candidates of that key in index order. */
#include <math.h>
#include <string.h>

#include "ref/kit.h"

/* The candidates of one selection: `length` places; key_of returns 0 where a place may not be chosen, else a key to rank by. */
typedef struct candidates {
    gear__ref_round *round;
    gear__ref_job job;
    uint32_t length;
    uint32_t (*key_of)(const struct candidates *, uint32_t index);
    size_t (*place_of)(const struct candidates *, uint32_t index); /* index into x and mask */
    uint32_t top_bit;                                              /* of the keys */
    uint32_t head, channel, token, block;
    int smallest;
} candidates;

static uint32_t count_from(const candidates *set, uint32_t key)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->length; i++) {
        count += set->key_of(set, i) >= key;
    }
    return count;
}

/* Marks the `count` largest keys, equal keys by lower index. At least `count` places may be chosen. */
static void mark_largest(const candidates *set, uint32_t count)
{
    if (!count) {
        return;
    }
    uint32_t limit = 0; /* the count-th largest key */
    for (uint32_t bit = set->top_bit; bit; bit >>= 1) {
        if (count_from(set, limit | bit) >= count) {
            limit |= bit;
        }
    }
    uint32_t ties = count - (limit == UINT32_MAX ? 0 : count_from(set, limit + 1));
    for (uint32_t i = 0; i < set->length; i++) {
        uint32_t key = set->key_of(set, i);
        if (key > limit || (key == limit && ties)) {
            ties -= key == limit;
            set->round->mask[set->place_of(set, i)] = GEAR__MASK_OUTLIER;
        }
    }
}

static uint32_t available(const candidates *set)
{
    return count_from(set, 1);
}

static size_t channel_place(const candidates *set, uint32_t index)
{
    return gear__ref_row(set->round, set->head, set->job.row + index) + set->channel;
}

static size_t token_place(const candidates *set, uint32_t index)
{
    uint32_t d = set->round->shape->head_dim;
    return gear__ref_row(set->round, index / d, set->job.row + set->token) + index % d;
}

static size_t block_place(const candidates *set, uint32_t index)
{
    uint32_t d = set->round->shape->head_dim;
    return gear__ref_row(set->round, set->head, set->job.row + set->block * GEAR__BLOCK + index / d) + index % d;
}

/* Order of halves as integers from 1 up; -0 and +0 have one key. */
static uint32_t vector_key(const candidates *set, uint32_t index)
{
    size_t at = set->place_of(set, index);
    if (set->round->mask[at] != GEAR__MASK_NORMAL) {
        return 0;
    }
    uint32_t half = set->round->x[at], magnitude = half & 0x7fffu;
    int negative = (half & 0x8000u) != 0;
    return negative != set->smallest ? 0x8000u - magnitude : 0x8000u + magnitude;
}

/* |x - z| in units of s, which is a number of super scales. */
static float mixed_distance(const gear__side *side, const uint8_t *head, uint32_t token, uint32_t channel, float x)
{
    gear__ref_scale scale = gear__ref_mixed_scale(side, head, token, channel);
    float inverse = gear__ref_inverse(gear__ref_super(side, head, gear__ref_segment_of(side, channel).index, 0));
    uint32_t steps = gear__ref_mixed_pair_get(side, head, token, channel) & 63u;
    return fabsf(x - scale.z) * (inverse * (1.0f / (float)steps));
}

/* 1 + the bits of the float32 |x - mid| * inv(scale): non-negative floats order as their bits do. */
static uint32_t block_key(const candidates *set, uint32_t index)
{
    const gear__shape *shape = set->round->shape;
    const gear__side *side = gear__ref_side(set->round);
    size_t at = set->place_of(set, index);
    if (set->round->mask[at] != GEAR__MASK_NORMAL) {
        return 0;
    }
    gear__ref_place place = gear__ref_place_at(set->round, &set->job, set->block, set->head);
    uint32_t token = index / shape->head_dim, channel = index % shape->head_dim, bits;
    float x = gear__float_from_half(set->round->x[at]), key = 0;
    if (gear__is_mixed(side)) {
        key = mixed_distance(side, place.head, token, channel, x);
    } else {
        gear__ref_pair pair = gear__ref_pair_get(shape, side, set->job.cls, place, token, channel);
        float half_range = 0.5f * (float)((1u << side->bits) - 1u);
        float mid = fmaf(half_range, gear__float_from_half(pair.scale), gear__float_from_half(pair.lo));
        key = pair.scale ? fabsf(x - mid) * gear__ref_inverse(pair.scale) : 0;
    }
    memcpy(&bits, &key, sizeof bits);
    return bits + 1u;
}

static void mark_ends(candidates *set, double fraction)
{
    uint32_t count = gear__outlier_per_end(fraction, set->length, available(set));
    set->smallest = 0;
    mark_largest(set, count);
    set->smallest = 1;
    mark_largest(set, count);
}

static void mark_vectors(candidates *set, const gear__side *side)
{
    const gear__shape *shape = set->round->shape;
    set->key_of = vector_key;
    set->top_bit = 1u << 15;
    if (side->outlier_axis == GEAR__AXIS_CHANNEL_SEGMENT) {
        set->place_of = channel_place;
        set->length = set->job.tokens;
        for (set->head = 0; set->head < shape->kv_heads; set->head++) {
            for (set->channel = 0; set->channel < shape->head_dim; set->channel++) {
                mark_ends(set, side->outlier_fraction);
            }
        }
        return;
    }
    set->place_of = token_place;
    set->length = shape->kv_heads * shape->head_dim;
    for (set->token = 0; set->token < set->job.tokens; set->token++) {
        mark_ends(set, side->outlier_fraction);
    }
}

static void mark_blocks(candidates *set, const gear__side *side)
{
    const gear__shape *shape = set->round->shape;
    set->key_of = block_key;
    set->top_bit = 1u << 31;
    set->place_of = block_place;
    for (set->head = 0; set->head < shape->kv_heads; set->head++) {
        for (set->block = 0; set->block < set->job.blocks; set->block++) {
            set->length = gear__ref_block_tokens(&set->job, set->block) * shape->head_dim;
            mark_largest(set, gear__outlier_per_block(side->outlier_fraction, shape->head_dim, available(set)));
        }
    }
}

void gear__ref_append_1_outliers(gear__ref_round *round)
{
    const gear__side *side = gear__ref_side(round);
    if (side->outlier_fraction <= 0) {
        return;
    }
    for (uint32_t j = 0; j < round->num_jobs; j++) {
        candidates set = {.round = round, .job = gear__ref_job_at(round, j)};
        if (side->outlier_rule == GEAR_OUTLIER_BLOCK) {
            mark_blocks(&set, side);
        } else {
            mark_vectors(&set, side);
        }
    }
}
