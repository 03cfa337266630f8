/* kv_cache.h: the library's cache for one model and one spec. */
#ifndef GEAR_LLM_KV_CACHE_H
#define GEAR_LLM_KV_CACHE_H

#include "kv_spec.h"
#include "model.h"

typedef struct kv_cache {
    gear_cache *cache;    /* owned */
    const kv_spec *spec;  /* borrowed */
    gear_cache_plan plan; /* what was allocated, which kernel attends */
    uint32_t layers, kv_heads, head_dim;
    uint32_t query_tokens; /* most queries of a sequence in one call */
    bool ordered;          /* wants the mean square of a prompt's queries */
} kv_cache;

/* What a cache holds. */
typedef struct kv_size {
    uint32_t sequences;
    uint64_t tokens; /* of each, at most */
    uint32_t query_tokens;
} kv_size;

/* The library's answer for such a cache, before it is made. */
bool kv_cache_query(gear_context *context, const model *m, const kv_spec *spec, const kv_size *size, gear_cache_plan *plan,
                    host_error *error);

/* Compiles the kernels and allocates all memory; spec is borrowed for the cache's life. */
bool kv_cache_create(gear_context *context, const model *m, const kv_spec *spec, const kv_size *size, kv_cache *out,
                     host_error *error);
/* All zero is harmless. */
void kv_cache_free(kv_cache *kv);

bool kv_cache_add(kv_cache *kv, gear_sequence *sequence, host_error *error);
bool kv_cache_remove(kv_cache *kv, gear_sequence sequence, host_error *error);

/* How many tokens may come in the next call so that it equals as many single steps: no segment is compressed between them. At
 * least 1. */
bool kv_cache_room(const kv_cache *kv, gear_sequence sequence, uint64_t *tokens, host_error *error);

/* What is in use. */
typedef struct kv_usage {
    gear_bytes bytes;
    uint64_t tokens, compressed; /* of all sequences given */
    double bits_per_value;       /* of compressed tokens, all that they occupy counted; NaN without any */
    double bits_with_window;     /* of all tokens, the window's halves counted too */
} kv_usage;
bool kv_cache_usage(const kv_cache *kv, const gear_sequence *sequences, uint32_t count, kv_usage *out, host_error *error);

#endif
