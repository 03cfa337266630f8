/* kv_spec.c: the words of --kv, see kv_spec.h. */
#define _POSIX_C_SOURCE 200809L
#include "kv_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec_file.h"

enum { GROUP = 64, WINDOW = 64, RANK_PROMPT = 4, RANK_DECODE = 2 };
#define OUTLIERS 0.02f

static void set_plain(recipe *r, gear_backbone backbone, uint32_t bits, bool lowrank, bool outliers)
{
    gear_codec codec;
    gear_codec_init(&codec);
    codec.backbone = backbone;
    codec.bits = bits;
    codec.group = bits == 16 ? 0 : GROUP;
    codec.rank_prompt = lowrank ? RANK_PROMPT : 0;
    codec.rank_decode = lowrank ? RANK_DECODE : 0;
    codec.outlier_fraction = outliers ? OUTLIERS : 0.0f;
    *r = (recipe){.codecs = {codec, codec}, .window = WINDOW};
}

/* "kivi2+LS". */
static bool parse_plain(const char *word, recipe *r)
{
    static const struct {
        const char *name;
        gear_backbone backbone;
    } backbones[] = {{"kivi", GEAR_BACKBONE_KIVI}, {"kcvt", GEAR_BACKBONE_KCVT}, {"token", GEAR_BACKBONE_TOKEN}};
    static const char *const parts[] = {"", "+L", "+S", "+LS"};
    if (!strcmp(word, "16")) {
        set_plain(r, GEAR_BACKBONE_KIVI, 16, false, false);
        return true;
    }
    for (size_t b = 0; b < sizeof backbones / sizeof *backbones; ++b) {
        size_t length = strlen(backbones[b].name);
        if (strncmp(word, backbones[b].name, length) != 0 || !word[length] || !strchr("2348", word[length]))
            continue;
        for (size_t p = 0; p < sizeof parts / sizeof *parts; ++p)
            if (!strcmp(word + length + 1, parts[p])) {
                set_plain(r, backbones[b].backbone, (uint32_t)(word[length] - '0'), p & 1, p & 2);
                return true;
            }
    }
    return false;
}

static bool is_preset(const char *word)
{
    const char *name;
    for (uint32_t i = 0; (name = gear_preset_name(i)); ++i)
        if (!strcmp(name, word))
            return true;
    return false;
}

static bool is_file(const char *word)
{
    size_t length = strlen(word);
    return strchr(word, '/') || (length > 5 && !strcmp(word + length - 5, ".json"));
}

/* A file's codecs, each with the overrides. */
static bool read_layers(kv_spec *spec, const codec_flags *overrides, uint32_t num_layers, host_error *error)
{
    codec_file file;
    if (!codec_file_read(spec->name, &file, error))
        return false;
    spec->layers = file.layers;
    spec->num_layers = file.count;
    if (file.count != 1 && file.count != num_layers)
        return fail(error, EXIT_INPUT, "%s: codecs for %u layers; the model has %u", spec->name, file.count, num_layers);
    spec->base = file.base;
    for (uint32_t i = 0; i < file.count; ++i) {
        recipe one = file.base;
        one.codecs = file.layers[i];
        codec_flags_override(overrides, &one);
        file.layers[i] = one.codecs;
    }
    codec_flags_override(overrides, &spec->base);
    return true;
}

static bool parse_word(kv_spec *spec, const codec_flags *overrides, uint32_t num_layers, uint32_t head_dim, host_error *error)
{
    if (is_file(spec->name))
        return read_layers(spec, overrides, num_layers, error);
    if (is_preset(spec->name)) {
        if (!recipe_preset(spec->name, head_dim, &spec->base, error))
            return false;
    } else if (!parse_plain(spec->name, &spec->base)) {
        return fail(error, EXIT_INPUT,
                    "--kv: '%s' is neither 16, nor a preset, nor BACKBONE BITS [+L|+S|+LS] such as kivi2+LS, nor a codec file",
                    spec->name);
    }
    if (!kv_spec_is_exact(spec))
        codec_flags_override(overrides, &spec->base);
    return true;
}

bool kv_spec_parse_list(const char *text, const codec_flags *overrides, uint32_t num_layers, uint32_t head_dim,
                        kv_spec_list *out, host_error *error)
{
    size_t count = 1;
    for (const char *c = text; *c; ++c)
        count += *c == ',';
    kv_spec_list list = {.items = calloc(count, sizeof *list.items)};
    bool ok = list.items || fail(error, EXIT_DEVICE, "host memory exhausted");
    while (ok && list.count < count) {
        size_t length = strcspn(text, ",");
        kv_spec *spec = &list.items[list.count++];
        spec->name = strndup(text, length);
        ok = spec->name ? parse_word(spec, overrides, num_layers, head_dim, error)
                        : fail(error, EXIT_DEVICE, "host memory exhausted");
        text += length + (text[length] == ',');
    }
    if (ok)
        *out = list;
    else
        kv_spec_list_free(&list);
    return ok;
}

void kv_spec_list_free(kv_spec_list *list)
{
    for (size_t i = 0; i < list->count; ++i) {
        free(list->items[i].name);
        free(list->items[i].layers);
    }
    free(list->items);
    *list = (kv_spec_list){0};
}

static bool pair_is_exact(const gear_codec_pair *pair)
{
    return pair->k.backbone != GEAR_BACKBONE_MIXED && pair->k.bits == 16 && pair->v.bits == 16;
}

bool kv_spec_is_exact(const kv_spec *spec)
{
    return !spec->layers && pair_is_exact(&spec->base.codecs);
}

bool kv_spec_ordered(const kv_spec *spec)
{
    bool ordered = !spec->layers && recipe_ordered(&spec->base);
    for (uint32_t i = 0; i < spec->num_layers; ++i)
        ordered = ordered || spec->layers[i].k.backbone == GEAR_BACKBONE_MIXED;
    return ordered;
}

void kv_spec_apply(const kv_spec *spec, gear_cache_desc *desc)
{
    recipe_apply(&spec->base, desc);
    if (spec->layers) {
        desc->codecs = spec->layers;
        desc->num_codecs = spec->num_layers;
    }
}
