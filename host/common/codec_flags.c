/* codec_flags.c: codec flags, see codec_flags.h.
 * Ranges are the library's to check: it names the field and its value. Refused here is what the library would not see. */
#define _POSIX_C_SOURCE 200809L
#include "codec_flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

static const char *const backbones[] = {"kivi", "kcvt", "token", "mixed"};
static const char *const levels[] = {"uniform", "normal"};
static const char *const rules[] = {"vector", "block"};

enum {
    KEY_PRESET = 0x500,
    KEY_BACKBONE,
    KEY_K_BITS,
    KEY_V_BITS,
    KEY_GROUP,
    KEY_RANK,
    KEY_V_RANK,
    KEY_DECODE_RANK,
    KEY_ITERS,
    KEY_FACTOR_BITS,
    KEY_OUTLIERS,
    KEY_V_OUTLIERS,
    KEY_RULE,
    KEY_DELTA_BITS,
    KEY_SEGMENTS,
    KEY_ROTATE,
    KEY_LEVELS,
    KEY_SCALE_BITS,
    KEY_EXACT,
    KEY_WINDOW,
    KEY_RECENT
};

/* The flag's bit in codec_flags.given. */
static uint32_t flag_bit(int key)
{
    return 1u << (key - KEY_PRESET);
}

static const struct argp_option options[] = {
    {0, 0, NULL, 0, "One codec by name:", 10},
    {"preset", KEY_PRESET, "NAME", 0, "One of:", 0}, /* the names: help_text */
    {0, 0, NULL, 0, "One codec, for K and V:", 11},
    {"backbone", KEY_BACKBONE, "NAME", 0, "kivi, kcvt, token or mixed [kivi]", 0},
    {"k-bits", KEY_K_BITS, "N", 0, "Bits of K: 2, 3, 4, 8 or 16 [2]; mixed has --k-segments instead", 0},
    {"v-bits", KEY_V_BITS, "N", 0, "Bits of V [2]; with mixed 2, 3 or 4", 0},
    {"group", KEY_GROUP, "N", 0, "Values that share a scale: 16, 32, 64; along channels also 128 [64]", 0},
    {"rank", KEY_RANK, "N", 0, "Rank of the low-rank part of a prompt segment, 0 to 8 [0]", 0},
    {"v-rank", KEY_V_RANK, "N", 0, "The same of V [that of --rank; with mixed 0]", 0},
    {"decode-rank", KEY_DECODE_RANK, "N", 0, "The same of a decode segment [the smaller of 2 and that of a prompt]", 0},
    {"iters", KEY_ITERS, "N", 0, "Power iterations, 1 to 16 [10]", 0},
    {"factor-bits", KEY_FACTOR_BITS, "N", 0, "Storage of the low-rank factors: 16, 8 or 4 [16]", 0},
    {"outliers", KEY_OUTLIERS, "FRACTION", 0, "Share of the values kept exact, 0 to 0.10 [0]", 0},
    {"v-outliers", KEY_V_OUTLIERS, "FRACTION", 0, "The same of V [that of --outliers; with mixed 0]", 0},
    {"outlier-rule", KEY_RULE, "RULE", 0, "vector (the paper's) or block [vector]", 0},
    {"delta-bits", KEY_DELTA_BITS, "N", 0, "Storage of what an outlier adds: 16, or 8 with a scale a block [16]", 0},
    {0, 0, NULL, 0, "The mixed backbone:", 12},
    {"k-segments", KEY_SEGMENTS, "LIST", 0,
     "Channels x bits of K, the most important first, such as 16x4,48x2: up to 4, channels in steps of 16, bits 1 to 5 or 8",
     0},
    {"rotate-v", KEY_ROTATE, NULL, 0, "Rotate V by a Hadamard matrix along head_dim", 0},
    {"levels", KEY_LEVELS, "NAME", 0, "Levels of V, uniform or normal (Lloyd-Max) [uniform]", 0},
    {"scale-bits", KEY_SCALE_BITS, "N", 0, "Storage of scales: 6 with mixed, 16 with the others; there is no other choice", 0},
    {0, 0, NULL, 0, "What is not compressed, for any codec:", 13},
    {"exact-first", KEY_EXACT, "N", 0, "First tokens kept exact, 0 to 64 [the preset's, or 0]", 0},
    {"window", KEY_WINDOW, "N", 0, "Tokens of a decode segment [the preset's, or 64]", 0},
    {"recent", KEY_RECENT, "N", 0, "Newest tokens that are never compressed [the preset's, or 0]", 0},
    {0}};

void codec_flags_init(codec_flags *flags)
{
    *flags = (codec_flags){.plain.window = 64};
    gear_codec_init(&flags->plain.codecs.k);
    gear_codec_init(&flags->plain.codecs.v);
}

/* "16x4,48x2"; the library checks the numbers. */
static void parse_segments(gear_codec *k, const char *text, const struct argp_state *state)
{
    const char *at = text;
    unsigned count = 0;
    memset(k->segments, 0, sizeof k->segments);
    for (;;) {
        unsigned channels, bits;
        int used = 0;
        if (count == GEAR_MAX_SEGMENTS || at[0] < '0' || at[0] > '9' ||
            sscanf(at, "%4ux%n%1u%n", &channels, &used, &bits, &used) != 2 || (at[used] && at[used] != ',')) {
            argp_failure(state, EXIT_INPUT, 0, "--k-segments: '%s' is not up to %u of CHANNELSxBITS with commas between", text,
                         GEAR_MAX_SEGMENTS);
            return;
        }
        k->segments[count++] = (gear_segment){(uint16_t)channels, (uint16_t)bits};
        if (!at[used])
            return;
        at += used + 1;
    }
}

static void check_preset(const char *name, const struct argp_state *state)
{
    const char *known;
    for (uint32_t i = 0; (known = gear_preset_name(i)); ++i)
        if (!strcmp(known, name))
            return;
    argp_failure(state, EXIT_INPUT, 0, "--preset: '%s' is none of those in --help", name);
}

/* Settles what flags leave open and refuses what makes no sense together. */
static void finish(codec_flags *flags, const struct argp_state *state)
{
    gear_codec *k = &flags->plain.codecs.k, *v = &flags->plain.codecs.v;
    bool mixed = k->backbone == GEAR_BACKBONE_MIXED;
    if (flags->overrides) {
        if (flags->preset)
            argp_failure(state, EXIT_INPUT, 0, "--preset: name it in --kv");
        return;
    }
    if (flags->preset && flags->codec_given)
        argp_failure(state, EXIT_INPUT, 0,
                     "--preset goes with --exact-first, --window and --recent, not with other codec flags");
    if (flags->scale_bits && flags->scale_bits != (mixed ? 6 : 16))
        argp_failure(state, EXIT_INPUT, 0, "--scale-bits: %u, but the %s backbone stores scales in %d bits", flags->scale_bits,
                     backbones[k->backbone], mixed ? 6 : 16);
    if (mixed && flags->k_bits_given)
        argp_failure(state, EXIT_INPUT, 0, "--k-bits: bits of the mixed backbone come with --k-segments");
    if (mixed && !flags->segments)
        argp_failure(state, EXIT_INPUT, 0, "--backbone mixed needs --k-segments");
    if (!mixed && (flags->segments || v->rotate || v->levels))
        argp_failure(state, EXIT_INPUT, 0, "--%s goes with --backbone mixed only",
                     flags->segments ? "k-segments"
                     : v->rotate     ? "rotate-v"
                                     : "levels");
    v->rank_prompt = flags->v_rank_given ? flags->v_rank : mixed ? 0 : k->rank_prompt;
    v->outlier_fraction = flags->v_outliers_given ? flags->v_outliers : mixed ? 0 : k->outlier_fraction;
    if (!flags->decode_rank_given) {
        k->rank_decode = k->rank_prompt < 2 ? k->rank_prompt : 2;
        v->rank_decode = v->rank_prompt < 2 ? v->rank_prompt : 2;
    } else if (!v->rank_prompt && (mixed || flags->v_rank_given)) {
        v->rank_decode = 0;
    }
}

static error_t parse_common(codec_flags *flags, int key, const char *text, const struct argp_state *state)
{
    switch (key) {
    case KEY_PRESET:
        check_preset(text, state);
        flags->preset = text;
        return 0;
    case KEY_EXACT:
        flags->plain.exact_first = args_u32("exact-first", text, state);
        flags->exact_given = true;
        return 0;
    case KEY_WINDOW:
        flags->plain.window = args_u32("window", text, state);
        flags->window_given = true;
        return 0;
    case KEY_RECENT:
        flags->plain.recent = args_u32("recent", text, state);
        flags->recent_given = true;
        return 0;
    case ARGP_KEY_END: finish(flags, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_codec(codec_flags *flags, int key, const char *text, const struct argp_state *state)
{
    gear_codec *k = &flags->plain.codecs.k, *v = &flags->plain.codecs.v;
    switch (key) {
    case KEY_BACKBONE: k->backbone = v->backbone = (gear_backbone)args_choice("backbone", text, backbones, 4, state); return 0;
    case KEY_K_BITS:
        k->bits = args_u32("k-bits", text, state);
        flags->k_bits_given = true;
        return 0;
    case KEY_V_BITS: v->bits = args_u32("v-bits", text, state); return 0;
    case KEY_GROUP: k->group = v->group = args_u32("group", text, state); return 0;
    case KEY_RANK: k->rank_prompt = args_u32("rank", text, state); return 0;
    case KEY_V_RANK:
        flags->v_rank = args_u32("v-rank", text, state);
        flags->v_rank_given = true;
        return 0;
    case KEY_DECODE_RANK:
        k->rank_decode = v->rank_decode = args_u32("decode-rank", text, state);
        flags->decode_rank_given = true;
        return 0;
    case KEY_ITERS: k->power_iterations = v->power_iterations = args_u32("iters", text, state); return 0;
    case KEY_FACTOR_BITS: k->factor_bits = v->factor_bits = args_u32("factor-bits", text, state); return 0;
    case KEY_OUTLIERS: k->outlier_fraction = args_float("outliers", text, state); return 0;
    case KEY_V_OUTLIERS:
        flags->v_outliers = args_float("v-outliers", text, state);
        flags->v_outliers_given = true;
        return 0;
    case KEY_RULE:
        k->outlier_rule = v->outlier_rule = (gear_outlier_rule)args_choice("outlier-rule", text, rules, 2, state);
        return 0;
    case KEY_DELTA_BITS: k->delta_bits = v->delta_bits = args_u32("delta-bits", text, state); return 0;
    case KEY_SEGMENTS:
        parse_segments(k, text, state);
        flags->segments = text;
        return 0;
    case KEY_ROTATE: v->rotate = 1; return 0;
    case KEY_LEVELS: v->levels = (gear_levels)args_choice("levels", text, levels, 2, state); return 0;
    case KEY_SCALE_BITS:
        flags->scale_bits = args_u32("scale-bits", text, state);
        if (!flags->scale_bits)
            argp_failure(state, EXIT_INPUT, 0, "--scale-bits: 0 is neither 6 nor 16");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    codec_flags *flags = state->input;
    error_t result = parse_common(flags, key, text, state);
    if (result == ARGP_ERR_UNKNOWN) {
        result = parse_codec(flags, key, text, state);
        flags->codec_given = flags->codec_given || result == 0;
    }
    if (result == 0 && key >= KEY_PRESET && key <= KEY_RECENT)
        flags->given |= flag_bit(key);
    return result;
}

/* --help names the presets of the library in use. */
static char *help_text(int key, const char *text, void *input)
{
    (void)input;
    if (key != KEY_PRESET)
        return (char *)(uintptr_t)text;
    size_t size = strlen(text) + 1, used = strlen(text);
    const char *name;
    for (uint32_t i = 0; (name = gear_preset_name(i)); ++i)
        size += strlen(name) + 2;
    char *list = malloc(size);
    if (!list)
        return (char *)(uintptr_t)text;
    memcpy(list, text, used + 1);
    for (uint32_t i = 0; (name = gear_preset_name(i)); ++i)
        used += (size_t)snprintf(list + used, size - used, "%s %s", i ? "," : "", name);
    return list;
}

const struct argp codec_argp = {options, parse, NULL, NULL, NULL, help_text, NULL};

bool codec_flags_one(const codec_flags *flags)
{
    return flags->preset || flags->codec_given;
}

bool codec_flags_any(const codec_flags *flags)
{
    return codec_flags_one(flags) || flags->exact_given || flags->window_given || flags->recent_given;
}

bool codec_flags_recipe(const codec_flags *flags, uint32_t head_dim, recipe *out, host_error *error)
{
    *out = flags->plain;
    if (!flags->preset)
        return true;
    if (!recipe_preset(flags->preset, head_dim, out, error))
        return false;
    codec_flags_override(flags, out);
    return true;
}

/* A low-rank part of another rank: the rank of decode segments goes with it, unless it is given too. */
static void set_rank(gear_codec *codec, uint32_t rank, const uint32_t *decode)
{
    codec->rank_prompt = rank;
    codec->rank_decode = !rank ? 0 : decode ? *decode : rank < 2 ? rank : 2;
}

static void override_ranks(const codec_flags *flags, bool mixed, gear_codec_pair *pair)
{
    const gear_codec *k = &flags->plain.codecs.k;
    const uint32_t *decode = flags->decode_rank_given ? &k->rank_decode : NULL;
    bool rank_given = flags->given & flag_bit(KEY_RANK);
    if (rank_given)
        set_rank(&pair->k, k->rank_prompt, decode);
    if (flags->v_rank_given || (rank_given && !mixed))
        set_rank(&pair->v, flags->v_rank_given ? flags->v_rank : k->rank_prompt, decode);
    if (decode && !rank_given && pair->k.rank_prompt)
        pair->k.rank_decode = *decode;
    if (decode && !rank_given && !flags->v_rank_given && pair->v.rank_prompt)
        pair->v.rank_decode = *decode;
}

static void override_parts(const codec_flags *flags, bool mixed, gear_codec_pair *pair)
{
    const gear_codec *k = &flags->plain.codecs.k, *v = &flags->plain.codecs.v;
    if (flags->given & flag_bit(KEY_ITERS))
        pair->k.power_iterations = pair->v.power_iterations = k->power_iterations;
    if (flags->given & flag_bit(KEY_FACTOR_BITS))
        pair->k.factor_bits = pair->v.factor_bits = k->factor_bits;
    if (flags->given & flag_bit(KEY_OUTLIERS)) {
        pair->k.outlier_fraction = k->outlier_fraction;
        pair->v.outlier_fraction = mixed ? pair->v.outlier_fraction : k->outlier_fraction;
    }
    if (flags->v_outliers_given)
        pair->v.outlier_fraction = flags->v_outliers;
    if (flags->given & flag_bit(KEY_RULE))
        pair->k.outlier_rule = pair->v.outlier_rule = k->outlier_rule;
    if (flags->given & flag_bit(KEY_DELTA_BITS))
        pair->k.delta_bits = pair->v.delta_bits = k->delta_bits;
    if (flags->given & flag_bit(KEY_ROTATE))
        pair->v.rotate = v->rotate;
    if (flags->given & flag_bit(KEY_LEVELS))
        pair->v.levels = v->levels;
}

void codec_flags_override(const codec_flags *flags, recipe *r)
{
    const gear_codec *k = &flags->plain.codecs.k, *v = &flags->plain.codecs.v;
    gear_codec_pair *pair = &r->codecs;
    if (flags->given & flag_bit(KEY_BACKBONE))
        pair->k.backbone = pair->v.backbone = k->backbone;
    if (flags->k_bits_given)
        pair->k.bits = k->bits;
    if (flags->given & flag_bit(KEY_V_BITS))
        pair->v.bits = v->bits;
    if (flags->given & flag_bit(KEY_GROUP))
        pair->k.group = pair->v.group = k->group;
    if (flags->segments)
        memcpy(pair->k.segments, k->segments, sizeof k->segments);
    bool mixed = pair->k.backbone == GEAR_BACKBONE_MIXED;
    override_ranks(flags, mixed, pair);
    override_parts(flags, mixed, pair);
    r->exact_first = flags->exact_given ? flags->plain.exact_first : r->exact_first;
    r->window = flags->window_given ? flags->plain.window : r->window;
    r->recent = flags->recent_given ? flags->plain.recent : r->recent;
    r->preset = flags->codec_given ? NULL : r->preset;
}
