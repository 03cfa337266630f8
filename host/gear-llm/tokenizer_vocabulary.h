/* tokenizer_vocabulary.h: tokens by their bytes: an array in the order of the bytes, searched by halves. */
#ifndef GEAR_LLM_TOKENIZER_VOCABULARY_H
#define GEAR_LLM_TOKENIZER_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gguf.h"

typedef struct vocabulary_entry {
    gguf_text text; /* borrowed, not empty */
    uint32_t id;
} vocabulary_entry;

typedef struct vocabulary {
    vocabulary_entry *entries;
    size_t count;
} vocabulary;

/* Room for `most` entries, none of them used; false: no memory. */
bool vocabulary_create(vocabulary *v, size_t most);
void vocabulary_free(vocabulary *v);
/* Empty texts are left out. */
void vocabulary_add(vocabulary *v, gguf_text text, uint32_t id);
/* After the last vocabulary_add. Of equal texts the lowest id stays. */
void vocabulary_sort(vocabulary *v);

/* TOKEN_NONE: no token has these bytes. */
uint32_t vocabulary_find(const vocabulary *v, gguf_text text);
/* The longest token that `text` begins with, and its length; TOKEN_NONE and 0 when there is none. */
uint32_t vocabulary_longest(const vocabulary *v, gguf_text text, size_t *length);

#endif
