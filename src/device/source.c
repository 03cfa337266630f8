/* source.c: kernel text, embedded or read from a directory. The expansion of includes is the same as that of cmake/embed.cmake;
 * the unit test compares the two. */
#include "device/source.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"

#define WHERE        "gear__source_load"
#define MAX_INCLUDES 64
#define NAME_BYTES   96

typedef struct builder {
    const gear_allocator *allocator;
    const char *dir;
    char *text;
    size_t size, room;
    char seen[MAX_INCLUDES][NAME_BYTES];
    int num_seen;
    gear_error *error;
} builder;

static gear_status put(builder *b, const char *text, size_t size)
{
    if (size > b->room - b->size) {
        size_t room = (b->size + size) * 2;
        char *grown = gear__alloc(b->allocator, room);
        if (!grown) {
            return gear__fail_memory(b->error, WHERE, room);
        }
        if (b->size) {
            memcpy(grown, b->text, b->size);
        }
        gear__free(b->allocator, b->text);
        b->text = grown;
        b->room = room;
    }
    memcpy(b->text + b->size, text, size);
    b->size += size;
    return GEAR_OK;
}

static gear_status put_line_marker(builder *b, unsigned line, const char *name)
{
    char marker[NAME_BYTES + 32];
    int length = snprintf(marker, sizeof marker, "#line %u \"%s\"\n", line, name);
    return put(b, marker, (size_t)length);
}

static gear_status read_file(builder *b, const char *name, char **text, size_t *size)
{
    size_t bytes = strlen(b->dir) + strlen(name) + 2;
    char *path = gear__alloc(b->allocator, bytes), *data = NULL;
    FILE *file = NULL;
    long length;
    gear_status status = GEAR_OK;

    if (!path) {
        return gear__fail_memory(b->error, WHERE, bytes);
    }
    (void)snprintf(path, bytes, "%s/%s", b->dir, name);
    file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) || (length = ftell(file)) < 0 || fseek(file, 0, SEEK_SET)) {
        status = gear__fail(b->error, GEAR_ERROR_BUILD, WHERE, "cannot read %.180s", path);
        goto cleanup;
    }
    data = gear__alloc(b->allocator, (size_t)length + 1);
    if (!data) {
        status = gear__fail_memory(b->error, WHERE, (size_t)length + 1);
    } else if (fread(data, 1, (size_t)length, file) != (size_t)length) {
        status = gear__fail(b->error, GEAR_ERROR_BUILD, WHERE, "cannot read %.180s", path);
    }
    if (!status) {
        *text = data;
        *size = (size_t)length;
        data = NULL;
    }
cleanup:
    if (file) {
        (void)fclose(file);
    }
    gear__free(b->allocator, data);
    gear__free(b->allocator, path);
    return status;
}

/* Copies the name of `#include "name"` and returns 1; 0 when the line is something else. */
static int include_name(const char *line, size_t size, char name[NAME_BYTES])
{
    static const char word[] = "include";
    size_t i = 0, first;
    while (i < size && (line[i] == ' ' || line[i] == '\t')) {
        i++;
    }
    if (i == size || line[i++] != '#') {
        return 0;
    }
    while (i < size && (line[i] == ' ' || line[i] == '\t')) {
        i++;
    }
    if (size - i < sizeof word - 1 || memcmp(line + i, word, sizeof word - 1) != 0) {
        return 0;
    }
    i += sizeof word - 1;
    while (i < size && (line[i] == ' ' || line[i] == '\t')) {
        i++;
    }
    if (i == size || line[i++] != '"') {
        return 0;
    }
    for (first = i; i < size && line[i] != '"'; i++) {
        if (i - first >= NAME_BYTES - 16) {
            return 0;
        }
    }
    if (i == size || i == first) {
        return 0;
    }
    memcpy(name, line + first, i - first);
    name[i - first] = '\0';
    return 1;
}

static gear_status expand(builder *b, const char *name);

static gear_status expand_include(builder *b, const char *include, const char *file, unsigned line)
{
    char name[NAME_BYTES + 16];
    gear_status status;
    int i;
    for (i = 0; i < b->num_seen; i++) {
        if (strcmp(b->seen[i], include) == 0) {
            return put(b, "\n", 1);
        }
    }
    if (b->num_seen == MAX_INCLUDES) {
        return gear__fail(b->error, GEAR_ERROR_BUILD, WHERE, "%.80s: more than %d included files", file, MAX_INCLUDES);
    }
    (void)snprintf(b->seen[b->num_seen++], NAME_BYTES, "%s", include);
    (void)snprintf(name, sizeof name, "common/%s", include);
    status = expand(b, name);
    return status ? status : put_line_marker(b, line + 1, file);
}

static gear_status expand(builder *b, const char *name)
{
    char *text = NULL, include[NAME_BYTES];
    size_t size = 0, at = 0;
    unsigned line = 1;
    gear_status status = read_file(b, name, &text, &size);
    if (!status) {
        status = put_line_marker(b, 1, name);
    }
    for (; !status && at < size; line++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - (text + at)) : size - at;
        if (include_name(text + at, length, include)) {
            status = expand_include(b, include, name, line);
        } else {
            status = put(b, text + at, length);
            if (!status) {
                status = put(b, "\n", 1);
            }
        }
        at += length + 1;
    }
    gear__free(b->allocator, text);
    return status;
}

/* Appends the text of one kernel file. */
static gear_status put_stem(builder *b, const char *stem, size_t length)
{
    const gear__embedded *entry = gear__embedded_kernels;
    char name[NAME_BYTES];
    if (b->dir) {
        (void)snprintf(name, sizeof name, "%.*s.cl", (int)(length < NAME_BYTES - 4 ? length : NAME_BYTES - 4), stem);
        b->num_seen = 0;
        return expand(b, name);
    }
    while (entry->stem && (strncmp(entry->stem, stem, length) != 0 || entry->stem[length])) {
        entry++;
    }
    if (!entry->stem) {
        return gear__fail(b->error, GEAR_ERROR_BUILD, WHERE, "no kernel file %.*s.cl in this library",
                          (int)(length < 80 ? length : 80), stem);
    }
    return put(b, (const char *)entry->data, *entry->size);
}

gear_status gear__source_load(const gear_allocator *allocator, const char *dir, const char *stems, gear__source *source,
                              gear_error *error)
{
    builder *b = gear__alloc(allocator, sizeof *b);
    gear_status status = GEAR_OK;
    memset(source, 0, sizeof *source);
    if (!b) {
        return gear__fail_memory(error, WHERE, sizeof *b);
    }
    b->allocator = allocator;
    b->dir = dir;
    b->error = error;
    while (!status && *stems) {
        size_t length = strcspn(stems, "+");
        status = put_stem(b, stems, length);
        stems += length + (stems[length] == '+');
    }
    if (status) {
        gear__free(allocator, b->text);
    } else {
        source->text = source->owned = b->text;
        source->size = b->size;
        source->hash = gear__hash64(source->text, source->size);
    }
    gear__free(allocator, b);
    return status;
}

void gear__source_close(const gear_allocator *allocator, gear__source *source)
{
    gear__free(allocator, source->owned);
    memset(source, 0, sizeof *source);
}
