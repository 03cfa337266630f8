/* sequence.c: names of sequences and what a slot holds. Host state only. */
#include <string.h>

#include "api/internal.h"

uint32_t gear__find_slot(const gear_cache *cache, gear_sequence sequence)
{
    if (!sequence) {
        return UINT32_MAX;
    }
    /* A name is slot + 1 in the low 32 bits and a generation in the high ones. */
    uint32_t slot = (uint32_t)sequence - 1;
    return slot < cache->desc.capacity_sequences && cache->names[slot] == sequence ? slot : UINT32_MAX;
}

void gear__slot_release(gear__layer *layer, gear__slot *slot, uint32_t keep)
{
    const gear__shape *shape = &layer->memory.variant->shape;
    for (uint32_t i = keep; i < slot->planned; i++) {
        gear__block *block = &slot->blocks[i];
        if (block->segment_granules) {
            gear__heap_give(&layer->heap, block->word[GEAR__BLOCK_SEGMENT], block->segment_granules);
        }
        uint32_t cls = GEAR__INFO_CLASS(block->word[GEAR__BLOCK_INFO]);
        gear__heap_give(&layer->heap, block->word[GEAR__BLOCK_OFFSET], gear__block_granules(shape, cls));
    }
    slot->planned = keep;
    if (!keep && slot->order_record != GEAR__HEAP_NONE) {
        gear__heap_give(&layer->heap, slot->order_record, (shape->order_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE);
        slot->order_record = GEAR__HEAP_NONE;
    }
    if (!keep && slot->exact_record != GEAR__HEAP_NONE) {
        gear__heap_give(&layer->heap, slot->exact_record, (shape->exact_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE);
        slot->exact_record = GEAR__HEAP_NONE;
        slot->exact = 0;
    }
}

/* Whoever adds or clears after a command failed on the device must not go on with lists that never got there, nor with counters
 * of work-groups that never came. */
static void forget_device(gear_cache *cache)
{
    cache->counters_unknown = 1;
    cache->append_list.count = cache->attend_list.count = 0;
    memset(cache->tensor_words, 0xff, sizeof cache->tensor_words);
}

static void clear_slot(gear_cache *cache, uint32_t slot_index)
{
    for (uint32_t i = 0; i < cache->desc.num_layers; i++) {
        gear__layer *layer = &cache->layers[i];
        gear__slot *slot = &layer->slots[slot_index];
        gear__slot_release(layer, slot, 0);
        layer->tokens -= slot->length;
        slot->num_blocks = 0;
        slot->length = 0;
        slot->first = 0;
    }
    forget_device(cache);
}

gear_status gear__counters_ready(gear_cache *cache, gear__stream *stream, gear_error *error)
{
    if (!cache->counters_unknown) {
        return GEAR_OK;
    }
    gear_status status = gear__stream_zero(stream, cache->counters, cache->counter_bytes, error);
    cache->counters_unknown = status != GEAR_OK;
    return status;
}

static gear_status find(const gear_cache *cache, gear_sequence sequence, uint32_t *slot, const char *where, gear_error *error)
{
    if (!cache) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "cache is NULL");
    }
    *slot = gear__find_slot(cache, sequence);
    return *slot != UINT32_MAX ? GEAR_OK
                               : gear__fail(error, GEAR_ERROR_SEQUENCE, where, "sequence %llu is not in this cache",
                                            (unsigned long long)sequence);
}

gear_status gear_sequence_add(gear_cache *cache, gear_sequence *sequence, gear_error *error)
{
    static const char where[] = "gear_sequence_add";
    if (!cache || !sequence) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", cache ? "sequence" : "cache");
    }
    for (uint32_t slot = 0; slot < cache->desc.capacity_sequences; slot++) {
        if (!cache->names[slot]) {
            forget_device(cache);
            *sequence = cache->names[slot] = (cache->next_name++ << 32) | (slot + 1);
            return GEAR_OK;
        }
    }
    return gear__fail(error, GEAR_ERROR_CAPACITY, where, "all %u sequences of capacity_sequences are in use",
                      cache->desc.capacity_sequences);
}

gear_status gear_sequence_remove(gear_cache *cache, gear_sequence sequence, gear_error *error)
{
    uint32_t slot;
    gear_status status = find(cache, sequence, &slot, "gear_sequence_remove", error);
    if (!status) {
        clear_slot(cache, slot);
        cache->names[slot] = 0;
    }
    return status;
}

gear_status gear_sequence_clear(gear_cache *cache, gear_sequence sequence, gear_error *error)
{
    uint32_t slot;
    gear_status status = find(cache, sequence, &slot, "gear_sequence_clear", error);
    if (!status) {
        clear_slot(cache, slot);
    }
    return status;
}

gear_status gear_sequence_length(const gear_cache *cache, gear_sequence sequence, uint32_t layer, uint64_t *tokens,
                                 uint64_t *compressed, gear_error *error)
{
    static const char where[] = "gear_sequence_length";
    uint32_t slot;
    gear_status status = find(cache, sequence, &slot, where, error);
    if (status) {
        return status;
    }
    if (layer >= cache->desc.num_layers) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "layer is %u; the cache has %u", layer, cache->desc.num_layers);
    }
    if (!tokens) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "tokens is NULL");
    }
    const gear__slot *s = &cache->layers[layer].slots[slot];
    *tokens = s->length;
    if (compressed) {
        *compressed = s->first;
    }
    return GEAR_OK;
}
