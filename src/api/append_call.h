/* append_call.h: a call of gear_append or gear_flush under way: its records are planned, its commands follow. */
#ifndef GEAR_API_APPEND_CALL_H
#define GEAR_API_APPEND_CALL_H

#include "api/internal.h"

typedef struct gear__append_call {
    gear_cache *cache;
    gear__layer *layer;
    const gear_batch *batch;
    int is_flush;
    const char *where;
    gear__tensor k, v;
    const gear_append_desc *weights; /* NULL: the channel order follows the variance alone */
    gear__stream stream;
    gear__uploads uploads;
} gear__append_call;

/* Of sequence i of the batch. */
static inline uint32_t gear__new_tokens(const gear__append_call *call, uint32_t i)
{
    return call->is_flush ? 0 : gear__batch_tokens(call->batch, i);
}

static inline gear__slot *gear__slot_of(const gear__append_call *call, uint32_t i)
{
    return &call->layer->slots[call->cache->slots[i]];
}

/* First position that stays in the window once the planned blocks are compressed. */
static inline uint32_t gear__first_after(const gear__slot *slot)
{
    if (slot->planned == slot->num_blocks) {
        return slot->first;
    }
    const uint32_t *last = slot->blocks[slot->planned - 1].word;
    return last[GEAR__BLOCK_FIRST] + GEAR__INFO_TOKENS(last[GEAR__BLOCK_INFO]);
}

/* The GEAR__SEQ_* of sequence i of the batch; row: of its first new token in a ragged batch, moves to that of the next one. */
void gear__sequence_words(const gear__append_call *call, uint32_t i, uint32_t *row, uint32_t *words);
/* Lists, page table entries and records of all planned blocks, by the stages of the compressor. */
gear_status gear__compress_in_rounds(gear__append_call *call, gear_error *error);
/* Whether gear__decode_step can do all of a call that completes blocks: each sequence has some already and completes no more
 * than one, a decode segment of its own. */
int gear__is_decode_step(const gear__append_call *call);
/* Whether gear__decode_step writes the new tokens into the window, in the one launch that holds all sequences. They take the
 * place of tokens of the blocks; where launches follow that can fail, what a block is made of has to stay until the last. */
int gear__decode_writes_window(const gear__append_call *call);
/* Blocks and table entries: one launch for every GEAR__DECODE_SEQS sequences, or as many as the residual has room for.
 * What travels in it is not in the sequence list, which stays as it is for the next steps. */
gear_status gear__decode_step(gear__append_call *call, gear_error *error);

#endif
