/* reconstruct.c: gear_reconstruct: dense K and V of a range of tokens. */
#include <string.h>

#include "api/internal.h"

static const char where[] = "gear_reconstruct";

/* Tiles of the sequence that hold the range: blocks, exact tokens, window, in the order of attend.clh. All up to the end where
 * the range touches more than blocks. */
static void tiles_of(const gear__slot *slot, uint32_t first, uint32_t end, uint32_t *first_tile, uint32_t *tiles)
{
    uint32_t exact = slot->exact && slot->num_blocks ? 1 : 0, window = (slot->length - slot->first + 63) / 64;
    uint32_t lo = 0, hi = slot->num_blocks + exact + window;
    if (first >= slot->first) { /* in the window only */
        lo = slot->num_blocks + exact + (first - slot->first) / 64;
        hi = slot->num_blocks + exact + (end - slot->first + 63) / 64;
    } else {
        while (lo + 1 < slot->num_blocks && slot->blocks[lo + 1].word[GEAR__BLOCK_FIRST] <= first) {
            lo++;
        }
        if (first >= slot->exact && end <= slot->first) {
            hi = lo + 1;
            while (hi < slot->num_blocks && slot->blocks[hi].word[GEAR__BLOCK_FIRST] < end) {
                hi++;
            }
        }
    }
    *first_tile = lo;
    *tiles = hi - lo;
}

gear_status gear_reconstruct(gear_cache *cache, uint32_t layer_index, gear_sequence sequence, uint64_t first, uint64_t count,
                             const gear_view *k, const gear_view *v, const gear_sync *sync, gear_error *error)
{
    gear_status status = gear__verb_check(cache, layer_index, sync, where, error);
    if (status) {
        return status;
    }
    uint32_t slot_index = gear__find_slot(cache, sequence);
    if (slot_index == UINT32_MAX) {
        return gear__fail(error, GEAR_ERROR_SEQUENCE, where, "sequence %llu is not in this cache",
                          (unsigned long long)sequence);
    }
    gear__layer *layer = &cache->layers[layer_index];
    const gear__slot *slot = &layer->slots[slot_index];
    if (!count || first >= slot->length || count > slot->length - first) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "tokens %llu + %llu are not in the sequence, which has %u",
                          (unsigned long long)first, (unsigned long long)count, slot->length);
    }
    if (!k && !v) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "k and v are both NULL");
    }
    const gear_view *views[2] = {k, v};
    gear__tensor tensors[2];
    uint32_t n = (uint32_t)count, first_tile, tiles, advance;
    for (int s = 0; s < 2 && !status; s++) {
        if (views[s]) {
            status = gear__output_check(cache, views[s], s ? "v" : "k", cache->desc.num_kv_heads, 1, NULL, n, where,
                                        &tensors[s], error);
        }
    }
    gear__stream stream;
    status = status ? status : gear__stream_begin(&stream, &cache->context->device, sync, where, error);
    if (status) {
        return status;
    }
    tiles_of(slot, (uint32_t)first, (uint32_t)(first + count), &first_tile, &tiles);
    memset(cache->words, 0, GEAR__SEQ_WORDS * sizeof *cache->words);
    cache->words[GEAR__SEQ_SLOT] = slot_index;
    cache->words[GEAR__SEQ_LENGTH] = slot->length;
    cache->words[GEAR__SEQ_FIRST] = slot->first;
    cache->words[GEAR__SEQ_BLOCKS] = slot->num_blocks;
    cache->attend_list.count = 0; /* the kernel takes the length as it is */
    status = gear__list_update(cache, &stream, layer, &cache->attend_list, 1, 0, &advance, error);
    for (uint32_t s = 0; s < 2 && !status; s++) {
        if (views[s]) {
            status = gear__reconstruct(&stream, &layer->memory, cache->attend_list.mem, s, (uint32_t)first, n, first_tile,
                                       tiles, &tensors[s], error);
        }
    }
    return gear__stream_end(&stream, status, error);
}
