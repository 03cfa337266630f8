/* tokenizer.h: text to token ids and back, from the vocabulary in a model file.
 *
 * tokenizer.ggml.model says which of two kinds it is:
 *  "gpt2"  byte-level byte pair encoding: regular expressions, named by tokenizer.ggml.pre, cut the text into words, and
 *          within a word the pair with the lowest rank in tokenizer.ggml.merges is joined until none is left;
 *  "rwkv"  a plain vocabulary without merges: at every place the longest token that matches. Tokens are written with the
 *          escapes \t \n \r \\ \' \" and \xHH, as Python writes bytes.
 * Text is bytes: valid UTF-8 is cut as Unicode, other bytes are words of their own. The pieces of the tokens are the text.
 * A tokenizer is immutable after its creation and may be used by several threads. It keeps nothing of the model file. */
#ifndef GEAR_LLM_TOKENIZER_H
#define GEAR_LLM_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "gguf.h"

#define TOKEN_NONE UINT32_MAX

typedef struct tokenizer tokenizer;

/* Owned by its user; all zero is the empty list. */
typedef struct token_list {
    uint32_t *ids;
    size_t count, capacity;
} token_list;

bool token_list_push(token_list *list, uint32_t id);
/* Leaves the empty list. */
void token_list_free(token_list *list);

/* A vocabulary, merge list or name that cannot be used is a failure with EXIT_INPUT and the file's path. */
bool tokenizer_create(const gguf *file, tokenizer **out, host_error *error);
/* NULL is harmless. */
void tokenizer_destroy(tokenizer *tokens);

/* Appends the tokens of text[size] to the list, which on failure is as it was. With `special`, control tokens written in the
 * text (<|im_start|> and the like) are those tokens; without it they are plain text. Tokens that somebody has added to the
 * vocabulary (type 4) are whole either way. No token is put before or behind the text: see tokenizer_adds_bos. Bytes that no
 * token covers are a failure with EXIT_INPUT that says where. */
bool tokenizer_encode(const tokenizer *tokens, const char *text, size_t size, bool special, token_list *out, host_error *error);

/* The bytes that a token stands for (a part of a character, perhaps), NUL-terminated as well; borrowed. `size` may be NULL. The
 * empty piece for an id that is not in the vocabulary. */
const char *tokenizer_piece(const tokenizer *tokens, uint32_t id, size_t *size);

uint32_t tokenizer_size(const tokenizer *tokens);
uint32_t tokenizer_bos(const tokenizer *tokens); /* TOKEN_NONE: the file names none */
uint32_t tokenizer_eos(const tokenizer *tokens);
/* Whether the model was trained to see the beginning-of-sequence token first, which then the caller puts there. */
bool tokenizer_adds_bos(const tokenizer *tokens);
/* Whether generation ends with this token: the end of the sequence, of a turn or of a message. */
bool tokenizer_is_end(const tokenizer *tokens, uint32_t id);

#endif
