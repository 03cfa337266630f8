/* list.c: the device copy of the batch. A decode loop changes nothing in it but the lengths, all by the same step, which then
 * travels as one argument instead of an upload. */
#include <string.h>

#include "api/internal.h"

/* The common step of all lengths, or UINT32_MAX when anything else differs. */
static uint32_t common_step(const gear__list *list, const uint32_t *words, uint32_t count)
{
    uint32_t step = words[GEAR__SEQ_LENGTH] - list->words[GEAR__SEQ_LENGTH];
    if (count != list->count || step > INT32_MAX) {
        return UINT32_MAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *a = list->words + i * GEAR__SEQ_WORDS, *b = words + i * GEAR__SEQ_WORDS;
        for (uint32_t w = 0; w < GEAR__SEQ_WORDS; w++) {
            if (b[w] - a[w] != (w == GEAR__SEQ_LENGTH ? step : 0)) {
                return UINT32_MAX;
            }
        }
    }
    return step;
}

gear_status gear__list_update(gear_cache *cache, gear__stream *stream, const gear__layer *layer, gear__list *list,
                              uint32_t count, uint32_t more, uint32_t *advance, gear_error *error)
{
    uint32_t words = count * GEAR__SEQ_WORDS;
    *advance = common_step(list, cache->words, count);
    if (*advance != UINT32_MAX &&
        (!more || (list->more == more && !memcmp(list->words + words, cache->words + words, more * sizeof *list->words)))) {
        return GEAR_OK;
    }
    *advance = 0;
    words += more;
    list->count = 0; /* unknown until the upload is enqueued */
    gear_status status = gear__upload(stream, layer->memory.variant, list->mem, 0, cache->words, words, error);
    if (!status) {
        memcpy(list->words, cache->words, words * sizeof *list->words);
        list->count = count;
        list->more = more;
    }
    return status;
}
