/* recipe.h: what decides how a cache stores tokens: the codecs and what stays exact; by preset or put together from flags. */
#ifndef HOST_RECIPE_H
#define HOST_RECIPE_H

#include "error.h"

typedef struct recipe {
    gear_codec_pair codecs;
    uint32_t exact_first, window, recent;
    const char *preset; /* its name, owned by the library; NULL: no preset */
} recipe;

/* The longest segment of all programs that measure, count or run codecs, so that they compress in the same segments. */
enum { RECIPE_MOST_SEGMENT_TOKENS = 4096 };

/* A preset of the library for this head_dim. */
bool recipe_preset(const char *name, uint32_t head_dim, recipe *out, host_error *error);

/* Writes the recipe's part of a cache's descriptor; the codecs are borrowed. */
void recipe_apply(const recipe *r, gear_cache_desc *desc);

/* gear_cache_desc's max_segment_tokens for sequences of at most so many tokens: the whole prompt, up to
 * RECIPE_MOST_SEGMENT_TOKENS. */
uint32_t recipe_segment_tokens(uint64_t tokens);

/* Whether two recipes store the same bits; preset names do not count. */
bool recipe_same(const recipe *a, const recipe *b);

/* Whether K has a channel order, for which append takes the mean square of the queries. */
bool recipe_ordered(const recipe *r);

/* "kivi-2 +L+S", "kcvt-k2v4 +L", "mixed-16x4+48x2 v2 +L", "16-bit". Named only where they differ from the
 * default: a group other than 64, and on the mixed backbone V that is not rotated. */
void recipe_name(const recipe *r, char *out, size_t size);

/* What the name leaves out, where it is not the default or, of a preset, the preset's: "rank=4:2 decode-rank=2:2 iters=5:5
 * factor-bits=4:4 outliers=0.02:0 rule=block:block exact-first=4 window=128 recent=64"; of K and V; "" where nothing is. Two
 * recipes with the same name and details store the same bits. */
void recipe_details(const recipe *r, uint32_t head_dim, char *out, size_t size);

#endif
