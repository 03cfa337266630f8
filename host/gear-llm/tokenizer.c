/* tokenizer.c: see tokenizer.h. Encoding first takes out the tokens that are whole wherever they stand in the text, then hands
 * what lies between them to byte pair encoding, word by word, or to the longest match. */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "gguf_file.h"
#include "tokenizer_merges.h"
#include "tokenizer_pieces.h"
#include "tokenizer_vocabulary.h"
#include "tokenizer_words.h"

struct tokenizer {
    piece_list pieces;
    vocabulary spelt;   /* what encoding may make of plain text */
    vocabulary added;   /* tokens that are whole in every text */
    vocabulary special; /* the same, with control tokens */
    words *words;       /* NULL: a plain vocabulary */
    merge_list merges;
    uint32_t of_byte[256];
    uint32_t bos, eos;
    bool adds_bos;
    bool *ends; /* by id */
};

/* Names of control tokens that end a turn in one model or another. */
static const char *const end_names[] = {"<|endoftext|>", "<|im_end|>",      "<|end|>",       "<|eot_id|>",
                                        "<|eom_id|>",    "<|end_of_text|>", "<end_of_turn>", "</s>"};
static const char *const end_keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};

/* An id that the file may leave out. */
static bool read_id(const gguf *file, const char *key, uint32_t count, uint32_t *out, host_error *error)
{
    *out = TOKEN_NONE;
    if (!gguf_has(file, key))
        return true;
    if (!gguf_u32(file, key, out, error))
        return false;
    return *out < count || gguf_refuse(file, error, "%s is %u, and there are %u tokens", key, *out, count);
}

static bool read_marks(const gguf *file, tokenizer *t, host_error *error)
{
    static const char add_bos[] = "tokenizer.ggml.add_bos_token";
    uint32_t count = t->pieces.count;
    t->ends = calloc(count, sizeof *t->ends);
    if (!t->ends)
        return gguf_no_memory(file, error);
    if (!read_id(file, "tokenizer.ggml.bos_token_id", count, &t->bos, error) ||
        !read_id(file, end_keys[0], count, &t->eos, error))
        return false;
    for (size_t i = 0; i < sizeof end_keys / sizeof *end_keys; ++i) {
        uint32_t id = TOKEN_NONE;
        if (!read_id(file, end_keys[i], count, &id, error))
            return false;
        if (id != TOKEN_NONE)
            t->ends[id] = true;
    }
    for (uint32_t id = 0; id < count; ++id)
        for (size_t i = 0; i < sizeof end_names / sizeof *end_names; ++i)
            if (t->pieces.at[id].kind == PIECE_CONTROL && !strcmp(t->pieces.at[id].text.bytes, end_names[i]))
                t->ends[id] = true;
    t->adds_bos = t->words && words_add_bos(t->words);
    if (gguf_has(file, add_bos) && !gguf_bool(file, add_bos, &t->adds_bos, error))
        return false;
    return !t->adds_bos || t->bos != TOKEN_NONE ||
           gguf_refuse(file, error, "a token is to begin each sequence, and none is named");
}

static bool build_vocabularies(const gguf *file, tokenizer *t, host_error *error)
{
    const piece_list *pieces = &t->pieces;
    if (!vocabulary_create(&t->spelt, pieces->count) || !vocabulary_create(&t->added, pieces->count) ||
        !vocabulary_create(&t->special, pieces->count))
        return gguf_no_memory(file, error);
    for (uint32_t id = 0; id < pieces->count; ++id) {
        const piece *p = &pieces->at[id];
        bool added = p->kind == PIECE_ADDED, control = p->kind == PIECE_CONTROL || p->kind == PIECE_UNKNOWN;
        if (p->spelt)
            vocabulary_add(&t->spelt, p->text, id);
        if (added)
            vocabulary_add(&t->added, p->text, id);
        if (added || control)
            vocabulary_add(&t->special, p->text, id);
    }
    vocabulary_sort(&t->spelt);
    vocabulary_sort(&t->added);
    vocabulary_sort(&t->special);
    return true;
}

static bool read_words(const gguf *file, tokenizer *t, host_error *error)
{
    static const char pre[] = "tokenizer.ggml.pre";
    const char *name = "default";
    return (!gguf_has(file, pre) || gguf_string(file, pre, &name, error)) && words_create(file, name, &t->words, error);
}

static bool read_merges(const gguf *file, tokenizer *t, host_error *error)
{
    gguf_strings lines;
    if (!gguf_string_array(file, "tokenizer.ggml.merges", &lines, error) ||
        !merges_create(file, &lines, &t->spelt, &t->merges, error))
        return false;
    for (int byte = 0; byte < 256; ++byte) {
        char text = (char)byte;
        t->of_byte[byte] = vocabulary_find(&t->spelt, (gguf_text){&text, 1});
    }
    return true;
}

bool tokenizer_create(const gguf *file, tokenizer **out, host_error *error)
{
    *out = NULL;
    const char *model = NULL;
    if (!gguf_string(file, "tokenizer.ggml.model", &model, error))
        return false;
    bool pairs = !strcmp(model, "gpt2");
    if (!pairs && strcmp(model, "rwkv") != 0)
        return gguf_refuse(file, error, "a tokenizer of the kind %s, where gpt2 and rwkv are read", model);
    tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return gguf_no_memory(file, error);
    if (!pieces_create(file, pairs ? spelling_alphabet : spelling_escapes, !pairs, &t->pieces, error) ||
        !build_vocabularies(file, t, error) || (pairs && (!read_words(file, t, error) || !read_merges(file, t, error))) ||
        !read_marks(file, t, error)) {
        tokenizer_destroy(t);
        return false;
    }
    *out = t;
    return true;
}

void tokenizer_destroy(tokenizer *tokens)
{
    if (!tokens)
        return;
    pieces_free(&tokens->pieces);
    vocabulary_free(&tokens->spelt);
    vocabulary_free(&tokens->added);
    vocabulary_free(&tokens->special);
    words_destroy(tokens->words);
    merges_free(&tokens->merges);
    free(tokens->ends);
    free(tokens);
}

/* One call of tokenizer_encode. */
typedef struct encoding {
    const tokenizer *tokens;
    gguf_text text;
    token_list *out;
    merge_scratch scratch;
} encoding;

static bool no_memory(host_error *error)
{
    return fail(error, EXIT_DEVICE, "host memory exhausted");
}

static bool no_token(const encoding *e, const char *at, host_error *error)
{
    unsigned byte = (unsigned char)*at;
    size_t place = (size_t)(at - e->text.bytes);
    return byte > 32 && byte < 127
               ? fail(error, EXIT_INPUT, "byte %zu of the text, %c, is not in the model's vocabulary", place, *at)
               : fail(error, EXIT_INPUT, "byte %zu of the text, 0x%02x, is not in the model's vocabulary", place, byte);
}

static bool encode_word(void *context, gguf_text word, host_error *error)
{
    encoding *e = context;
    const tokenizer *t = e->tokens;
    size_t first = e->out->count;
    uint32_t whole = words_are_tokens(t->words) ? vocabulary_find(&t->spelt, word) : TOKEN_NONE;
    if (whole != TOKEN_NONE)
        return token_list_push(e->out, whole) || no_memory(error);
    for (size_t i = 0; i < word.size; ++i) {
        uint32_t id = t->of_byte[(unsigned char)word.bytes[i]];
        if (id == TOKEN_NONE)
            return no_token(e, word.bytes + i, error);
        if (!token_list_push(e->out, id))
            return no_memory(error);
    }
    size_t count = e->out->count - first;
    if (!merges_apply(&t->merges, &e->scratch, e->out->ids + first, &count))
        return no_memory(error);
    e->out->count = first + count;
    return true;
}

static bool encode_longest(encoding *e, gguf_text text, host_error *error)
{
    for (size_t length = 0; text.size; text.bytes += length, text.size -= length) {
        uint32_t id = vocabulary_longest(&e->tokens->spelt, text, &length);
        if (id == TOKEN_NONE)
            return no_token(e, text.bytes, error);
        if (!token_list_push(e->out, id))
            return no_memory(error);
    }
    return true;
}

static bool encode_plain(encoding *e, gguf_text text, host_error *error)
{
    return e->tokens->words ? words_cut(e->tokens->words, text, encode_word, e, error) : encode_longest(e, text, error);
}

bool tokenizer_encode(const tokenizer *tokens, const char *text, size_t size, bool special, token_list *out, host_error *error)
{
    encoding e = {.tokens = tokens, .text = {text, size}, .out = out};
    const vocabulary *whole = special ? &tokens->special : &tokens->added;
    size_t before = out->count, plain = 0, at = 0;
    bool ok = true;
    while (ok && at < size) {
        size_t length = 0;
        uint32_t id = whole->count ? vocabulary_longest(whole, (gguf_text){text + at, size - at}, &length) : TOKEN_NONE;
        if (id == TOKEN_NONE) {
            ++at;
            continue;
        }
        ok = encode_plain(&e, (gguf_text){text + plain, at - plain}, error) && (token_list_push(out, id) || no_memory(error));
        plain = at += length;
    }
    ok = ok && encode_plain(&e, (gguf_text){text + plain, size - plain}, error);
    if (!ok)
        out->count = before;
    merge_scratch_free(&e.scratch);
    return ok;
}

const char *tokenizer_piece(const tokenizer *tokens, uint32_t id, size_t *size)
{
    gguf_text text = {"", 0};
    if (id < tokens->pieces.count)
        text = tokens->pieces.at[id].text;
    if (size)
        *size = text.size;
    return text.bytes;
}

uint32_t tokenizer_size(const tokenizer *tokens)
{
    return tokens->pieces.count;
}

uint32_t tokenizer_bos(const tokenizer *tokens)
{
    return tokens->bos;
}

uint32_t tokenizer_eos(const tokenizer *tokens)
{
    return tokens->eos;
}

bool tokenizer_adds_bos(const tokenizer *tokens)
{
    return tokens->adds_bos;
}

bool tokenizer_is_end(const tokenizer *tokens, uint32_t id)
{
    return id < tokens->pieces.count && tokens->ends[id];
}
