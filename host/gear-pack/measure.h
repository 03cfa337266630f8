/* measure.h: one recipe on one input: append, attend, reconstruct, compare. */
#ifndef GEAR_PACK_MEASURE_H
#define GEAR_PACK_MEASURE_H

#include "../common/recipe.h"
#include "input.h"

/* How an input is appended. */
typedef struct append_how {
    cl_command_queue queue;
    uint64_t prompt; /* tokens of the first call, the others follow 64 at a time; 0: all */
    bool weighted;   /* with the input's mean squares of queries, for a channel order */
} append_how;

/* Enqueues it into one layer of a cache; the sequence is empty there. */
bool append_input(gear_cache *cache, uint32_t layer, gear_sequence sequence, const input *in, const append_how *how,
                  host_error *error);

/* Keeps one cache of one layer, as long as recipe and geometry stay the same. Start from zero with the first five set. */
typedef struct measurer {
    const device *dev;
    gear_context *context;
    bool weighted;   /* a channel order is made with the input's mean square of queries, not by variance alone */
    bool halved;     /* attention is scored with the second half of the queries */
    uint64_t prompt; /* as in append_how */
    gear_cache *cache;
    recipe made; /* what `cache` was made for */
    uint64_t tokens;
    uint32_t kv_heads, query_heads, head_dim, queries;
    bool warm; /* the cache has run its verbs once */
} measurer;

typedef struct sample {
    gear_bytes bytes;
    gear_health replaced; /* values of the input, while it was appended */
    uint64_t compressed;  /* tokens */
    double rel_k, rel_v;
    double rel_attention, rel_attention_all; /* of the queries that score, of all; NaN where there are none */
    double residual_k, residual_v;           /* squared error over the compressed tokens */
    double append_ms, attend_ms;
} sample;

/* The first run of a cache appends (and attends) once before the run that is timed. */
bool measure(measurer *m, const recipe *r, const input *in, sample *out, host_error *error);
/* Only bytes, tokens and the attention errors: no run to warm up, no errors of K and V. */
bool measure_attention(measurer *m, const recipe *r, const input *in, sample *out, host_error *error);
/* Only residual_k and residual_v; nothing is timed. */
bool measure_residual(measurer *m, const recipe *r, const input *in, sample *out, host_error *error);
void measurer_free(measurer *m);

#endif
