/* candidates.c: the codecs to choose from, see candidates.h. */
#include "candidates.h"

#include <stdio.h>
#include <string.h>

/* Keys on the mixed backbone: segments in quarters of head_dim, and what is added. */
typedef struct key_recipe {
    struct {
        uint8_t quarters, bits;
    } segments[3];
    uint8_t rank;
    float outliers;
    bool in_preset; /* without what is added */
} key_recipe;

static const key_recipe keys[] = {
    {{{1, 4}, {3, 1}}, 0, 0, false},         {{{1, 4}, {1, 2}, {2, 1}}, 0, 0, true},  {{{1, 4}, {2, 2}, {1, 1}}, 0, 0, false},
    {{{1, 4}, {3, 2}}, 0, 0, true},          {{{1, 4}, {3, 2}}, 4, 0, false},         {{{1, 4}, {3, 2}}, 0, 0.01f, false},
    {{{1, 4}, {1, 3}, {2, 2}}, 0, 0, true},  {{{1, 4}, {2, 3}, {1, 2}}, 0, 0, false}, {{{2, 4}, {2, 3}}, 0, 0, true},
    {{{1, 5}, {1, 4}, {2, 3}}, 0, 0, false}, {{{1, 5}, {3, 4}}, 0, 0, true},          {{{2, 5}, {2, 4}}, 0, 0, false},
};
enum { NUM_KEYS = sizeof keys / sizeof *keys, KEY_PROBE = 3 };

/* Values on the mixed backbone, rotated. */
typedef struct value_recipe {
    uint8_t bits, rank;
} value_recipe;

static const value_recipe values[] = {{2, 0}, {2, 2}, {3, 0}, {4, 0}};
enum { NUM_VALUES = sizeof values / sizeof *values, VALUE_PROBE = 0 };

/* For either side: near the halves. At fewer bits the plain backbones lose more than the mixed one at the same bits. */
enum { PLAIN_BITS = 8 };

gear_codec candidate_exact(void)
{
    gear_codec codec;
    gear_codec_init(&codec);
    codec.bits = 16;
    codec.group = 0;
    return codec;
}

static void set_rank(gear_codec *codec, uint32_t rank)
{
    codec->rank_prompt = rank;
    codec->rank_decode = rank < 2 ? rank : 2;
    codec->factor_bits = rank ? 4 : 16;
}

static void make_key(const key_recipe *r, uint32_t head_dim, candidate *out)
{
    const uint32_t quarter = (head_dim / 4 + 8) / 16 * 16;
    uint32_t left = head_dim;
    gear_codec *codec = &out->codec;
    codec->backbone = GEAR_BACKBONE_MIXED;
    size_t used = 0;
    for (uint32_t i = 0; i < 3 && r->segments[i].bits; ++i) {
        const bool last = i == 2 || !r->segments[i + 1].bits;
        const uint32_t wanted = quarter * r->segments[i].quarters, channels = last || wanted > left ? left : wanted;
        if (!channels) /* quarters are rounded: 96 channels have three */
            break;
        left -= channels;
        codec->segments[i] = (gear_segment){(uint16_t)channels, r->segments[i].bits};
        used += (size_t)snprintf(out->name + used, sizeof out->name - used, "%s%ux%u", i ? "+" : "", channels,
                                 (unsigned)r->segments[i].bits);
    }
    set_rank(codec, r->rank);
    if (r->outliers > 0) {
        codec->outlier_fraction = r->outliers;
        codec->outlier_rule = GEAR_OUTLIER_BLOCK;
        codec->delta_bits = 8;
    }
    snprintf(out->name + used, sizeof out->name - used, "%s%s", r->rank ? " L" : "", r->outliers > 0 ? " S" : "");
}

static void make_value(const value_recipe *r, candidate *out)
{
    gear_codec *codec = &out->codec;
    codec->backbone = GEAR_BACKBONE_MIXED;
    codec->bits = r->bits;
    codec->rotate = 1;
    codec->levels = r->bits > 2 ? GEAR_LEVELS_NORMAL : GEAR_LEVELS_UNIFORM;
    set_rank(codec, r->rank);
    snprintf(out->name, sizeof out->name, "%u%s", (unsigned)r->bits, r->rank ? " L" : "");
}

void candidates_make(plan_side side, uint32_t head_dim, bool quick, candidate_list *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < MAX_CANDIDATES; ++i)
        gear_codec_init(&out->items[i].codec);
    for (size_t i = 0; i < (side == PLAN_K ? (size_t)NUM_KEYS : (size_t)NUM_VALUES); ++i) {
        if (quick && (side == PLAN_K ? !keys[i].in_preset : values[i].rank > 0))
            continue;
        if (i == (side == PLAN_K ? KEY_PROBE : VALUE_PROBE))
            out->probe = out->count;
        candidate *c = &out->items[out->count++];
        if (side == PLAN_K)
            make_key(&keys[i], head_dim, c);
        else
            make_value(&values[i], c);
    }
    if (quick)
        return;
    candidate *plain = &out->items[out->count++];
    plain->codec.bits = PLAIN_BITS;
    snprintf(plain->name, sizeof plain->name, "kivi %d", PLAIN_BITS);
}
