/* problems.c: reads problem files, see problems.h. */
#include "problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail_in_line(const char *path, size_t line, const host_error *why, host_error *error)
{
    char place[sizeof why->text];
    snprintf(place, sizeof place, "%s: line %zu", path, line);
    return fail_in(error, place, why);
}

/* Tokens of both sides of the tabulator; `line` is NUL-terminated. */
static bool parse_line(const engine *e, char *line, problem *out, host_error *error)
{
    char *tab = strchr(line, '\t');
    if (!tab)
        return fail(error, EXIT_INPUT, "no tabulator between prompt and expected completion");
    if (strchr(tab + 1, '\t'))
        return fail(error, EXIT_INPUT, "more than one tabulator");
    if (tab == line || !tab[1])
        return fail(error, EXIT_INPUT, "an empty %s", tab == line ? "prompt" : "completion");
    *tab = 0;
    *out = (problem){.expected = tab + 1};
    if (!engine_encode(e, line, (size_t)(tab - line), true, &out->ids, error))
        return false;
    out->prompt = (uint32_t)out->ids.count;
    return e->tokens && tokenizer_encode(e->tokens, tab + 1, strlen(tab + 1), false, &out->ids, error);
}

static uint32_t most(uint32_t a, size_t b)
{
    return a > b ? a : (uint32_t)b;
}

static bool add_line(const char *path, size_t number, const engine *e, char *line, problem_list *list, host_error *error)
{
    host_error why = {0};
    problem *p = &list->items[list->count];
    bool ok = parse_line(e, line, p, &why);
    if (ok && p->ids.count > e->m.context)
        ok = fail(&why, EXIT_INPUT, "%zu tokens are more than the model's context of %u", p->ids.count, e->m.context);
    if (!ok) {
        token_list_free(&p->ids);
        return fail_in_line(path, number, &why, error);
    }
    ++list->count;
    list->longest_prompt = most(list->longest_prompt, p->prompt);
    list->longest_completion = most(list->longest_completion, p->ids.count - p->prompt);
    list->longest = most(list->longest, p->ids.count);
    return true;
}

bool problems_read(const char *path, const engine *e, size_t limit, problem_list *out, host_error *error)
{
    size_t size = 0, lines = 1, number = 0;
    problem_list list = {0};
    if (!engine_read_file(path, &list.text, &size, error))
        return false;
    for (size_t i = 0; i < size; ++i)
        lines += list.text[i] == '\n';
    list.items = calloc(lines, sizeof *list.items);
    bool ok = list.items || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (char *line = list.text, *end = list.text + size; ok && line < end && (!limit || list.count < limit);) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        *stop = 0;
        ++number;
        static const host_error nul = {EXIT_INPUT, "a NUL byte"};
        ok = strlen(line) == (size_t)(stop - line) ? add_line(path, number, e, line, &list, error)
                                                   : fail_in_line(path, number, &nul, error);
        line = stop + 1;
    }
    if (ok && !list.count)
        ok = fail(error, EXIT_INPUT, "%s: no problems", path);
    if (ok)
        *out = list;
    else
        problems_free(&list);
    return ok;
}

void problems_free(problem_list *list)
{
    for (size_t i = 0; i < list->count; ++i)
        token_list_free(&list->items[i].ids);
    free(list->items);
    free(list->text);
    *list = (problem_list){0};
}

const char *problem_answer(const char *completion)
{
    const char *answer = strrchr(completion, '#');
    return answer ? answer : completion;
}
