/* shape.c: resolves a codec pair into axes, ranks and the byte offset of every part of a record. */
#include "model/shape.h"

#include <math.h>
#include <string.h>

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static uint32_t axis_of(const gear_codec *codec, uint32_t bits, int is_v)
{
    if (bits == 16) {
        return GEAR__AXIS_NONE;
    }
    switch (codec->backbone) {
    case GEAR_BACKBONE_MIXED: return is_v ? GEAR__AXIS_MIXED_TOKEN : GEAR__AXIS_MIXED_CHANNEL;
    case GEAR_BACKBONE_KCVT: return is_v ? GEAR__AXIS_TOKEN_ALL : GEAR__AXIS_CHANNEL_SEGMENT;
    case GEAR_BACKBONE_TOKEN: return GEAR__AXIS_TOKEN_GROUP;
    default: return is_v ? GEAR__AXIS_TOKEN_GROUP : GEAR__AXIS_CHANNEL_GROUP;
    }
}

static void resolve_side(gear__side *side, const gear_codec *codec, uint32_t head_dim, int is_v)
{
    side->is_v = (uint32_t)is_v;
    int segmented = codec->backbone == GEAR_BACKBONE_MIXED && !is_v;
    side->bits = segmented ? codec->segments[0].bits : or_default(codec->bits, 2);
    side->axis = axis_of(codec, side->bits, is_v);
    side->num_segments = 1;
    side->segments[0] = (gear_segment){(uint16_t)head_dim, (uint16_t)side->bits};
    if (segmented) {
        memcpy(side->segments, codec->segments, sizeof side->segments);
        while (side->num_segments < GEAR_MAX_SEGMENTS && side->segments[side->num_segments].channels) {
            side->num_segments++;
        }
        for (uint32_t i = 0; i < side->num_segments; i++) {
            side->weighted |= side->segments[i].bits == 1;
        }
        side->ordered = 1;
    }
    side->rotate = side->axis == GEAR__AXIS_MIXED_TOKEN && codec->rotate;
    side->levels = side->axis == GEAR__AXIS_MIXED_TOKEN && side->bits > 2 ? (uint32_t)codec->levels : 0;
    side->group = or_default(codec->group, 64);
    if (side->axis == GEAR__AXIS_MIXED_TOKEN) {
        side->group = 64;
    }
    if (side->axis == GEAR__AXIS_TOKEN_GROUP && side->group > head_dim) {
        side->group = head_dim;
    }
    if (side->axis != GEAR__AXIS_TOKEN_GROUP && side->axis != GEAR__AXIS_CHANNEL_GROUP &&
        side->axis != GEAR__AXIS_MIXED_TOKEN) {
        side->group = 0;
    }
    side->rank[GEAR__PROMPT] = codec->rank_prompt;
    side->rank[GEAR__DECODE] = codec->rank_decode;
    side->iterations = or_default(codec->power_iterations, 10);
    side->factor_bits = or_default(codec->factor_bits, 16);
    side->outlier_fraction = (double)codec->outlier_fraction;
    side->outlier_rule = (uint32_t)codec->outlier_rule;
    side->delta_bits = side->outlier_fraction > 0 ? or_default(codec->delta_bits, 16) : 0;
    side->outlier_axis = !is_v && codec->backbone != GEAR_BACKBONE_TOKEN ? GEAR__AXIS_CHANNEL_SEGMENT : GEAR__AXIS_TOKEN_ALL;
}

static uint32_t aligned(uint32_t bytes)
{
    return gear__align(bytes, GEAR__RECORD_ALIGN);
}

/* Takes `bytes`, rounded up, at the cursor and returns where they start. */
static uint32_t place(uint32_t *cursor, uint32_t bytes)
{
    uint32_t at = *cursor;
    *cursor += aligned(bytes);
    return at;
}

static uint32_t pair_bytes(const gear__side *side, uint32_t head_dim)
{
    switch (side->axis) {
    case GEAR__AXIS_CHANNEL_GROUP: return 64 / side->group * head_dim * 4;
    case GEAR__AXIS_TOKEN_GROUP: return (head_dim + side->group - 1) / side->group * 64 * 4;
    case GEAR__AXIS_MIXED_CHANNEL: return head_dim * 12 / 8;
    case GEAR__AXIS_MIXED_TOKEN: return (head_dim + 63) / 64 * 64 * 10 / 8;
    default: return 0;
    }
}

static uint32_t code_bytes(const gear__side *side)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < side->num_segments; i++) {
        bytes += 8u * side->segments[i].channels * side->segments[i].bits;
    }
    return bytes;
}

static void place_block(gear__shape *shape)
{
    uint32_t d = shape->head_dim, cursor = 0;
    for (int s = 0; s < 2; s++) {
        gear__side *side = &shape->side[s];
        side->shared_pairs_bytes = side->axis == GEAR__AXIS_TOKEN_ALL ? 64 * 4 : 0;
        side->shared_pairs = place(&cursor, side->shared_pairs_bytes);
    }
    shape->shared_bases_bytes = shape->has_outliers ? shape->kv_heads * 8 : 0;
    shape->shared_bases = place(&cursor, shape->shared_bases_bytes);
    shape->head_first = cursor;

    cursor = 0;
    for (int s = 0; s < 2; s++) {
        gear__side *side = &shape->side[s];
        side->codes_bytes = code_bytes(side);
        side->codes = place(&cursor, side->codes_bytes);
    }
    for (int s = 0; s < 2; s++) { /* the few super scales and delta scales of both sides share one aligned place */
        gear__side *side = &shape->side[s];
        side->supers_bytes = side->axis == GEAR__AXIS_MIXED_CHANNEL ? side->num_segments * 6
                             : side->axis == GEAR__AXIS_MIXED_TOKEN ? 2
                                                                    : 0;
        side->supers = cursor;
        cursor += side->supers_bytes;
    }
    for (int s = 0; s < 2; s++) {
        gear__side *side = &shape->side[s];
        side->delta_scale_bytes = side->delta_bits == 8 ? 2 : 0;
        side->delta_scale = cursor;
        cursor += side->delta_scale_bytes;
    }
    cursor = aligned(cursor);
    for (int s = 0; s < 2; s++) {
        gear__side *side = &shape->side[s];
        side->pairs_bytes = pair_bytes(side, d);
        side->pairs = place(&cursor, side->pairs_bytes);
        side->counts_bytes = side->outlier_fraction <= 0 ? 0 : s ? d : 64 * gear__k_lists_per_token(d);
        side->counts = place(&cursor, side->counts_bytes);
    }
    for (uint32_t cls = 0; cls < 2; cls++) {
        uint32_t end = cursor;
        for (int s = 0; s < 2; s++) {
            gear__side *side = &shape->side[s];
            side->a_bytes[cls] = side->rank[cls] * 64 * side->factor_bits / 8;
            side->a[cls] = place(&end, side->a_bytes[cls]);
        }
        shape->head_stride[cls] = end;
        shape->block_bytes[cls] = shape->head_first + end * shape->kv_heads;
    }
}

static void place_segment(gear__shape *shape)
{
    shape->seg_head_first = aligned(GEAR__SEGMENT_WORDS * 4);
    for (uint32_t cls = 0; cls < 2; cls++) {
        uint32_t cursor = 0;
        for (int s = 0; s < 2; s++) {
            gear__side *side = &shape->side[s];
            side->b_bytes[cls] = side->rank[cls] * shape->head_dim * side->factor_bits / 8;
            side->b[cls] = place(&cursor, side->b_bytes[cls]);
            side->factors_bytes[cls] = side->factor_bits < 16 ? side->rank[cls] * 4 : 0;
            side->factors[cls] = place(&cursor, side->factors_bytes[cls]);
            side->seg_pairs_bytes = side->axis == GEAR__AXIS_CHANNEL_SEGMENT ? shape->head_dim * 4 : 0;
            side->seg_pairs[cls] = place(&cursor, side->seg_pairs_bytes);
        }
        shape->seg_head_stride[cls] = cursor;
        shape->seg_bytes[cls] = shape->seg_head_first + cursor * shape->kv_heads;
    }
}

void gear__shape_init(gear__shape *shape, const gear_cache_desc *desc, const gear_codec_pair *codec)
{
    memset(shape, 0, sizeof *shape);
    shape->head_dim = desc->head_dim;
    shape->kv_heads = desc->num_kv_heads;
    shape->query_heads = or_default(desc->num_query_heads, desc->num_kv_heads);
    resolve_side(&shape->side[0], &codec->k, desc->head_dim, 0);
    resolve_side(&shape->side[1], &codec->v, desc->head_dim, 1);
    shape->has_outliers = shape->side[0].outlier_fraction > 0 || shape->side[1].outlier_fraction > 0;
    place_block(shape);
    place_segment(shape);

    uint32_t window = or_default(desc->window, 64);
    shape->window_tokens = desc->recent + (window > 64 ? window : 64);
    shape->exact_max = desc->exact_first == GEAR_EXACT_AUTO ? 4 : desc->exact_first;
    shape->order_bytes = shape->side[0].ordered ? shape->kv_heads * shape->head_dim : 0;
    shape->exact_bytes = shape->exact_max * shape->kv_heads * shape->head_dim * 4;
}

uint32_t gear__outlier_per_end(double fraction, uint32_t length, uint32_t available)
{
    if (fraction <= 0) {
        return 0;
    }
    uint32_t k = (uint32_t)rint(fraction / 2 * length);
    k = k ? k : 1;
    return k < available / 2 ? k : available / 2;
}

uint32_t gear__outlier_per_block(double fraction, uint32_t head_dim, uint32_t available)
{
    if (fraction <= 0) {
        return 0;
    }
    uint32_t n = (uint32_t)rint(fraction * 64 * head_dim);
    n = n ? n : 1;
    return n < available ? n : available;
}

uint64_t gear__outlier_entries(const gear__shape *shape, const gear__side *side, uint32_t tokens, uint32_t exact)
{
    double s = side->outlier_fraction;
    uint32_t d = shape->head_dim, heads = shape->kv_heads, all = heads * d;
    if (s <= 0) {
        return 0;
    }
    if (side->outlier_rule == GEAR_OUTLIER_BLOCK) {
        uint64_t sum = 0;
        for (uint32_t first = 0; first < tokens; first += 64) {
            uint32_t in_block = tokens - first < 64 ? tokens - first : 64;
            uint32_t fixed = exact > first ? (exact - first < in_block ? exact - first : in_block) : 0;
            sum += gear__outlier_per_block(s, d, (in_block - fixed) * d);
        }
        return sum * heads;
    }
    if (side->outlier_axis == GEAR__AXIS_CHANNEL_SEGMENT) {
        return 2ull * gear__outlier_per_end(s, tokens, tokens - exact) * all;
    }
    return 2ull * gear__outlier_per_end(s, all, all) * (tokens - exact);
}

uint64_t gear__outlier_part(const gear__shape *shape, uint32_t cls, uint64_t entries_k, uint64_t entries_v, int part)
{
    const uint64_t bytes[4] = {entries_k, entries_k * shape->side[0].delta_bits / 8, entries_v,
                               entries_v * shape->side[1].delta_bits / 8};
    uint64_t at = shape->seg_bytes[cls];
    for (int i = 0; i < part; i++) {
        at += (bytes[i] + GEAR__RECORD_ALIGN - 1) / GEAR__RECORD_ALIGN * GEAR__RECORD_ALIGN;
    }
    return at;
}

static uint64_t granules(uint64_t bytes)
{
    return (bytes + GEAR__GRANULE - 1) / GEAR__GRANULE;
}

uint64_t gear__segment_granules(const gear__shape *shape, uint32_t cls, uint64_t entries_k, uint64_t entries_v)
{
    return granules(gear__outlier_part(shape, cls, entries_k, entries_v, 4));
}

uint32_t gear__block_granules(const gear__shape *shape, uint32_t cls)
{
    return (uint32_t)granules(shape->block_bytes[cls]);
}

void gear__count_segment(const gear__shape *shape, uint32_t cls, uint32_t blocks, uint64_t entries_k, uint64_t entries_v,
                         gear_bytes *bytes)
{
    uint64_t h = shape->kv_heads, n = blocks;
    gear_bytes add = {0};
    for (int s = 0; s < 2; s++) {
        const gear__side *side = &shape->side[s];
        add.codes += n * h * side->codes_bytes;
        add.scales += n * (h * (side->pairs_bytes + side->supers_bytes) + side->shared_pairs_bytes) + h * side->seg_pairs_bytes;
        add.lowrank += n * h * side->a_bytes[cls] + h * (side->b_bytes[cls] + side->factors_bytes[cls]);
        add.outliers += n * h * (side->counts_bytes + side->delta_scale_bytes);
        add.outliers += (s ? entries_v : entries_k) * (1 + side->delta_bits / 8);
    }
    add.outliers += n * shape->shared_bases_bytes;
    add.total =
        GEAR__GRANULE * (n * gear__block_granules(shape, cls) + gear__segment_granules(shape, cls, entries_k, entries_v)) +
        n * GEAR__BLOCK_WORDS * 4;
    add.tables = add.total - add.codes - add.scales - add.lowrank - add.outliers;
    bytes->codes += add.codes;
    bytes->scales += add.scales;
    bytes->lowrank += add.lowrank;
    bytes->outliers += add.outliers;
    bytes->tables += add.tables;
    bytes->total += add.total;
}
