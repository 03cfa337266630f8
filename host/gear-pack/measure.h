/* measure.h: one codec on one input: append, attend, reconstruct, compare. */
#ifndef GEAR_PACK_MEASURE_H
#define GEAR_PACK_MEASURE_H

#include "../common/codec_flags.h"
#include "input.h"

/* Keeps one cache of one layer, as long as codec and geometry stay the same. Start from zero with the first three set. */
typedef struct measurer {
    const device *dev;
    gear_context *context;
    const codec_flags *flags; /* exact_first, window, recent */
    gear_cache *cache;
    gear_codec_pair codec;
    uint64_t tokens;
    uint32_t kv_heads, query_heads, head_dim, queries;
    bool warm; /* the cache has run its verbs once */
} measurer;

typedef struct sample {
    gear_bytes bytes;
    uint64_t compressed;                /* tokens */
    double rel_k, rel_v, rel_attention; /* NaN where there are no queries */
    double residual_k, residual_v;      /* squared error over the compressed tokens */
    double append_ms, attend_ms;
} sample;

/* The first run of a cache appends (and attends) once before the run that is timed. */
bool measure(measurer *m, const gear_codec_pair *codec, const input *in, sample *out, host_error *error);
/* Only residual_k and residual_v; nothing is timed. */
bool measure_residual(measurer *m, const gear_codec_pair *codec, const input *in, sample *out, host_error *error);
void measurer_free(measurer *m);

/* Whether two codecs are the same in every field. */
bool same_codec(const gear_codec_pair *a, const gear_codec_pair *b);

#endif
