/* kv_cache.c: the library's cache of a model, see kv_cache.h. */
#include "kv_cache.h"

#include <math.h>

#include "report.h"

static uint64_t whole_blocks(uint64_t tokens)
{
    return (tokens + GEAR_BLOCK_TOKENS - 1) / GEAR_BLOCK_TOKENS * GEAR_BLOCK_TOKENS;
}

static void describe(const model *m, const kv_spec *spec, const kv_size *size, gear_cache_desc *desc)
{
    const uint64_t longest = whole_blocks(size->tokens);
    gear_cache_desc_init(desc);
    desc->num_layers = m->layers;
    desc->num_kv_heads = m->kv_heads;
    desc->num_query_heads = m->heads;
    desc->head_dim = m->head_dim;
    desc->capacity_sequences = size->sequences;
    desc->max_query_tokens = size->query_tokens;
    desc->max_sequence_tokens = longest;
    desc->capacity_tokens = longest * size->sequences;
    kv_spec_apply(spec, desc);
    desc->max_segment_tokens = recipe_segment_tokens(longest);
}

bool kv_cache_query(gear_context *context, const model *m, const kv_spec *spec, const kv_size *size, gear_cache_plan *plan,
                    host_error *error)
{
    gear_error detail = {0};
    gear_cache_desc desc;
    describe(m, spec, size, &desc);
    gear_cache_plan_init(plan);
    return gear_ok(gear_cache_query(context, &desc, plan, &detail), &detail, error);
}

bool kv_cache_create(gear_context *context, const model *m, const kv_spec *spec, const kv_size *size, kv_cache *out,
                     host_error *error)
{
    gear_error detail = {0};
    gear_cache_desc desc;
    kv_cache kv = {.spec = spec,
                   .layers = m->layers,
                   .kv_heads = m->kv_heads,
                   .head_dim = m->head_dim,
                   .query_tokens = size->query_tokens,
                   .ordered = kv_spec_ordered(spec)};
    if (!kv_cache_query(context, m, spec, size, &kv.plan, error))
        return false;
    describe(m, spec, size, &desc);
    if (!gear_ok(gear_cache_create(context, &desc, &kv.cache, &detail), &detail, error))
        return false;
    *out = kv;
    return true;
}

void kv_cache_free(kv_cache *kv)
{
    gear_cache_destroy(kv->cache);
    *kv = (kv_cache){0};
}

bool kv_cache_add(kv_cache *kv, gear_sequence *sequence, host_error *error)
{
    gear_error detail = {0};
    return gear_ok(gear_sequence_add(kv->cache, sequence, &detail), &detail, error);
}

bool kv_cache_remove(kv_cache *kv, gear_sequence sequence, host_error *error)
{
    gear_error detail = {0};
    return gear_ok(gear_sequence_remove(kv->cache, sequence, &detail), &detail, error);
}

bool kv_cache_room(const kv_cache *kv, gear_sequence sequence, uint64_t *tokens, host_error *error)
{
    gear_error detail = {0};
    const recipe *r = &kv->spec->base;
    uint64_t length = 0, compressed = 0, window = r->window ? r->window : 64;
    if (!gear_ok(gear_sequence_length(kv->cache, sequence, 0, &length, &compressed, &detail), &detail, error))
        return false;
    uint64_t waiting = length - compressed;
    if (waiting >= r->recent + window)
        waiting -= (waiting - r->recent) / window * window;
    *tokens = r->recent + window - waiting;
    return true;
}

bool kv_cache_usage(const kv_cache *kv, const gear_sequence *sequences, uint32_t count, kv_usage *out, host_error *error)
{
    gear_error detail = {0};
    *out = (kv_usage){0};
    if (!gear_ok(gear_cache_bytes(kv->cache, GEAR_ALL_LAYERS, &out->bytes, &detail), &detail, error))
        return false;
    for (uint32_t i = 0; i < count; ++i) {
        uint64_t tokens, compressed;
        if (!gear_ok(gear_sequence_length(kv->cache, sequences[i], 0, &tokens, &compressed, &detail), &detail, error))
            return false;
        out->tokens += tokens;
        out->compressed += compressed;
    }
    const double values = 2.0 * kv->layers * kv->kv_heads * kv->head_dim;
    const double waiting = (double)(out->tokens - out->compressed), bits = 8.0 * (double)report_compressed(&out->bytes);
    out->bits_per_value = out->compressed ? bits / (values * (double)out->compressed) : NAN;
    out->bits_with_window = out->tokens ? bits / (values * (double)out->tokens) + 16.0 * waiting / (double)out->tokens : NAN;
    return true;
}
