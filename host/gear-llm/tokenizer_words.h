/* tokenizer_words.h: cuts text into the words within which byte pair encoding joins. Each kind of tokenizer has regular
 * expressions for it, applied one after the other: an expression cuts each piece that the one before left into its matches and
 * what lies between them. */
#ifndef GEAR_LLM_TOKENIZER_WORDS_H
#define GEAR_LLM_TOKENIZER_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "gguf.h"

typedef struct words words;

/* By the name in tokenizer.ggml.pre; unknown ones are refused ("FILE: ..."), with EXIT_INPUT. */
bool words_create(const gguf *file, const char *name, words **out, host_error *error);
void words_destroy(words *w);

/* Whether a word that is a token is that token, whatever the merges say. */
bool words_are_tokens(const words *w);
/* Whether models with this tokenizer see the beginning-of-sequence token first if their file does not say. */
bool words_add_bos(const words *w);

/* Calls `take` for each word of the text, in order; together they are the text. Bytes that are no UTF-8 are words of one byte.
 * Ends with the first false of `take`. */
typedef bool words_take(void *context, gguf_text word, host_error *error);
bool words_cut(const words *w, gguf_text text, words_take *take, void *context, host_error *error);

#endif
