/* tokenizer_merges.h: byte pair encoding within a word: of all neighbours that may be joined those of the lowest rank are, the
 * leftmost first, until none may be. */
#ifndef GEAR_LLM_TOKENIZER_MERGES_H
#define GEAR_LLM_TOKENIZER_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "gguf.h"
#include "tokenizer_vocabulary.h"

typedef struct merge {
    uint32_t left, right; /* tokens */
    uint32_t rank, joined;
} merge;

/* In the order of left and right. */
typedef struct merge_list {
    merge *at;
    size_t count;
} merge_list;

/* From lines LEFT SPACE RIGHT in the order of their ranks, spelt in the alphabet (tokenizer_spelling.h), all of tokens of the
 * vocabulary. Of equal pairs the first stays. */
bool merges_create(const gguf *file, const gguf_strings *lines, const vocabulary *v, merge_list *out, host_error *error);
void merges_free(merge_list *merges);

/* What merges_apply works in; all zero to begin with, kept from word to word. */
typedef struct merge_scratch {
    struct merge_symbol *symbols;
    struct merge_candidate *heap;
    size_t capacity;
} merge_scratch;

/* Joins ids[count] in place; the new count goes to `count`. In n log n. False: no memory. */
bool merges_apply(const merge_list *merges, merge_scratch *scratch, uint32_t *ids, size_t *count);
void merge_scratch_free(merge_scratch *scratch);

#endif
