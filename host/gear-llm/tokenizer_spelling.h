/* tokenizer_spelling.h: how vocabularies spell bytes, so that each token is readable text. */
#ifndef GEAR_LLM_TOKENIZER_SPELLING_H
#define GEAR_LLM_TOKENIZER_SPELLING_H

#include <stdbool.h>
#include <stddef.h>

#include "gguf.h"

/* The bytes that `text` spells; out[text.size] has room for them. False: it is not spelt so. */
typedef bool spelling(gguf_text text, char *out, size_t *size);

/* The alphabet of GPT-2: a character of UTF-8 for every byte; bytes that are no visible character of Latin-1 are U+0100 and on,
 * in their order. */
spelling spelling_alphabet;
/* Itself, with the escapes \t \n \r \\ \' \" and \xHH. */
spelling spelling_escapes;
/* Itself. */
spelling spelling_plain;

#endif
