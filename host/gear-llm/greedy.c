/* greedy.c: greedy decoding of a shrinking batch, see greedy.h. */
#include "greedy.h"

#include <stdlib.h>

/* The sequences that go on, and the step that they take. */
typedef struct live {
    uint32_t count;
    uint32_t *index, *position, *token, *row, *one; /* [count]; index: in the batch */
    gear_sequence *sequences;
    uint32_t *memory;
} live;

static bool create(const greedy_batch *b, live *l, host_error *error)
{
    const size_t n = b->count;
    *l = (live){.memory = malloc(5 * n * sizeof *l->memory), .sequences = malloc(n * sizeof *l->sequences)};
    if (!l->memory || !l->sequences)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    l->index = l->memory;
    l->position = l->index + n;
    l->token = l->position + n;
    l->row = l->token + n;
    l->one = l->row + n;
    for (uint32_t i = 0; i < n; ++i) {
        l->row[i] = i;
        l->one[i] = 1;
        l->index[i] = i;
        l->position[i] = b->positions[i];
        l->token[i] = b->next[i];
    }
    l->count = b->count;
    return true;
}

/* Takes each one's token, and keeps those that go on. */
static bool take_tokens(const engine *e, const greedy_batch *b, live *l, token_list *out, host_error *error)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->count; ++i) {
        token_list *list = &out[l->index[i]];
        if (!token_list_push(list, l->token[i]))
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        if (tokenizer_is_end(e->tokens, l->token[i]) || list->count == b->most || l->position[i] == b->last)
            continue;
        l->index[kept] = l->index[i];
        l->position[kept] = l->position[i];
        l->token[kept] = l->token[i];
        l->sequences[kept++] = b->sequences[l->index[i]];
    }
    l->count = kept;
    return true;
}

bool greedy_decode(const engine *e, forward *f, const greedy_batch *b, token_list *out, host_error *error)
{
    live l = {0};
    bool ok = create(b, &l, error);
    while (ok && (ok = take_tokens(e, b, &l, out, error)) && l.count) {
        const forward_batch step = {l.count, l.one, l.position, l.token, l.row, l.count};
        ok = forward_step(f, b->kv, l.sequences, &step, error) && forward_top1(f, l.token, error);
        for (uint32_t i = 0; i < l.count; ++i)
            ++l.position[i];
    }
    free(l.memory);
    free(l.sequences);
    return ok;
}
