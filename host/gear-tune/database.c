/* database.c: see database.h. */
#define _POSIX_C_SOURCE 200809L
#include "database.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static database_line *insert(database *d, size_t at, const char *text, size_t length, host_error *error)
{
    char *copy = strndup(text, length);
    if (copy && d->count == d->room) {
        size_t room = d->room ? 2 * d->room : 64;
        database_line *grown = realloc(d->lines, room * sizeof *grown);
        if (grown) {
            d->lines = grown;
            d->room = room;
        }
    }
    if (!copy || d->count == d->room) {
        free(copy);
        fail(error, EXIT_DEVICE, "host memory exhausted");
        return NULL;
    }
    memmove(d->lines + at + 1, d->lines + at, (d->count - at) * sizeof *d->lines);
    d->lines[at] = (database_line){.text = copy};
    d->count++;
    return &d->lines[at];
}

/* Reads one line; *in_comment: whether a comment goes on from the line before, and into the next. */
static bool read_line(database_line *line, bool *in_comment)
{
    const char *at = line->text + strspn(line->text, " \t");
    if (!*in_comment && strncmp(at, "/*", 2) != 0)
        return !*at || line_parse(line);
    const char *end = strstr(*in_comment ? at : at + 2, "*/");
    *in_comment = !end;
    return !end || !end[2 + strspn(end + 2, " \t")];
}

bool database_parse(const char *text, const char *where, database *out, host_error *error)
{
    bool in_comment = false, scoped = false;
    *out = (database){0};
    while (*text) {
        size_t length = strcspn(text, "\n");
        database_line *line = insert(out, out->count, text, length, error);
        if (!line)
            return false;
        bool ok = read_line(line, &in_comment);
        if (!ok || (line->kind >= DATABASE_TUNED && !scoped))
            return fail(error, EXIT_INPUT, "%s:%zu: '%.80s' is no line of a tuning database%s", where, out->count, line->text,
                        ok ? " before the first scope" : "");
        scoped |= line->kind != DATABASE_TEXT;
        text += length + (text[length] == '\n');
    }
    return !in_comment || fail(error, EXIT_INPUT, "%s: a comment does not end", where);
}

static bool read_text(FILE *file, char **text, host_error *error)
{
    size_t used = 0, room = 0, got = 0;
    do {
        char *grown = used + 1 >= room ? realloc(*text, room = 2 * room + 4096) : *text;
        if (!grown)
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        *text = grown;
        got = fread(*text + used, 1, room - used - 1, file);
        used += got;
    } while (got);
    (*text)[used] = 0;
    return strlen(*text) == used || fail(error, EXIT_INPUT, "a NUL byte in a tuning database");
}

bool database_read(const char *path, database *out, host_error *error)
{
    char *text = NULL;
    *out = (database){0};
    FILE *file = fopen(path, "r");
    if (!file)
        return errno == ENOENT || fail(error, EXIT_INPUT, "%s: cannot read: %s", path, strerror(errno));
    bool ok = read_text(file, &text, error);
    if (ok && ferror(file))
        ok = fail(error, EXIT_INPUT, "%s: cannot read: %s", path, strerror(errno));
    fclose(file);
    ok = ok && database_parse(text, path, out, error);
    free(text);
    return ok;
}

void database_free(database *d)
{
    for (size_t i = 0; i < d->count; ++i)
        free(d->lines[i].text);
    free(d->lines);
    *d = (database){0};
}

static bool same_key(const database_record *a, const database_record *b)
{
    return a->kind == b->kind && !strcmp(a->head_dim, b->head_dim) && !strcmp(a->codecs, b->codecs) &&
           (a->kind == DATABASE_PREFER || !strcmp(a->kernel, b->kernel));
}

/* Lines first .. end - 1 are the scope of a device: its own line and up to its last record. first == d->count: not there. */
static void find_scope(const database *d, const char *device, size_t *first, size_t *end)
{
    size_t at = 0;
    while (at < d->count && (d->lines[at].kind != DATABASE_DEVICE || strcmp(d->lines[at].name, device) != 0))
        ++at;
    *first = *end = at;
    for (; at < d->count && (at == *first || d->lines[at].kind == DATABASE_TEXT || d->lines[at].kind >= DATABASE_TUNED); ++at)
        if (d->lines[at].kind != DATABASE_TEXT)
            *end = at + 1;
}

/* Puts a line in place of the one at `at`, or before it. */
static bool put(database *d, size_t at, bool replace, const char *text, host_error *error)
{
    database_line *line = insert(d, at, text, strlen(text), error);
    if (!line)
        return false;
    if (replace) {
        free(d->lines[at + 1].text);
        memmove(d->lines + at + 1, d->lines + at + 2, (d->count - at - 2) * sizeof *d->lines);
        d->count--;
    }
    return !text[0] || line_parse(line) || fail(error, EXIT_DEVICE, "'%s' is no line of a tuning database", text);
}

static bool put_record(database *d, const char *device, const database_record *record, host_error *error)
{
    char text[DATABASE_LINE];
    size_t first, end, at;
    find_scope(d, device, &first, &end);
    for (at = first + 1; at < end && !same_key(&d->lines[at].record, record); ++at)
        ;
    line_format_record(record, text);
    return put(d, at, at < end, text, error);
}

bool database_update(database *d, const char *device, const char *measured_with, const database_record *records, size_t count,
                     host_error *error)
{
    char text[DATABASE_LINE];
    size_t first, end;
    if (!line_format_device(device, measured_with, text, error))
        return false;
    find_scope(d, device, &first, &end);
    if (first == d->count && first && d->lines[first - 1].text[0] && !put(d, first, false, "", error))
        return false;
    bool known = end > first;
    if (!put(d, known ? first : d->count, known, text, error))
        return false;
    for (size_t i = 0; i < count; ++i)
        if (!put_record(d, device, &records[i], error))
            return false;
    return true;
}

void database_print(const database *d, const char *device, FILE *stream)
{
    size_t first, end;
    find_scope(d, device, &first, &end);
    for (size_t i = first; i < end; ++i)
        fprintf(stream, "%s\n", d->lines[i].text);
}

/* The name of the file that becomes `path`. */
static char *beside(const char *path, host_error *error)
{
    size_t size = strlen(path) + 32;
    char *name = malloc(size);
    if (name)
        snprintf(name, size, "%s.new%ld", path, (long)getpid());
    else
        fail(error, EXIT_DEVICE, "host memory exhausted");
    return name;
}

static bool cannot_write(const char *path, host_error *error)
{
    return fail(error, EXIT_INPUT, "%s: cannot write: %s", path, strerror(errno));
}

bool database_writable(const char *path, host_error *error)
{
    char *name = beside(path, error);
    FILE *file = name ? fopen(name, "w") : NULL;
    if (name && !file)
        cannot_write(path, error);
    if (file) {
        fclose(file);
        remove(name);
    }
    free(name);
    return file != NULL;
}

bool database_write(const database *d, const char *path, host_error *error)
{
    char *name = beside(path, error);
    FILE *file = name ? fopen(name, "w") : NULL;
    bool ok = file != NULL;
    for (size_t i = 0; ok && i < d->count; ++i)
        ok = fprintf(file, "%s\n", d->lines[i].text) >= 0;
    ok = file && !fclose(file) && ok && !rename(name, path);
    if (name && !ok)
        cannot_write(path, error);
    if (file && !ok)
        remove(name);
    free(name);
    return ok;
}
