/* usage.c: see usage.h. */
#include "usage.h"

#include "../gear-pack/measure.h"

static gear_cache_desc describe(const workshop *shop, const plan *p)
{
    const capture *c = shop->captured;
    const input *in = &c->inputs[0];
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    recipe_apply(&p->codecs.base, &desc);
    desc.codecs = p->codecs.layers;
    desc.num_codecs = p->codecs.count;
    desc.num_layers = c->layers;
    desc.num_kv_heads = in->kv_heads;
    desc.num_query_heads = in->query_heads;
    desc.head_dim = in->head_dim;
    desc.capacity_sequences = 1;
    desc.capacity_tokens = in->tokens;
    desc.max_segment_tokens = recipe_segment_tokens(in->tokens);
    return desc;
}

static bool fill(const workshop *shop, gear_cache *cache, plan *p, host_error *error)
{
    const capture *c = shop->captured;
    const input *in = &c->inputs[0];
    const append_how how = {shop->dev->queue, c->prompt, false};
    gear_error detail = {0};
    gear_sequence sequence;
    gear_bytes bytes;
    uint64_t tokens, compressed;
    bool ok = gear_ok(gear_sequence_add(cache, &sequence, &detail), &detail, error);
    for (uint32_t l = 0; ok && l < c->layers; ++l)
        ok = append_input(cache, l, sequence, &c->inputs[l], &how, error);
    if (!ok || !cl_ok(clFinish(shop->dev->queue), "clFinish", error) ||
        !gear_ok(gear_sequence_length(cache, sequence, 0, &tokens, &compressed, &detail), &detail, error) ||
        !gear_ok(gear_cache_bytes(cache, GEAR_ALL_LAYERS, &bytes, &detail), &detail, error))
        return false;
    p->bits = 8.0 * (double)report_compressed(&bytes) /
              (2.0 * c->layers * in->kv_heads * in->head_dim * (double)(compressed ? compressed : 1));
    return true;
}

bool plan_bits(const workshop *shop, plan *p, host_error *error)
{
    gear_error detail = {0};
    gear_cache *cache = NULL;
    const gear_cache_desc desc = describe(shop, p);
    const bool ok =
        gear_ok(gear_cache_create(shop->context, &desc, &cache, &detail), &detail, error) && fill(shop, cache, p, error);
    gear_cache_destroy(cache);
    return ok;
}

bool plan_least_bits(const workshop *shop, const plan *p, double *bits, host_error *error)
{
    gear_error detail = {0};
    gear_cache_plan found;
    const gear_cache_desc desc = describe(shop, p);
    gear_cache_plan_init(&found);
    if (!gear_ok(gear_cache_query(shop->context, &desc, &found, &detail), &detail, error))
        return false;
    *bits = found.prompt_bits < found.decode_bits ? found.prompt_bits : found.decode_bits;
    return true;
}
