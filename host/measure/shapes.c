/* shapes.c: reads shapes files, see shapes.h. */
#define _POSIX_C_SOURCE 200809L
#include "shapes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/args.h"
#include "../common/codec_flags.h"

enum { NUMBERS = 6, MOST_FLAGS = 40 };

/* A whole number of `least` to `most`; false for anything else. */
static bool parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (!end || *end || errno || value < least || value > most)
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool parse_verb(const char *word, const char *where, unsigned *verbs, host_error *error)
{
    *verbs = !strcmp(word, "attend")   ? VERB_ATTEND
             : !strcmp(word, "append") ? VERB_APPEND
             : !strcmp(word, "both")   ? VERB_ATTEND | VERB_APPEND
                                       : 0;
    return *verbs || fail(error, EXIT_INPUT, "%s: '%s' is none of attend, append, both", where, word);
}

/* real or real:N, behind "data=". */
static bool parse_data(const char *text, const char *where, bench_shape *out, host_error *error)
{
    out->real = true;
    out->layer = MIDDLE_LAYER;
    return !text[4] || parse_number(text + 5, 0, REAL_LAYERS - 1, &out->layer) ||
           fail(error, EXIT_INPUT, "%s: data=real: layer '%s' is not a whole number of 0 to %d", where, text + 5,
                REAL_LAYERS - 1);
}

static bool parse_word(const char *word, const char *where, bench_shape *out, host_error *error)
{
    if (!strcmp(word, "decode"))
        out->decode = true;
    else if (!strcmp(word, "shuffled"))
        out->shuffled = true;
    else if (!strcmp(word, "ragged"))
        out->ragged = true;
    else if (!strcmp(word, "decode-block"))
        out->decode_block = true;
    else if (!strcmp(word, "data=real") || !strncmp(word, "data=real:", 10))
        return parse_data(word + 5, where, out, error);
    else if (strncmp(word, "window=", 7))
        return fail(error, EXIT_INPUT,
                    "%s: '%s' is none of decode, shuffled, ragged, window=N, decode-block, data=real, data=real:N", where,
                    word);
    else if (!parse_number(word + 7, 0, 4096, &out->window_fill))
        return fail(error, EXIT_INPUT, "%s: window '%s' is not a whole number of 0 to 4096", where, word + 7);
    return true;
}

/* A step needs some room in the window before the block is complete; the block is to be one. */
static bool check_decode_block(const bench_shape *s, const char *where, host_error *error)
{
    enum { LEAST_WINDOW = 4 };
    if (!s->decode_block)
        return true;
    if (s->verbs != VERB_APPEND || s->decode || s->shuffled || s->ragged)
        return fail(error, EXIT_INPUT, "%s: decode-block is a word of append that stands alone", where);
    if (s->tokens % GEAR_BLOCK_TOKENS)
        return fail(error, EXIT_INPUT, "%s: decode-block takes a multiple of %d tokens, not %u", where, (int)GEAR_BLOCK_TOKENS,
                    s->tokens);
    return (s->recipe.window >= LEAST_WINDOW && s->recipe.window <= GEAR_BLOCK_TOKENS) ||
           fail(error, EXIT_INPUT, "%s: decode-block takes a window of %d to %d tokens, not %u", where, (int)LEAST_WINDOW,
                (int)GEAR_BLOCK_TOKENS, s->recipe.window);
}

static error_t pass_on(int key, char *text, struct argp_state *state)
{
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = state->input;
    if (key == ARGP_KEY_ARG)
        argp_failure(state, EXIT_INPUT, 0, "'%s' stands behind a codec flag and is none", text);
    return key == ARGP_KEY_INIT ? 0 : ARGP_ERR_UNKNOWN;
}

/* flags[0] is the name that messages start with. */
static bool parse_codec(char **flags, int count, bench_shape *out, host_error *error)
{
    codec_flags codec;
    const struct argp_child children[] = {{&codec_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {NULL, pass_on, NULL, NULL, children, NULL, NULL};
    codec_flags_init(&codec);
    argp_parse(&parser, count, flags, ARGP_NO_HELP, NULL, &codec);
    if (!codec_flags_recipe(&codec, out->head_dim, &out->recipe, error))
        return false;
    *out = shape_with(out, &out->recipe);
    return true;
}

bool shape_parse(char *line, const char *where, bench_shape *out, host_error *error)
{
    static const char *const names[] = {"batch", "KV heads", "queries per KV head", "tokens", "head_dim", "query tokens"};
    uint32_t *const fields[] = {&out->batch, &out->kv_heads, &out->group, &out->tokens, &out->head_dim, &out->queries};
    char program[64], *save = NULL, *flags[MOST_FLAGS] = {program};
    int count = 1;
    *out = (bench_shape){0};
    snprintf(program, sizeof program, "%s", where);
    line[strcspn(line, "#\r\n")] = 0;
    char *word = strtok_r(line, " \t", &save);
    if (!word)
        return true;
    if (!parse_verb(word, where, &out->verbs, error))
        return false;
    for (int i = 0; i < NUMBERS; ++i) {
        word = strtok_r(NULL, " \t", &save);
        if (!word)
            return fail(error, EXIT_INPUT, "%s: %s is missing", where, names[i]);
        if (!parse_number(word, 1, 1u << 28, fields[i]))
            return fail(error, EXIT_INPUT, "%s: %s '%s' is not a whole number of 1 to %u", where, names[i], word, 1u << 28);
    }
    while ((word = strtok_r(NULL, " \t", &save)) && word[0] != '-')
        if (!parse_word(word, where, out, error))
            return false;
    for (; word; word = strtok_r(NULL, " \t", &save)) {
        if (count == MOST_FLAGS - 1)
            return fail(error, EXIT_INPUT, "%s: more than %d words of codec flags", where, MOST_FLAGS - 2);
        flags[count++] = word;
    }
    if (out->queries > out->tokens / 2 + 1)
        return fail(error, EXIT_INPUT, "%s: %u query tokens of %u tokens", where, out->queries, out->tokens);
    if (out->decode_block && out->window_fill)
        return fail(error, EXIT_INPUT, "%s: decode-block fills the window by itself", where);
    return parse_codec(flags, count, out, error) && check_decode_block(out, where, error);
}

static bool add_shape(shape_list *list, const bench_shape *shape, host_error *error)
{
    bench_shape *grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (!grown)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    list->items = grown;
    list->items[list->count++] = *shape;
    return true;
}

bool shapes_read(const char *path, shape_list *list, host_error *error)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char *line = NULL, where[64];
    size_t room = 0;
    unsigned number = 0;
    *list = (shape_list){0};
    FILE *file = fopen(path, "r");
    bool ok = file || fail(error, EXIT_INPUT, "%s: cannot read: %s", path, strerror(errno));
    while (ok && getline(&line, &room, file) >= 0) {
        bench_shape shape;
        snprintf(where, sizeof where, "%.40s:%u", base, ++number);
        ok = shape_parse(line, where, &shape, error) && (!shape.verbs || add_shape(list, &shape, error));
    }
    if (ok && ferror(file))
        ok = fail(error, EXIT_INPUT, "%s: cannot read: %s", path, strerror(errno));
    if (ok && !list->count)
        ok = fail(error, EXIT_INPUT, "%s: no shape in it", path);
    free(line);
    if (file)
        fclose(file);
    return ok;
}

uint32_t shape_length(const bench_shape *shape, uint32_t i)
{
    if (!shape->ragged || shape->batch < 2)
        return shape->tokens;
    return shape->tokens / 2 + (uint32_t)((uint64_t)shape->tokens * i / (shape->batch - 1));
}

void shape_words(const bench_shape *shape, char *out, size_t size)
{
    char window[32] = "", data[32] = "";
    shape_data(shape, data, sizeof data);
    if (shape->decode_block)
        snprintf(window, sizeof window, " decode-block");
    else if (shape->window_fill)
        snprintf(window, sizeof window, " window=%u", shape->window_fill);
    snprintf(out, size, "%s%s%s%s%s%s", shape->decode ? " decode" : "", shape->shuffled ? " shuffled" : "",
             shape->ragged ? " ragged" : "", window, shape->real ? " data=" : "", shape->real ? data : "");
    if (out[0])
        memmove(out, out + 1, strlen(out));
    else
        snprintf(out, size, "-");
}

void shape_data(const bench_shape *shape, char *out, size_t size)
{
    if (shape->real && shape->layer != MIDDLE_LAYER)
        snprintf(out, size, "real:%u", shape->layer);
    else
        snprintf(out, size, "%s", shape->real ? "real" : "made");
}

bench_shape shape_with(const bench_shape *shape, const recipe *r)
{
    bench_shape other = *shape;
    other.recipe = *r;
    if (shape->decode_block)
        other.window_fill = r->recent + r->window + 1;
    if (r->preset)
        snprintf(other.codec, sizeof other.codec, "%s", r->preset);
    else
        recipe_name(r, other.codec, sizeof other.codec);
    recipe_details(r, shape->head_dim, other.details, sizeof other.details);
    return other;
}

bool shape_same_geometry(const bench_shape *a, const bench_shape *b)
{
    return a->batch == b->batch && a->kv_heads == b->kv_heads && a->group == b->group && a->tokens == b->tokens &&
           a->head_dim == b->head_dim && a->queries == b->queries && a->decode == b->decode && a->shuffled == b->shuffled &&
           a->ragged == b->ragged && a->decode_block == b->decode_block &&
           (a->decode_block || a->window_fill == b->window_fill);
}

bool shape_same_data(const bench_shape *a, const bench_shape *b)
{
    return a->real == b->real && (!a->real || a->layer == b->layer);
}
