/* tokenizer_words.c: see tokenizer_words.h. The expressions are those of the tokenizers' own definitions, run by PCRE2. */
#include "tokenizer_words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define STAGES_MOST 4

/* White space is what Unicode calls so: \s of PCRE2 has one character more. */
#define GPT2                                                                                                                   \
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{Wspace}\\p{L}\\p{N}]+|\\p{Wspace}+(?!\\P{Wspace})|\\p{Wspace}+"
/* With the longest run of digits that is one word. */
#define LLAMA3(digits)                                                                                                         \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                                                   \
  "| ?[^\\p{Wspace}\\p{L}\\p{N}]+[\\r\\n]*|\\p{Wspace}*[\\r\\n]+|\\p{Wspace}+(?!\\P{Wspace})|\\p{Wspace}+"

typedef struct kind {
    const char *names[6];
    const char *stages[STAGES_MOST];
    bool are_tokens, add_bos;
} kind;

static const kind kinds[] = {
    {{"gpt-2", "phi-2", "mpt", "olmo", "jais"}, {GPT2}, false, false},
    {{"smollm", "starcoder", "refact", "command-r", "codeshell"}, {"\\p{N}", GPT2}, false, false},
    {{"llama-bpe", "llama3", "llama-v3"}, {LLAMA3("{1,3}")}, true, true},
    {{"dbrx", "smaug-bpe"}, {LLAMA3("{1,3}")}, false, false},
    {{"qwen2", "stablelm2", "deepseek-r1-qwen"}, {LLAMA3("")}, false, false},
    {{"default"}, {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9]{3}"}, false, false},
};

struct words {
    const kind *kind;
    size_t num_stages;
    pcre2_code *stages[STAGES_MOST];
};

static const kind *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i)
        for (size_t j = 0; j < sizeof kinds[i].names / sizeof *kinds[i].names && kinds[i].names[j]; ++j)
            if (!strcmp(kinds[i].names[j], name))
                return &kinds[i];
    return NULL;
}

bool words_create(const gguf *file, const char *name, words **out, host_error *error)
{
    *out = NULL;
    const kind *found = kind_of(name);
    if (!found)
        return fail(error, EXIT_INPUT, "%s: the tokenizer's way to cut words, %s, is unknown", gguf_path(file), name);
    words *w = calloc(1, sizeof *w);
    if (!w)
        return fail(error, EXIT_DEVICE, "%s: host memory exhausted", gguf_path(file));
    w->kind = found;
    for (size_t i = 0; i < STAGES_MOST && found->stages[i]; ++i) {
        int code = 0;
        size_t place = 0;
        w->stages[i] =
            pcre2_compile((PCRE2_SPTR)found->stages[i], PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &place, NULL);
        if (!w->stages[i]) {
            words_destroy(w);
            return fail(error, EXIT_DEVICE, "PCRE2 refuses the expression for %s at %zu (error %d)", name, place, code);
        }
        ++w->num_stages;
    }
    *out = w;
    return true;
}

void words_destroy(words *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->num_stages; ++i)
        pcre2_code_free(w->stages[i]);
    free(w);
}

bool words_are_tokens(const words *w)
{
    return w->kind->are_tokens;
}

bool words_add_bos(const words *w)
{
    return w->kind->add_bos;
}

typedef struct cutter {
    const words *w;
    pcre2_match_data *match[STAGES_MOST];
    words_take *take;
    void *context;
    host_error *error;
} cutter;

static bool expression_failed(const cutter *c, int code)
{
    return fail(c->error, EXIT_DEVICE, "PCRE2 cannot cut the text into words (error %d)", code);
}

/* Of a piece that is valid UTF-8. A match is never empty. */
static bool cut_piece(const cutter *c, size_t stage, gguf_text piece)
{
    if (!piece.size)
        return true;
    if (stage == c->w->num_stages)
        return c->take(c->context, piece, c->error);
    size_t at = 0;
    for (;;) {
        int code = pcre2_match(c->w->stages[stage], (PCRE2_SPTR)piece.bytes, piece.size, at, PCRE2_NO_UTF_CHECK,
                               c->match[stage], NULL);
        if (code == PCRE2_ERROR_NOMATCH)
            return cut_piece(c, stage + 1, (gguf_text){piece.bytes + at, piece.size - at});
        if (code < 0)
            return expression_failed(c, code);
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(c->match[stage]);
        size_t first = range[0], last = range[1];
        if (!cut_piece(c, stage + 1, (gguf_text){piece.bytes + at, first - at}) ||
            !cut_piece(c, stage + 1, (gguf_text){piece.bytes + first, last - first}))
            return false;
        at = last;
    }
}

/* How many bytes from the start are valid UTF-8: PCRE2 checks what it is given unless told not to. */
static bool valid_bytes(const cutter *c, gguf_text text, size_t *valid)
{
    int code = pcre2_match(c->w->stages[0], (PCRE2_SPTR)text.bytes, text.size, 0, PCRE2_ANCHORED, c->match[0], NULL);
    *valid = text.size;
    if (code <= PCRE2_ERROR_UTF8_ERR1 && code >= PCRE2_ERROR_UTF8_ERR21)
        *valid = pcre2_get_startchar(c->match[0]);
    else if (code < 0 && code != PCRE2_ERROR_NOMATCH)
        return expression_failed(c, code);
    return true;
}

bool words_cut(const words *w, gguf_text text, words_take *take, void *context, host_error *error)
{
    bool ok = false;
    cutter c = {.w = w, .take = take, .context = context, .error = error};
    for (size_t i = 0; i < w->num_stages; ++i)
        if (!(c.match[i] = pcre2_match_data_create(1, NULL))) {
            fail(error, EXIT_DEVICE, "host memory exhausted");
            goto cleanup;
        }
    while (text.size) {
        size_t valid = 0;
        if (!valid_bytes(&c, text, &valid) || !cut_piece(&c, 0, (gguf_text){text.bytes, valid}))
            goto cleanup;
        if (valid < text.size && !take(context, (gguf_text){text.bytes + valid++, 1}, error))
            goto cleanup;
        text = (gguf_text){text.bytes + valid, text.size - valid};
    }
    ok = true;
cleanup:
    for (size_t i = 0; i < w->num_stages; ++i)
        pcre2_match_data_free(c.match[i]);
    return ok;
}
