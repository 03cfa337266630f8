/* windows.c: windows of texts, see windows.h. */
#define _POSIX_C_SOURCE 200809L
#include "windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

error_t windows_parse(windows_flags *flags, int key, const char *text, const struct argp_state *state)
{
    switch (key) {
    case WINDOWS_KEY_TEXT:
        if (flags->num_texts == WINDOWS_TEXTS)
            argp_failure(state, EXIT_INPUT, 0, "--text: more than %d", WINDOWS_TEXTS);
        else
            flags->texts[flags->num_texts++] = text;
        return 0;
    case WINDOWS_KEY_PREFILL: flags->prefill = args_u32("prefill", text, state); return 0;
    case WINDOWS_KEY_DECODE: flags->decode = args_u32("decode", text, state); return 0;
    case WINDOWS_KEY_WINDOWS: flags->windows = args_u32("windows", text, state); return 0;
    case ARGP_KEY_END:
        if (!flags->num_texts)
            argp_failure(state, EXIT_INPUT, 0, "--text FILE is needed; see --help");
        if (!flags->prefill || !flags->decode || !flags->windows)
            argp_failure(state, EXIT_INPUT, 0, "--prefill, --decode and --windows are at least 1");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Cuts "FILE@TOKEN"; `path` is the caller's to free. */
static bool split(const char *text, char **path, uint64_t *first, host_error *error)
{
    const char *at = strrchr(text, '@');
    char *end = NULL;
    errno = 0;
    *first = at && at[1] >= '0' && at[1] <= '9' ? strtoull(at + 1, &end, 10) : 0;
    bool cut = end && !*end;
    if (cut && errno == ERANGE)
        return fail(error, EXIT_INPUT, "--text: '%s' begins beyond any token", text);
    *path = strndup(text, cut ? (size_t)(at - text) : strlen(text));
    *first = cut ? *first : 0;
    return *path || fail(error, EXIT_DEVICE, "host memory exhausted");
}

/* Without the token that begins a sequence: windows begin anywhere. */
static bool encode(const engine *e, const char *path, const char *text, size_t size, token_list *out, host_error *error)
{
    host_error why = {0};
    return (e->tokens ? tokenizer_encode(e->tokens, text, size, false, out, &why)
                      : engine_encode(e, text, size, false, out, &why)) ||
           fail_in(error, path, &why);
}

static bool read_text(const windows_flags *f, const engine *e, windows *w, uint32_t index, host_error *error)
{
    char *path = NULL, *text = NULL;
    size_t size = 0;
    uint64_t first = 0;
    token_list *list = &w->texts[index];
    bool ok = split(f->texts[index], &path, &first, error) && engine_read_file(path, &text, &size, error) &&
              encode(e, path, text, size, list, error);
    /* The length is at most the model's context, below 2^31: the product does not wrap. */
    const uint64_t length = (uint64_t)f->prefill + f->decode, need = length * f->windows + 1;
    if (ok && (first > list->count || need > list->count - first))
        ok = fail(error, EXIT_INPUT, "%s: %zu tokens; %u windows of %u + %u tokens need %llu from token %llu on", path,
                  list->count, f->windows, f->prefill, f->decode, (unsigned long long)need, (unsigned long long)first);
    for (uint32_t i = 0; ok && i < f->windows; ++i)
        w->windows[w->count++] = (teacher_text){list->ids + first + i * length, f->prefill, f->decode};
    free(path);
    free(text);
    return ok;
}

bool windows_make(const windows_flags *f, const engine *e, windows *w, host_error *error)
{
    if ((uint64_t)f->prefill + f->decode > e->m.context)
        return fail(error, EXIT_INPUT, "%u + %u tokens are more than the model's context of %u", f->prefill, f->decode,
                    e->m.context);
    w->texts = calloc(f->num_texts, sizeof *w->texts);
    w->num_texts = w->texts ? f->num_texts : 0;
    w->windows = calloc((size_t)f->num_texts * f->windows, sizeof *w->windows);
    if (!w->texts || !w->windows)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = 0; i < f->num_texts; ++i)
        if (!read_text(f, e, w, i, error))
            return false;
    return true;
}

void windows_free(windows *w)
{
    for (uint32_t i = 0; i < w->num_texts; ++i)
        token_list_free(&w->texts[i]);
    free(w->texts);
    free(w->windows);
    *w = (windows){0};
}

bool windows_run(const windows *w, teacher *t, host_error *error)
{
    const size_t per_window = w->windows[0].prompt + t->num_runs * (size_t)w->windows[0].fed;
    progress bar = progress_start(w->count * per_window);
    bool ok = true;
    for (uint32_t first = 0; ok && first < w->count; first += t->limits.group) {
        const uint32_t left = w->count - first, count = left < t->limits.group ? left : t->limits.group;
        ok = teacher_prompt(t, w->windows + first, count, &bar, error) &&
             teacher_feed(t, w->windows + first, count, &bar, error) && teacher_finish(t, count, error);
    }
    progress_end(&bar);
    return ok;
}
