/* test_tokenizer.c: gear-llm's tokenizers give the ids of the tokenizers package (tests/llm/make_golden.py), and their pieces
 * give the text again; vocabularies that cannot be used are refused with a reason. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/gear-llm/tokenizer.h"
#include "gguf_build.h"
#include "open_cl.h"

static const char *const golden[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};
#define NUM_GOLDEN (sizeof golden / sizeof *golden)

static gguf *open_data(const char *name)
{
    char path[600];
    host_error error = {0};
    gguf *file = NULL;
    (void)snprintf(path, sizeof path, "%s/tests/data/%s", test_root(), name);
    cr_assert(gguf_open(path, &file, &error), "%s", error.text);
    return file;
}

static gguf *open_golden(size_t i)
{
    char name[64];
    (void)snprintf(name, sizeof name, "gguf/bpe_%s.gguf", golden[i]);
    return open_data(name);
}

static tokenizer *create(const gguf *file)
{
    host_error error = {0};
    tokenizer *tokens = NULL;
    cr_assert(tokenizer_create(file, &tokens, &error), "%s", error.text);
    return tokens;
}

static void encode(const tokenizer *tokens, gguf_text text, bool special, token_list *out)
{
    host_error error = {0};
    out->count = 0;
    cr_assert(tokenizer_encode(tokens, text.bytes, text.size, special, out, &error), "%s", error.text);
}

/* The pieces of the list are the text. */
static void expect_text(const tokenizer *tokens, const token_list *list, gguf_text text)
{
    size_t at = 0;
    for (size_t i = 0; i < list->count; ++i) {
        size_t size = 0;
        const char *piece = tokenizer_piece(tokens, list->ids[i], &size);
        cr_assert(size <= text.size - at && !memcmp(piece, text.bytes + at, size), "token %zu", i);
        cr_assert_eq(piece[size], 0);
        at += size;
    }
    cr_assert_eq(at, text.size);
}

static gguf_text text_of(const char *text)
{
    return (gguf_text){text, strlen(text)};
}

static void check_golden(const gguf *file, const tokenizer *tokens, bool special)
{
    host_error error = {0};
    gguf_strings texts;
    gguf_numbers ids, counts;
    cr_assert(gguf_string_array(file, "test.text", &texts, &error));
    cr_assert(gguf_int_array(file, special ? "test.ids" : "test.plain_ids", &ids, &error));
    cr_assert(gguf_int_array(file, special ? "test.counts" : "test.plain_counts", &counts, &error));
    cr_assert(texts.count > 20 && texts.count == counts.count);
    size_t first = 0;
    token_list list = {0};
    for (size_t i = 0; i < texts.count; ++i) {
        encode(tokens, texts.at[i], special, &list);
        cr_assert_eq(list.count, (size_t)gguf_int_at(&counts, i), "text %zu: %zu tokens", i, list.count);
        for (size_t j = 0; j < list.count; ++j)
            cr_assert_eq(list.ids[j], (uint32_t)gguf_int_at(&ids, first + j), "text %zu, token %zu: %u", i, j, list.ids[j]);
        expect_text(tokens, &list, texts.at[i]);
        first += list.count;
    }
    cr_assert_eq(first, ids.count);
    token_list_free(&list);
}

Test(tokenizer, ids_are_those_of_the_tokenizers_package)
{
    for (size_t i = 0; i < NUM_GOLDEN; ++i) {
        gguf *file = open_golden(i);
        tokenizer *tokens = create(file);
        check_golden(file, tokens, true);
        check_golden(file, tokens, false);
        tokenizer_destroy(tokens);
        gguf_close(file);
    }
}

Test(tokenizer, keeps_bytes_that_are_no_text)
{
    static const char bytes[] = "ok \xff\xfe\xc3 \xe2\x82 caf\xc3\xa9 \xf4\x90\x80\x80\0 \xed\xa0\x80 end\xc3";
    token_list list = {0};
    for (size_t i = 0; i < NUM_GOLDEN; ++i) {
        gguf *file = open_golden(i);
        tokenizer *tokens = create(file);
        gguf_close(file);
        gguf_text text = {bytes, sizeof bytes - 1};
        encode(tokens, text, true, &list);
        expect_text(tokens, &list, text);
        tokenizer_destroy(tokens);
    }
    token_list_free(&list);
}

Test(tokenizer, long_words_take_no_longer_a_token)
{
    enum { SIZE = 1000000 };
    char *bytes = malloc(SIZE);
    cr_assert_not_null(bytes);
    for (int i = 0; i < SIZE; ++i)
        bytes[i] = "ethandsi"[i * 7 % 8 ^ (i >> 5 & 3)];
    gguf *file = open_golden(0);
    tokenizer *tokens = create(file);
    token_list list = {0};
    encode(tokens, (gguf_text){bytes, SIZE}, false, &list);
    expect_text(tokens, &list, (gguf_text){bytes, SIZE});
    cr_assert_lt(list.count, SIZE);
    token_list_free(&list);
    tokenizer_destroy(tokens);
    gguf_close(file);
    free(bytes);
}

Test(tokenizer, knows_the_marks_of_a_sequence)
{
    for (size_t i = 0; i < NUM_GOLDEN; ++i) {
        gguf *file = open_golden(i);
        tokenizer *tokens = create(file);
        uint32_t count = tokenizer_size(tokens), ends = 0;
        cr_assert_str_eq(tokenizer_piece(tokens, tokenizer_bos(tokens), NULL), "<|im_start|>");
        cr_assert_str_eq(tokenizer_piece(tokens, tokenizer_eos(tokens), NULL), "<|im_end|>");
        for (uint32_t id = 0; id < count; ++id)
            ends += tokenizer_is_end(tokens, id);
        /* <|endoftext|> by its name. */
        cr_assert(ends == 2 && tokenizer_is_end(tokens, tokenizer_eos(tokens)));
        cr_assert_eq(tokenizer_adds_bos(tokens), !strcmp(golden[i], "llama-bpe"));
        size_t size = 1;
        cr_assert_str_eq(tokenizer_piece(tokens, count, &size), "");
        cr_assert(size == 0 && !tokenizer_is_end(tokens, count) && !tokenizer_is_end(tokens, TOKEN_NONE));
        tokenizer_destroy(tokens);
        gguf_close(file);
    }
    tokenizer_destroy(NULL);
}

Test(tokenizer, the_chain_of_thought_model_reads_characters)
{
    char path[600], line[1024];
    gguf *file = open_data("cot/final.gguf");
    tokenizer *tokens = create(file);
    gguf_close(file);
    cr_assert_eq(tokenizer_size(tokens), 38);
    cr_assert(tokenizer_bos(tokens) == 1 && tokenizer_eos(tokens) == 37 && tokenizer_is_end(tokens, 37));
    cr_assert_not(tokenizer_adds_bos(tokens));
    (void)snprintf(path, sizeof path, "%s/tests/data/cot/eval_public.txt", test_root());
    FILE *stream = fopen(path, "r");
    cr_assert_not_null(stream);
    token_list list = {0};
    int lines = 0;
    for (; fgets(line, sizeof line, stream); ++lines) {
        gguf_text prompt = {line, strcspn(line, "\t")};
        gguf_text completion = {line + prompt.size + 1, strcspn(line + prompt.size + 1, "\n")};
        encode(tokens, prompt, false, &list);
        cr_assert(list.count == prompt.size && list.ids[0] == 1);
        expect_text(tokens, &list, prompt);
        encode(tokens, completion, false, &list);
        cr_assert(list.count == completion.size && list.ids[list.count - 1] == 37);
    }
    cr_assert_eq(lines, 500);
    (void)fclose(stream);
    token_list_free(&list);
    tokenizer_destroy(tokens);
}

static void start_plain(gguf_build *b, size_t count, const char *const *names)
{
    build_start(b, 3);
    build_key_string(b, "tokenizer.ggml.model", "rwkv");
    build_key_strings(b, "tokenizer.ggml.tokens", count, names);
}

Test(tokenizer, a_plain_vocabulary_takes_the_longest_match)
{
    static const char *const names[] = {"a",          "ab",   "abcd", "b", "c",   "\\n",
                                        "\\x00\\xFf", "\\\\", "ab",   "",  "<s>", "\\'\\\"\\t\\r"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 1};
    static const char text[] = "abcabcd\n\0\xff\\b<s>'\"\t\rab";
    static const uint32_t plain[] = {1, 4, 2, 5, 6, 7, 3}, behind[] = {11, 1};
    gguf_build b = {0};
    start_plain(&b, 12, names);
    build_key_i32s(&b, "tokenizer.ggml.token_type", 12, types);
    opened_copy opened = open_copy(b.bytes, b.size);
    tokenizer *tokens = create(opened.file);
    close_copy(&opened);
    token_list list = {0};
    encode(tokens, (gguf_text){text, sizeof text - 1}, true, &list);
    cr_assert_eq(list.count, 10);
    cr_assert(!memcmp(list.ids, plain, sizeof plain) && list.ids[7] == 10 && !memcmp(list.ids + 8, behind, sizeof behind));
    expect_text(tokens, &list, (gguf_text){text, sizeof text - 1});

    /* Without special tokens the same text has a byte that no token covers; the list stays. */
    host_error error = {0};
    cr_assert_not(tokenizer_encode(tokens, text, sizeof text - 1, false, &list, &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    cr_assert_str_eq(error.text, "byte 12 of the text, <, is not in the model's vocabulary");
    cr_assert_eq(list.count, 10);
    error = (host_error){0};
    cr_assert_not(tokenizer_encode(tokens, "ab\x01", 3, true, &list, &error));
    cr_assert_str_eq(error.text, "byte 2 of the text, 0x01, is not in the model's vocabulary");
    encode(tokens, text_of(""), true, &list);
    cr_assert_eq(list.count, 0);
    token_list_free(&list);
    tokenizer_destroy(tokens);
    build_free(&b);
}

/* What is wrong with a vocabulary; NULL leaves the key out. */
typedef struct bad_vocabulary {
    const char *model, *pre;
    const char *tokens[4], *merges[3];
    int32_t types[4];
    uint32_t num_types, bos;
    int add_bos;
    const char *reason;
} bad_vocabulary;

#define NO_BOS UINT32_MAX

static const bad_vocabulary bad[] = {
    {NULL, "gpt-2", {"a"}, {NULL}, {0}, 0, 0, 0, "the key tokenizer.ggml.model is missing"},
    {"llama", "gpt-2", {"a"}, {NULL}, {0}, 0, 0, 0, "a tokenizer of the kind llama, where gpt2 and rwkv are read"},
    {"gpt2", "tekken", {"a"}, {"a a"}, {0}, 0, 0, 0, "the tokenizer's way to cut words, tekken, is unknown"},
    {"gpt2", "gpt-2", {NULL}, {"a b"}, {0}, 0, 0, 0, "tokenizer.ggml.tokens is missing"},
    {"gpt2", "gpt-2", {"a", "b"}, {NULL}, {0}, 0, 0, 0, "tokenizer.ggml.merges is missing"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"ab"}, {0}, 0, 0, 0, "merge 0 (ab) is not of two tokens"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a b", "a c"}, {0}, 0, 0, 0, "merge 1 (a c) is not of two tokens"},
    {"gpt2", "gpt-2", {"a", "b"}, {"a b"}, {0}, 0, 0, 0, "merge 0 (a b) is not of two tokens"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a "}, {0}, 0, 0, 0, "merge 0 (a ) is not of two tokens"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a b"}, {1, 1}, 2, 0, 0, "token_type has 2 elements for 3 tokens"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a b"}, {1, 7, 1}, 3, 0, 0, "token 1 has the unknown type 7"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a b"}, {1, 1, -1}, 3, 0, 0, "token 2 has the unknown type -1"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a b"}, {0}, 0, 3, 0, "bos_token_id is 3, and there are 3 tokens"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a b"}, {0}, 0, NO_BOS, 1, "a token is to begin each sequence, and none is named"},
    {"gpt2", "gpt-2", {"a", "b", "ab"}, {"a b"}, {0}, 0, 0, 2, "add_bos_token is neither true nor false"},
    {"rwkv", NULL, {"a", "\\"}, {NULL}, {0}, 0, 0, 0, "token 1 (\\) is not spelt"},
    {"rwkv", NULL, {"a\\x4"}, {NULL}, {0}, 0, 0, 0, "token 0 (a\\x4) is not spelt"},
    {"rwkv", NULL, {"\\xg0"}, {NULL}, {0}, 0, 0, 0, "token 0 (\\xg0) is not spelt"},
    {"rwkv", NULL, {"\\q"}, {NULL}, {0}, 0, 0, 0, "token 0 (\\q) is not spelt"},
};

static size_t length_of(const char *const *list, size_t most)
{
    size_t count = 0;
    while (count < most && list[count])
        ++count;
    return count;
}

Test(tokenizer, refuses_vocabularies_that_cannot_be_used)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        const bad_vocabulary *v = &bad[i];
        size_t tokens = length_of(v->tokens, 4), merges = length_of(v->merges, 3);
        gguf_build b = {0};
        build_start(&b, 3);
        if (v->model)
            build_key_string(&b, "tokenizer.ggml.model", v->model);
        if (v->pre)
            build_key_string(&b, "tokenizer.ggml.pre", v->pre);
        if (tokens)
            build_key_strings(&b, "tokenizer.ggml.tokens", tokens, v->tokens);
        if (merges)
            build_key_strings(&b, "tokenizer.ggml.merges", merges, v->merges);
        if (v->num_types)
            build_key_i32s(&b, "tokenizer.ggml.token_type", v->num_types, v->types);
        if (v->bos != NO_BOS)
            build_key_u32(&b, "tokenizer.ggml.bos_token_id", v->bos);
        build_key_bool(&b, "tokenizer.ggml.add_bos_token", v->add_bos);
        opened_copy opened = open_copy(b.bytes, b.size);
        tokenizer *made = NULL;
        host_error error = {0};
        cr_assert_not_null(opened.file, "%s", opened.error.text);
        cr_assert_not(tokenizer_create(opened.file, &made, &error), "%s", v->reason);
        cr_assert_null(made);
        expect_refusal(&error, v->reason);
        close_copy(&opened);
        build_free(&b);
    }
}

/* A vocabulary of all bytes and some merges, small enough to be made often. */
static void build_pairs(gguf_build *b)
{
    static const char *const names[] = {"a", "b", "c", "Ġ", "ab", "Ġa", "abc", "Ċ", "1", "11", "<|im_end|>"};
    static const char *const merges[] = {"a b", "Ġ a", "ab c", "1 1"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3};
    build_start(b, 3);
    build_key_string(b, "tokenizer.ggml.model", "gpt2");
    build_key_string(b, "tokenizer.ggml.pre", "llama3");
    build_key_strings(b, "tokenizer.ggml.tokens", 11, names);
    build_key_strings(b, "tokenizer.ggml.merges", 4, merges);
    build_key_i32s(b, "tokenizer.ggml.token_type", 11, types);
    build_key_u32(b, "tokenizer.ggml.eos_token_id", 10);
    build_key_bool(b, "tokenizer.ggml.add_bos_token", 0);
}

Test(tokenizer, survives_mutations)
{
    static const char text[] = "abc abcab\n 111 1<|im_end|>cab a\n\nb";
    gguf_build b = {0};
    build_pairs(&b);
    unsigned char *bytes = malloc(b.size);
    cr_assert_not_null(bytes);
    uint64_t state = 2463534242u;
    unsigned made = 0, encoded = 0;
    token_list list = {0};
    for (int round = 0; round < 6000; ++round) {
        memcpy(bytes, b.bytes, b.size);
        mutate(bytes, b.size, &state);
        opened_copy opened = open_copy(bytes, b.size);
        tokenizer *tokens = NULL;
        host_error error = {0};
        if (opened.file && tokenizer_create(opened.file, &tokens, &error)) {
            ++made;
            list.count = 0;
            if (tokenizer_encode(tokens, text, sizeof text - 1, true, &list, &error)) {
                ++encoded;
                expect_text(tokens, &list, text_of(text));
            }
        }
        cr_assert(!opened.file || tokens || error.text[0]);
        tokenizer_destroy(tokens);
        close_copy(&opened);
    }
    cr_assert(made > 300 && made < 6000 && encoded > 100, "%u made, %u encoded", made, encoded);
    token_list_free(&list);
    free(bytes);
    build_free(&b);
}
