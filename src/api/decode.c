/* decode.c: decode steps that complete blocks, in one launch where the layer has a kernel for that. */
#include <string.h>

#include "api/append_call.h"

#define MOST_BLOCKS (1u << 24) /* of a sequence: what GEAR__DECODE_BLOCK has bits for */

/* Most sequences of a launch. */
static uint32_t most_sequences(const gear__append_call *call)
{
    const uint32_t rows = gear__decode_rows(&call->layer->memory.variant->shape);
    const uint32_t fit = rows ? call->cache->staging_rows / rows : GEAR__DECODE_SEQS;
    return fit < GEAR__DECODE_SEQS ? fit : GEAR__DECODE_SEQS;
}

/* Whether what a sequence completes is nothing, or one decode block that is not its first. */
static int is_decode_block(const gear__slot *slot)
{
    if (slot->planned == slot->num_blocks) {
        return 1;
    }
    const uint32_t *word = slot->blocks[slot->planned - 1].word, info = word[GEAR__BLOCK_INFO];
    return slot->num_blocks && slot->num_blocks < MOST_BLOCKS && slot->planned == slot->num_blocks + 1 &&
           GEAR__INFO_CLASS(info) == GEAR__DECODE && !GEAR__INFO_INDEX(info) && gear__first_after(slot) <= slot->length;
}

int gear__is_decode_step(const gear__append_call *call)
{
    int is_step = call->layer->memory.variant->append.has_decode && most_sequences(call);
    for (uint32_t i = 0; i < call->batch->count && is_step; i++) {
        is_step = is_decode_block(gear__slot_of(call, i));
    }
    return is_step;
}

int gear__decode_writes_window(const gear__append_call *call)
{
    return call->batch->count <= most_sequences(call);
}

static void fill(const gear__append_call *call, uint32_t i, uint32_t row, uint32_t *w)
{
    const gear__slot *slot = gear__slot_of(call, i);
    memset(w, 0, GEAR__DECODE_WORDS * sizeof *w);
    w[GEAR__DECODE_SLOT] = call->cache->slots[i];
    w[GEAR__DECODE_LENGTH] = slot->length;
    w[GEAR__DECODE_COUNT] = gear__decode_writes_window(call) ? gear__new_tokens(call, i) : 0;
    w[GEAR__DECODE_ROW] = row;
    if (slot->planned != slot->num_blocks) {
        const uint32_t *word = slot->blocks[slot->num_blocks].word;
        w[GEAR__DECODE_OFFSET] = word[GEAR__BLOCK_OFFSET];
        w[GEAR__DECODE_SEGMENT] = word[GEAR__BLOCK_SEGMENT];
        w[GEAR__DECODE_FIRST] = word[GEAR__BLOCK_FIRST];
        w[GEAR__DECODE_BLOCK] = GEAR__INFO_TOKENS(word[GEAR__BLOCK_INFO]) | slot->num_blocks << 8;
    }
}

gear_status gear__decode_step(gear__append_call *call, gear_error *error)
{
    const gear_cache *cache = call->cache;
    const uint32_t most = most_sequences(call), count = call->batch->count;
    uint32_t words[GEAR__UPLOAD_WORDS], row = 0;
    gear_status status = GEAR_OK;
    for (uint32_t first = 0; first < count && !status; first += most) {
        const uint32_t n = count - first < most ? count - first : most;
        const gear__decode_call step = {.layer = &call->layer->memory,
                                        .r = cache->r,
                                        .health = cache->health,
                                        .words = words,
                                        .num_seqs = n,
                                        .first_entry = first};
        for (uint32_t i = 0; i < n; i++) {
            fill(call, first + i, row, words + i * GEAR__DECODE_WORDS);
            row += gear__new_tokens(call, first + i);
        }
        status = gear__append_decode(&call->stream, &step, &call->k, &call->v, error);
    }
    return status;
}
