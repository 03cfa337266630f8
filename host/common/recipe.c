/* recipe.c: presets, comparison and names of recipes, see recipe.h. */
#include "recipe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *find_preset(const char *name)
{
    for (uint32_t i = 0;; ++i) {
        const char *known = gear_preset_name(i);
        if (!known || !strcmp(known, name))
            return known;
    }
}

bool recipe_preset(const char *name, uint32_t head_dim, recipe *out, host_error *error)
{
    gear_error detail = {0};
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    desc.head_dim = head_dim;
    *out = (recipe){.preset = find_preset(name)};
    if (!gear_ok(gear_preset(name, &desc, &out->codecs, &detail), &detail, error))
        return false;
    out->exact_first = desc.exact_first;
    out->window = desc.window;
    out->recent = desc.recent;
    return true;
}

uint32_t recipe_segment_tokens(uint64_t tokens)
{
    const uint64_t whole = (tokens + GEAR_BLOCK_TOKENS - 1) / GEAR_BLOCK_TOKENS * GEAR_BLOCK_TOKENS;
    return whole < RECIPE_MOST_SEGMENT_TOKENS ? (uint32_t)whole : RECIPE_MOST_SEGMENT_TOKENS;
}

void recipe_apply(const recipe *r, gear_cache_desc *desc)
{
    desc->exact_first = r->exact_first;
    desc->window = r->window;
    desc->recent = r->recent;
    desc->codecs = &r->codecs;
    desc->num_codecs = 1;
}

/* A field for which 0 means `value`. */
static uint32_t or_default(uint32_t field, uint32_t value)
{
    return field ? field : value;
}

/* Values that share a scale; 0 where the codec has no choice of them: of 16 bits, KCVT and mixed. */
static uint32_t group_of(const gear_codec *codec)
{
    bool chosen = codec->backbone == GEAR_BACKBONE_KIVI || codec->backbone == GEAR_BACKBONE_TOKEN;
    return chosen && codec->bits != 16 ? or_default(codec->group, 64) : 0;
}

static bool same_codec(const gear_codec *a, const gear_codec *b)
{
    return a->backbone == b->backbone && or_default(a->bits, 2) == or_default(b->bits, 2) && group_of(a) == group_of(b) &&
           a->rank_prompt == b->rank_prompt && a->rank_decode == b->rank_decode &&
           or_default(a->power_iterations, 10) == or_default(b->power_iterations, 10) &&
           or_default(a->factor_bits, 16) == or_default(b->factor_bits, 16) &&
           or_default(a->delta_bits, 16) == or_default(b->delta_bits, 16) && !(a->outlier_fraction < b->outlier_fraction) &&
           !(a->outlier_fraction > b->outlier_fraction) && a->outlier_rule == b->outlier_rule &&
           !memcmp(a->segments, b->segments, sizeof a->segments) && a->rotate == b->rotate && a->levels == b->levels;
}

bool recipe_same(const recipe *a, const recipe *b)
{
    return same_codec(&a->codecs.k, &b->codecs.k) && same_codec(&a->codecs.v, &b->codecs.v) &&
           a->exact_first == b->exact_first && a->window == b->window && a->recent == b->recent;
}

bool recipe_ordered(const recipe *r)
{
    return r->codecs.k.backbone == GEAR_BACKBONE_MIXED;
}

/* A string that grows inside out[size] and is cut where it does not fit. */
typedef struct text {
    char *out;
    size_t size, used;
} text;

__attribute__((format(printf, 2, 3))) static void put(text *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int length = vsnprintf(t->out + t->used, t->size - t->used, format, list);
    va_end(list);
    t->used += length > 0 ? (size_t)length : 0;
    t->used = t->used < t->size ? t->used : t->size - 1;
}

static void put_mixed(text *t, const gear_codec *k, const gear_codec *v)
{
    put(t, "mixed");
    for (unsigned i = 0; i < GEAR_MAX_SEGMENTS && k->segments[i].channels; ++i)
        put(t, "%c%ux%u", i ? '+' : '-', k->segments[i].channels, k->segments[i].bits);
    put(t, " v%u%s%s", v->bits, v->levels == GEAR_LEVELS_NORMAL ? "n" : "", v->rotate ? "" : " unrotated");
}

static void put_plain(text *t, const gear_codec *k, const gear_codec *v)
{
    static const char *const backbones[] = {"kivi", "kcvt", "token"};
    put(t, k->bits == v->bits ? "%s-%u" : "%s-k%uv%u", backbones[k->backbone], k->bits, v->bits);
    if (k->group != 64 && k->backbone != GEAR_BACKBONE_KCVT)
        put(t, " g%u", k->group);
}

void recipe_name(const recipe *r, char *out, size_t size)
{
    const gear_codec *k = &r->codecs.k, *v = &r->codecs.v;
    text t = {out, size, 0};
    bool mixed = k->backbone == GEAR_BACKBONE_MIXED;
    if (k->bits == 16 && v->bits == 16 && !mixed) {
        put(&t, "16-bit");
        return;
    }
    if (mixed)
        put_mixed(&t, k, v);
    else
        put_plain(&t, k, v);
    bool lowrank = k->rank_prompt || v->rank_prompt, outliers = k->outlier_fraction > 0 || v->outlier_fraction > 0;
    if (lowrank || outliers)
        put(&t, " %s%s%s", lowrank ? "+L" : "", outliers ? "+S" : "", outliers && k->delta_bits == 8 ? "8" : "");
}

static void put_pair(text *t, const char *name, uint32_t k, uint32_t v, uint32_t usual)
{
    if (k != usual || v != usual)
        put(t, " %s=%u:%u", name, k, v);
}

/* Of a side with low rank; the default elsewhere. */
static uint32_t iterations(const gear_codec *codec)
{
    return codec->rank_prompt || codec->rank_decode ? or_default(codec->power_iterations, 10) : 10;
}

static uint32_t factor_bits(const gear_codec *codec)
{
    return codec->rank_prompt || codec->rank_decode ? or_default(codec->factor_bits, 16) : 16;
}

static void put_codecs(text *t, const gear_codec *k, const gear_codec *v)
{
    static const char *const rules[] = {"vector", "block"};
    const bool outliers = k->outlier_fraction > 0 || v->outlier_fraction > 0;
    put_pair(t, "rank", k->rank_prompt, v->rank_prompt, 0);
    put_pair(t, "decode-rank", k->rank_decode, v->rank_decode, 0);
    put_pair(t, "iters", iterations(k), iterations(v), 10);
    put_pair(t, "factor-bits", factor_bits(k), factor_bits(v), 16);
    if (outliers)
        put(t, " outliers=%g:%g", (double)k->outlier_fraction, (double)v->outlier_fraction);
    if (outliers && (k->outlier_rule || v->outlier_rule))
        put(t, " rule=%s:%s", rules[k->outlier_rule], rules[v->outlier_rule]);
}

void recipe_details(const recipe *r, uint32_t head_dim, char *out, size_t size)
{
    recipe usual = {.window = 64};
    host_error unused = {0};
    text t = {out, size, 0};
    out[0] = 0;
    if (!r->preset)
        put_codecs(&t, &r->codecs.k, &r->codecs.v);
    else
        (void)recipe_preset(r->preset, head_dim, &usual, &unused); /* it made *r */
    if (r->exact_first != usual.exact_first && r->exact_first == GEAR_EXACT_AUTO)
        put(&t, " exact-first=auto");
    else if (r->exact_first != usual.exact_first)
        put(&t, " exact-first=%u", r->exact_first);
    if (r->window != usual.window)
        put(&t, " window=%u", r->window);
    if (r->recent != usual.recent)
        put(&t, " recent=%u", r->recent);
    if (out[0])
        memmove(out, out + 1, strlen(out));
}
