/* recipes.c: the recipes of the default table, see rows.h: the paper's and the presets. */
#include <stdlib.h>

#include "rows.h"

enum { PAPER_ROWS = 28 };

static void paper_recipes(const recipe *base, recipe *list)
{
    static const gear_backbone backbones[] = {GEAR_BACKBONE_TOKEN, GEAR_BACKBONE_KCVT, GEAR_BACKBONE_KIVI};
    gear_codec codec;
    gear_codec_init(&codec);
    codec.bits = 16;
    *list = *base;
    list->codecs = (gear_codec_pair){codec, codec};
    for (int b = 0; b < 3; ++b)
        for (uint32_t bits = 2; bits <= 4; ++bits)
            for (int parts = 0; parts < 3; ++parts) {
                gear_codec_init(&codec);
                codec.backbone = backbones[b];
                codec.bits = bits;
                codec.rank_prompt = parts > 0 ? 4 : 0;
                codec.rank_decode = parts > 0 ? 2 : 0;
                codec.outlier_fraction = parts > 1 ? 0.02f : 0.0f;
                *++list = *base;
                list->codecs = (gear_codec_pair){codec, codec};
            }
}

recipe *default_recipes(const codec_flags *flags, uint32_t head_dim, size_t *count, host_error *error)
{
    uint32_t presets = 0;
    while (gear_preset_name(presets))
        ++presets;
    recipe *list = malloc((PAPER_ROWS + presets) * sizeof *list);
    if (!list) {
        fail(error, EXIT_DEVICE, "host memory exhausted");
        return NULL;
    }
    paper_recipes(&flags->plain, list);
    *count = PAPER_ROWS;
    for (uint32_t i = 0; i < presets; ++i) {
        recipe r;
        if (!recipe_preset(gear_preset_name(i), head_dim, &r, error)) {
            free(list);
            return NULL;
        }
        r.window = flags->plain.window;
        r.recent = flags->plain.recent;
        r.exact_first = flags->exact_given ? flags->plain.exact_first : r.exact_first;
        size_t at = 0;
        while (at < *count && !recipe_same(&list[at], &r))
            ++at;
        list[at] = r;
        *count += at == *count;
    }
    return list;
}
