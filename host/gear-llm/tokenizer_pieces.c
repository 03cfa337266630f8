/* tokenizer_pieces.c: see tokenizer_pieces.h. */
#include "tokenizer_pieces.h"

#include <stdlib.h>

#include "gguf_file.h"
#include "tokenizer.h"

#define TOKENS "tokenizer.ggml.tokens"
#define TYPES  "tokenizer.ggml.token_type"

static bool read_kinds(const gguf *file, piece_list *pieces, host_error *error)
{
    gguf_numbers types = {0};
    bool has = gguf_has(file, TYPES);
    if (has && !gguf_int_array(file, TYPES, &types, error))
        return false;
    if (has && types.count != pieces->count)
        return gguf_refuse(file, error, TYPES " has %zu elements for %u tokens", types.count, pieces->count);
    for (uint32_t id = 0; id < pieces->count; ++id) {
        int64_t type = has ? gguf_int_at(&types, id) : PIECE_NORMAL;
        if (type < PIECE_NORMAL || type > PIECE_BYTE)
            return gguf_refuse(file, error, "token %u has the unknown type %lld", id, (long long)type);
        pieces->at[id].kind = (piece_kind)type;
    }
    return true;
}

bool pieces_create(const gguf *file, spelling *spell, bool strict, piece_list *out, host_error *error)
{
    gguf_strings tokens;
    *out = (piece_list){0};
    if (!gguf_string_array(file, TOKENS, &tokens, error))
        return false;
    if (!tokens.count || tokens.count >= TOKEN_NONE)
        return gguf_refuse(file, error, TOKENS " has %zu elements", tokens.count);
    /* All together they are a part of the file: no overflow. */
    size_t bytes = tokens.count;
    for (size_t id = 0; id < tokens.count; ++id)
        bytes += tokens.at[id].size;
    out->count = (uint32_t)tokens.count;
    out->at = calloc(tokens.count, sizeof *out->at);
    out->bytes = malloc(bytes);
    if (!out->at || !out->bytes) {
        gguf_no_memory(file, error);
        goto failed;
    }
    if (!read_kinds(file, out, error))
        goto failed;
    char *next = out->bytes;
    for (uint32_t id = 0; id < out->count; ++id) {
        piece *p = &out->at[id];
        size_t size = 0;
        p->spelt = p->kind == PIECE_NORMAL && spell(tokens.at[id], next, &size);
        if (p->kind == PIECE_NORMAL && !p->spelt && strict) {
            gguf_refuse(file, error, "token %u (%.*s) is not spelt as its vocabulary is", id, gguf_shown(tokens.at[id]),
                        tokens.at[id].bytes);
            goto failed;
        }
        if (!p->spelt)
            spelling_plain(tokens.at[id], next, &size);
        next[size] = 0;
        p->text = (gguf_text){next, size};
        next += size + 1;
    }
    return true;
failed:
    pieces_free(out);
    return false;
}

void pieces_free(piece_list *pieces)
{
    free(pieces->at);
    free(pieces->bytes);
    *pieces = (piece_list){0};
}
