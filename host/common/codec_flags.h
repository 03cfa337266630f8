/* codec_flags.h: the codec flags that gear-pack and gear-info share. */
#ifndef HOST_CODEC_FLAGS_H
#define HOST_CODEC_FLAGS_H

#include <argp.h>

#include "recipe.h"

typedef struct codec_flags {
    recipe plain;       /* what the flags other than --preset say */
    const char *preset; /* --preset; excludes the flags of one codec */
    uint32_t v_rank, scale_bits;
    float v_outliers;
    const char *segments; /* --k-segments */
    bool codec_given;     /* a flag of one codec was given */
    bool exact_given, window_given, recent_given;
    bool k_bits_given, decode_rank_given, v_rank_given, v_outliers_given;
    bool overrides; /* set before parsing: the flags change codecs that are named elsewhere, see codec_flags_override */
    uint32_t given; /* a bit for each flag, by its place in the table of flags */
} codec_flags;

/* The plain 2-bit KIVI codec, nothing exact, a window of 64, recent 0. */
void codec_flags_init(codec_flags *flags);

/* A child parser; its input is a codec_flags. */
extern const struct argp codec_argp;

/* Whether the flags name one recipe, and whether any flag was given at all. */
bool codec_flags_one(const codec_flags *flags);
bool codec_flags_any(const codec_flags *flags);

/* The recipe that the flags name, for this head_dim: the preset with what --exact-first, --window and --recent change, or
 * `plain`. */
bool codec_flags_recipe(const codec_flags *flags, uint32_t head_dim, recipe *out, host_error *error);

/* Changes what the given flags say in a recipe that came from elsewhere, and leaves the rest; --preset is not among them. What
 * they make of V follows the rules of --help. */
void codec_flags_override(const codec_flags *flags, recipe *r);

#endif
