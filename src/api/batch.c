/* batch.c: checks of the arguments that the verbs share: cache, layer, queue and batch. */
#include <string.h>

#include "api/internal.h"

gear_status gear__verb_check(const gear_cache *cache, uint32_t layer, const gear_sync *sync, const char *where,
                             gear_error *error)
{
    if (!cache || !sync) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", cache ? "sync" : "cache");
    }
    if (layer >= cache->desc.num_layers) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "layer is %u; the cache has %u", layer, cache->desc.num_layers);
    }
    return GEAR_OK;
}

uint32_t gear__batch_tokens(const gear_batch *batch, uint32_t index)
{
    return batch->tokens ? batch->tokens[index] : batch->tokens_each;
}

gear_status gear__batch_check(gear_cache *cache, const gear_batch *batch, int needs_tokens, const char *where,
                              gear_error *error)
{
    if (!batch || (batch->count && !batch->sequences)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", batch ? "batch.sequences" : "batch");
    }
    if (!batch->count || batch->count > cache->desc.capacity_sequences) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "batch.count is %u; it must be 1 to capacity_sequences, %u",
                          batch->count, cache->desc.capacity_sequences);
    }
    uint32_t mark = ++cache->batch_mark;
    if (!mark) { /* wrapped: old marks would look like this batch's */
        memset(cache->marks, 0, cache->desc.capacity_sequences * sizeof *cache->marks);
        mark = cache->batch_mark = 1;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t slot = gear__find_slot(cache, batch->sequences[i]);
        if (slot == UINT32_MAX) {
            return gear__fail(error, GEAR_ERROR_SEQUENCE, where, "batch.sequences[%u] is %llu, which is not in this cache", i,
                              (unsigned long long)batch->sequences[i]);
        }
        if (cache->marks[slot] == mark) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "batch.sequences[%u] is %llu, which occurs twice", i,
                              (unsigned long long)batch->sequences[i]);
        }
        if (needs_tokens && !gear__batch_tokens(batch, i)) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "batch.tokens[%u] is 0; it must be at least 1", i);
        }
        cache->marks[slot] = mark;
        cache->slots[i] = slot;
    }
    return GEAR_OK;
}
