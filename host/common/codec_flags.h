/* codec_flags.h: the codec flags that gear-pack and gear-info share, and the short name of a codec. */
#ifndef HOST_CODEC_FLAGS_H
#define HOST_CODEC_FLAGS_H

#include <argp.h>
#include <stdbool.h>

#include "gear/gear.h"

typedef struct codec_flags {
    gear_codec_pair pair;
    uint32_t exact_first, window, recent;
    bool codec_given; /* a flag other than --exact-first, --window and --recent was given */
    bool given;       /* any of the flags was given */
    bool decode_rank_given;
} codec_flags;

/* The plain 2-bit KIVI codec, nothing exact, a window of 64, recent 0. */
void codec_flags_init(codec_flags *flags);

/* A child parser; its input is a codec_flags. */
extern const struct argp codec_argp;

/* The part of a cache's descriptor that the flags decide; the codec is borrowed from `pair`. */
void codec_flags_apply(const codec_flags *flags, const gear_codec_pair *pair, gear_cache_desc *desc);

/* "kivi-2 +L+S", "kcvt-k2v4 +L", "16-bit"; a group other than 64 is named where the backbone has one. */
void codec_name(const gear_codec_pair *pair, char *out, size_t size);

#endif
