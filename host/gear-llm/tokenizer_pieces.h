/* tokenizer_pieces.h: the bytes that each token of a model file stands for, and what kind of token it is. */
#ifndef GEAR_LLM_TOKENIZER_PIECES_H
#define GEAR_LLM_TOKENIZER_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "gguf.h"
#include "tokenizer_spelling.h"

/* The numbers are those of tokenizer.ggml.token_type. */
typedef enum piece_kind {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN = 2,
    PIECE_CONTROL = 3,
    PIECE_ADDED = 4,
    PIECE_UNUSED = 5,
    PIECE_BYTE = 6
} piece_kind;

typedef struct piece {
    gguf_text text; /* NUL-terminated */
    piece_kind kind;
    bool spelt; /* by the vocabulary's spelling, so that encoding may find it; else taken as it is in the file */
} piece;

typedef struct piece_list {
    piece *at; /* by id */
    uint32_t count;
    char *bytes;
} piece_list;

/* From tokenizer.ggml.tokens and tokenizer.ggml.token_type (all normal without it). Normal tokens are spelt in `spell`, where
 * `strict` refuses those that are not; the others are themselves. */
bool pieces_create(const gguf *file, spelling *spell, bool strict, piece_list *out, host_error *error);
void pieces_free(piece_list *pieces);

#endif
