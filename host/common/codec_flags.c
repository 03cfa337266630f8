/* codec_flags.c: codec flags and names, see codec_flags.h.
 * Ranges are the library's to check: it names the field and its value. */
#include "codec_flags.h"

#include <stdio.h>

#include "args.h"

static const char *const backbones[] = {"kivi", "kcvt", "token", "mixed"};
static const char *const levels[] = {"uniform", "normal"};
static const char *const rules[] = {"vector", "block"};

enum {
    KEY_BACKBONE = 0x500,
    KEY_K_BITS,
    KEY_V_BITS,
    KEY_GROUP,
    KEY_RANK,
    KEY_DECODE_RANK,
    KEY_ITERS,
    KEY_FACTOR_BITS,
    KEY_OUTLIERS,
    KEY_RULE,
    KEY_EXACT,
    KEY_WINDOW,
    KEY_RECENT,
    KEY_SEGMENTS,
    KEY_ROTATE,
    KEY_LEVELS
};

static const struct argp_option options[] = {
    {0, 0, NULL, 0, "One codec, for K and V:", 10},
    {"backbone", KEY_BACKBONE, "NAME", 0, "kivi, kcvt, token or mixed [kivi]", 0},
    {"k-bits", KEY_K_BITS, "N", 0, "Bits of K: 2, 3, 4, 8 or 16 [2]", 0},
    {"v-bits", KEY_V_BITS, "N", 0, "Bits of V [2]", 0},
    {"group", KEY_GROUP, "N", 0, "Values that share a scale: 16, 32, 64; along channels also 128 [64]", 0},
    {"rank", KEY_RANK, "N", 0, "Rank of the low-rank part of a prompt segment, 0 to 8 [0]", 0},
    {"decode-rank", KEY_DECODE_RANK, "N", 0, "The same of a decode segment [the smaller of 2 and --rank]", 0},
    {"iters", KEY_ITERS, "N", 0, "Power iterations, 1 to 16 [3]", 0},
    {"factor-bits", KEY_FACTOR_BITS, "N", 0, "Storage of the low-rank factors: 16, 8 or 4 [16]", 0},
    {"outliers", KEY_OUTLIERS, "FRACTION", 0, "Share of the values kept exact, 0 to 0.10 [0]", 0},
    {"outlier-rule", KEY_RULE, "RULE", 0, "vector (the paper's) or block [vector]", 0},
    {"k-segments", KEY_SEGMENTS, "LIST", 0, "mixed: channels x bits of K by importance, such as 16x4,48x2; bits 1 to 5 or 8", 0},
    {"rotate-v", KEY_ROTATE, NULL, 0, "mixed: rotate V by a Hadamard matrix along head_dim", 0},
    {"levels", KEY_LEVELS, "NAME", 0, "mixed: levels of V, uniform or normal (Lloyd-Max) [uniform]", 0},
    {0, 0, NULL, 0, "What is not compressed, for any codec:", 11},
    {"exact-first", KEY_EXACT, "N", 0, "First tokens kept exact, 0 to 64 [0]", 0},
    {"window", KEY_WINDOW, "N", 0, "Tokens of a decode segment [64]", 0},
    {"recent", KEY_RECENT, "N", 0, "Newest tokens that are never compressed [0]", 0},
    {0}};

void codec_flags_init(codec_flags *flags)
{
    *flags = (codec_flags){.window = 64};
    gear_codec_init(&flags->pair.k);
    gear_codec_init(&flags->pair.v);
}

static void set_rank(codec_flags *flags, uint32_t prompt)
{
    flags->pair.k.rank_prompt = flags->pair.v.rank_prompt = prompt;
}

static void set_decode_rank(codec_flags *flags, uint32_t decode)
{
    flags->pair.k.rank_decode = flags->pair.v.rank_decode = decode;
}

/* "16x4,48x2"; the library checks the numbers. */
static void parse_segments(gear_codec *k, const char *text, struct argp_state *state)
{
    const char *at = text;
    for (unsigned i = 0; *at; i++) {
        unsigned channels, bits;
        int used = 0;
        if (i == GEAR_MAX_SEGMENTS || sscanf(at, "%5ux%1u%n", &channels, &bits, &used) != 2 || (at[used] && at[used] != ',')) {
            argp_error(state, "--k-segments %s: expected up to %u of CHANNELSxBITS with commas between", text, GEAR_MAX_SEGMENTS);
            return;
        }
        k->segments[i] = (gear_segment){(uint16_t)channels, (uint16_t)bits};
        at += used + (at[used] == ',');
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    codec_flags *flags = state->input;
    gear_codec *k = &flags->pair.k, *v = &flags->pair.v;
    switch (key) {
    case KEY_BACKBONE:
        k->backbone = v->backbone = (gear_backbone)args_choice("backbone", text, backbones, 4, state);
        break;
    case KEY_K_BITS:
        k->bits = args_u32("k-bits", text, state);
        break;
    case KEY_V_BITS:
        v->bits = args_u32("v-bits", text, state);
        break;
    case KEY_GROUP:
        k->group = v->group = args_u32("group", text, state);
        break;
    case KEY_RANK:
        set_rank(flags, args_u32("rank", text, state));
        break;
    case KEY_DECODE_RANK:
        set_decode_rank(flags, args_u32("decode-rank", text, state));
        flags->decode_rank_given = true;
        break;
    case KEY_ITERS:
        k->power_iterations = v->power_iterations = args_u32("iters", text, state);
        break;
    case KEY_FACTOR_BITS:
        k->factor_bits = v->factor_bits = args_u32("factor-bits", text, state);
        break;
    case KEY_OUTLIERS:
        k->outlier_fraction = v->outlier_fraction = args_float("outliers", text, state);
        break;
    case KEY_RULE:
        k->outlier_rule = v->outlier_rule = (gear_outlier_rule)args_choice("outlier-rule", text, rules, 2, state);
        break;
    case KEY_SEGMENTS:
        parse_segments(k, text, state);
        break;
    case KEY_ROTATE:
        v->rotate = 1;
        break;
    case KEY_LEVELS:
        v->levels = (gear_levels)args_choice("levels", text, levels, 2, state);
        break;
    case KEY_EXACT:
        flags->exact_first = args_u32("exact-first", text, state);
        flags->given = true;
        return 0;
    case KEY_WINDOW:
        flags->window = args_u32("window", text, state);
        flags->given = true;
        return 0;
    case KEY_RECENT:
        flags->recent = args_u32("recent", text, state);
        flags->given = true;
        return 0;
    case ARGP_KEY_END:
        if (!flags->decode_rank_given)
            set_decode_rank(flags, k->rank_prompt < 2 ? k->rank_prompt : 2);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    flags->codec_given = flags->given = true;
    return 0;
}

const struct argp codec_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

void codec_flags_apply(const codec_flags *flags, const gear_codec_pair *pair, gear_cache_desc *desc)
{
    desc->exact_first = flags->exact_first;
    desc->window = flags->window;
    desc->recent = flags->recent;
    desc->codecs = pair;
    desc->num_codecs = 1;
}

void codec_name(const gear_codec_pair *pair, char *out, size_t size)
{
    const gear_codec *k = &pair->k, *v = &pair->v;
    char bits[32], group[24] = "";
    if (k->bits == 16 && v->bits == 16) {
        snprintf(out, size, "16-bit");
        return;
    }
    if (k->backbone == GEAR_BACKBONE_MIXED) {
        size_t used = (size_t)snprintf(out, size, "mixed");
        for (unsigned i = 0; i < GEAR_MAX_SEGMENTS && k->segments[i].channels && used < size; i++)
            used += (size_t)snprintf(out + used, size - used, "%c%ux%u", i ? '+' : '-', k->segments[i].channels, k->segments[i].bits);
        if (used < size)
            snprintf(out + used, size - used, " v%u%s%s", v->bits, k->rank_prompt || v->rank_prompt ? " +L" : "",
                     k->outlier_fraction > 0 || v->outlier_fraction > 0 ? "+S" : "");
        return;
    }
    if (k->bits == v->bits)
        snprintf(bits, sizeof bits, "%u", k->bits);
    else
        snprintf(bits, sizeof bits, "k%uv%u", k->bits, v->bits);
    if (k->group != 64 && k->backbone != GEAR_BACKBONE_KCVT)
        snprintf(group, sizeof group, " g%u", k->group);
    bool lowrank = k->rank_prompt > 0, outliers = k->outlier_fraction > 0;
    snprintf(out, size, "%s-%s%s%s%s%s", backbones[k->backbone], bits, group, lowrank || outliers ? " " : "",
             lowrank ? "+L" : "", outliers ? "+S" : "");
}
