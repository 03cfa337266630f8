/* greedy.h: continues several sequences of one cache at once, each with its likeliest tokens, until its text ends. The batch
 * shrinks as sequences finish. */
#ifndef GEAR_LLM_GREEDY_H
#define GEAR_LLM_GREEDY_H

#include "engine.h"

typedef struct greedy_batch {
    const kv_cache *kv;
    const gear_sequence *sequences; /* [count], with their prompts in the cache */
    const uint32_t *positions;      /* [count]: tokens of the prompts */
    const uint32_t *next;           /* [count]: likeliest token behind each prompt */
    uint32_t count;
    uint32_t most; /* new tokens of a sequence at most */
    uint32_t last; /* positions of a sequence at most */
} greedy_batch;

/* Appends each sequence's tokens, the end of the text included, to out[count]. */
bool greedy_decode(const engine *e, forward *f, const greedy_batch *batch, token_list *out, host_error *error);

#endif
