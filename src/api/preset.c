/* preset.c: codecs by name. Segments count in quarters q of head_dim, rounded to steps of 16 channels. */
#include <string.h>

#include "api/internal.h"

/* Segments of K: channels in units of q, 0 meaning the rest. */
typedef struct preset {
    const char *name;
    gear_backbone backbone;
    uint32_t v_bits;
    gear_segment segments[3];      /* mixed */
    uint32_t k_rank[2], v_rank[2]; /* prompt, decode */
    uint32_t factor_bits;
    float outliers;
} preset;

static const preset presets[] = {
    {"mix_2_2", GEAR_BACKBONE_MIXED, 2, {{1, 4}, {1, 2}, {0, 1}}, {0, 0}, {0, 0}, 16, 0},
    {"mix_2_5", GEAR_BACKBONE_MIXED, 2, {{1, 4}, {0, 2}}, {0, 0}, {0, 0}, 16, 0},
    {"kivi_2", GEAR_BACKBONE_KIVI, 2, {{0, 0}}, {0, 0}, {0, 0}, 16, 0},
    {"token_2", GEAR_BACKBONE_TOKEN, 2, {{0, 0}}, {0, 0}, {0, 0}, 16, 0},
    {"gear_2_6", GEAR_BACKBONE_MIXED, 2, {{1, 4}, {0, 2}}, {4, 2}, {0, 0}, 4, 0},
    {"mix_2_6", GEAR_BACKBONE_MIXED, 2, {{1, 4}, {1, 3}, {0, 2}}, {0, 0}, {0, 0}, 16, 0},
    {"mix_3_1", GEAR_BACKBONE_MIXED, 3, {{1, 4}, {1, 3}, {0, 2}}, {0, 0}, {0, 0}, 16, 0},
    {"mix_3_5", GEAR_BACKBONE_MIXED, 3, {{2, 4}, {0, 3}}, {0, 0}, {0, 0}, 16, 0},
    {"kivi_3", GEAR_BACKBONE_KIVI, 3, {{0, 0}}, {0, 0}, {0, 0}, 16, 0},
    {"paper_2bit_l", GEAR_BACKBONE_KIVI, 2, {{0, 0}}, {4, 2}, {4, 2}, 16, 0},
    {"kcvt_4", GEAR_BACKBONE_KCVT, 4, {{0, 0}}, {0, 0}, {0, 0}, 16, 0},
    {"paper_2bit", GEAR_BACKBONE_KIVI, 2, {{0, 0}}, {4, 2}, {4, 2}, 16, 0.02f},
    {"mix_4_4", GEAR_BACKBONE_MIXED, 4, {{1, 5}, {0, 4}}, {0, 0}, {0, 0}, 16, 0},
    {"kivi_4", GEAR_BACKBONE_KIVI, 4, {{0, 0}}, {0, 0}, {0, 0}, 16, 0},
    {"token_4", GEAR_BACKBONE_TOKEN, 4, {{0, 0}}, {0, 0}, {0, 0}, 16, 0},
    {"paper_4bit", GEAR_BACKBONE_KCVT, 4, {{0, 0}}, {4, 2}, {4, 2}, 16, 0.02f},
};

#define NUM_PRESETS (sizeof presets / sizeof *presets)

const char *gear_preset_name(uint32_t index)
{
    return index < NUM_PRESETS ? presets[index].name : NULL;
}

static void fill_codec(gear_codec *codec, const preset *p, const uint32_t rank[2])
{
    gear_codec_init(codec);
    codec->backbone = p->backbone;
    codec->bits = p->v_bits;
    codec->rank_prompt = rank[0];
    codec->rank_decode = rank[1];
    codec->factor_bits = p->factor_bits;
    codec->outlier_fraction = p->outliers;
}

static void fill_segments(gear_codec *k, const preset *p, uint32_t head_dim)
{
    uint32_t q = (head_dim / 4 + 8) / 16 * 16, left = head_dim;
    for (uint32_t i = 0; i < 3 && p->segments[i].bits; i++) {
        uint32_t channels = p->segments[i].channels ? p->segments[i].channels * q : left;
        k->segments[i] = (gear_segment){(uint16_t)channels, p->segments[i].bits};
        left -= channels;
    }
}

gear_status gear_preset(const char *name, gear_cache_desc *desc, gear_codec_pair *codecs, gear_error *error)
{
    static const char where[] = "gear_preset";
    const preset *p = NULL;
    name = name ? name : GEAR_PRESET_DEFAULT;
    if (!desc || !codecs) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", desc ? "codecs" : "desc");
    }
    for (size_t i = 0; i < NUM_PRESETS; i++) {
        p = strcmp(presets[i].name, name) ? p : &presets[i];
    }
    if (!p) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where,
                          "name is \"%.60s\", which is no preset (gear_preset_name lists them)", name);
    }
    gear_status status = gear__head_dim_check(desc->head_dim, where, error);
    if (status) {
        return status;
    }
    int mixed = p->backbone == GEAR_BACKBONE_MIXED;
    fill_codec(&codecs->k, p, p->k_rank);
    fill_codec(&codecs->v, p, p->v_rank);
    if (mixed) {
        codecs->k.bits = 2; /* not read */
        fill_segments(&codecs->k, p, desc->head_dim);
        codecs->v.rotate = 1;
        codecs->v.levels = p->v_bits > 2 ? GEAR_LEVELS_NORMAL : GEAR_LEVELS_UNIFORM;
    }
    desc->codecs = codecs;
    desc->num_codecs = 1;
    desc->window = 64;
    desc->recent = mixed ? 64 : 0;
    desc->exact_first = mixed ? GEAR_EXACT_AUTO : 0;
    return GEAR_OK;
}
