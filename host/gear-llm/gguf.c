/* gguf.c: opens and closes model files, see gguf.h. The format: a header (magic, version, counts), `pairs` of key and value,
 * descriptions of tensors, padding, and the tensors' data; https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. */
#define _POSIX_C_SOURCE 200809L
#include "gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf_file.h"

/* What a message shows of a name in the file. */
#define SHOWN_MOST 80

bool gguf_refuse(const gguf *file, host_error *error, const char *format, ...)
{
    char reason[sizeof error->text];
    va_list list;
    va_start(list, format);
    vsnprintf(reason, sizeof reason, format, list);
    va_end(list);
    return fail(error, EXIT_INPUT, "%s: %s", file->path, reason);
}

bool gguf_no_memory(const gguf *file, host_error *error)
{
    return fail(error, EXIT_DEVICE, "%s: host memory exhausted", file->path);
}

int gguf_shown(gguf_text text)
{
    return text.size < SHOWN_MOST ? (int)text.size : SHOWN_MOST;
}

int gguf_compare(gguf_text a, gguf_text b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.bytes, b.bytes, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

const char *gguf_copy_text(gguf *file, gguf_text text)
{
    gguf_copy *copy = malloc(sizeof *copy + text.size + 1);
    if (!copy)
        return NULL;
    if (text.size)
        memcpy(copy->text, text.bytes, text.size);
    copy->text[text.size] = 0;
    copy->next = file->copies;
    file->copies = copy;
    return copy->text;
}

static bool read_all(gguf *file, host_error *error)
{
    gguf_cursor c = {file->bytes, file->bytes + file->size};
    uint32_t version = 0;
    uint64_t tensors = 0, pairs = 0;
    if (file->size < 4 || memcmp(file->bytes, "GGUF", 4) != 0)
        return gguf_refuse(file, error, "not a GGUF file");
    c.at += 4;
    if (!gguf_take_u32(&c, &version))
        return gguf_refuse(file, error, "the file ends in its header");
    if (version && !(version & 0xffff))
        return gguf_refuse(file, error, "a big-endian GGUF file; little-endian is needed");
    if (version != 2 && version != 3)
        return gguf_refuse(file, error, "version %u of GGUF; 2 and 3 are read", version);
    if (!gguf_take_u64(&c, &tensors) || !gguf_take_u64(&c, &pairs))
        return gguf_refuse(file, error, "the file ends in its header");
    return gguf_read_pairs(file, &c, pairs, error) && gguf_read_tensors(file, &c, tensors, error);
}

/* Takes over the mapping. */
static bool open_bytes(const char *path, void *map, const void *bytes, size_t size, gguf **out, host_error *error)
{
    *out = NULL;
    gguf *file = calloc(1, sizeof *file);
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        if (map)
            munmap(map, size);
        return fail(error, EXIT_DEVICE, "%s: host memory exhausted", path);
    }
    *file = (gguf){.path = copy, .map = map, .bytes = bytes, .size = size};
    if (!read_all(file, error)) {
        gguf_close(file);
        return false;
    }
    *out = file;
    return true;
}

bool gguf_open_bytes(const char *name, const void *bytes, size_t size, gguf **out, host_error *error)
{
    return open_bytes(name, NULL, bytes, size, out, error);
}

bool gguf_open(const char *path, gguf **out, host_error *error)
{
    *out = NULL;
    struct stat info;
    void *map = NULL;
    /* Without O_NONBLOCK a FIFO would wait for its writer. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail(error, EXIT_INPUT, "%s: %s", path, strerror(errno));
    if (fstat(fd, &info))
        fail(error, EXIT_INPUT, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        fail(error, EXIT_INPUT, "%s: not a regular file", path);
    else if (!info.st_size)
        fail(error, EXIT_INPUT, "%s: not a GGUF file", path);
    else if ((map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
        fail(error, EXIT_DEVICE, "%s: cannot be mapped: %s", path, strerror(errno));
        map = NULL;
    }
    close(fd);
    return map && open_bytes(path, map, map, (size_t)info.st_size, out, error);
}

void gguf_close(gguf *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->num_pairs; ++i)
        free(file->pairs[i].strings);
    free(file->pairs);
    free(file->tensors);
    free(file->by_name);
    while (file->copies) {
        gguf_copy *next = file->copies->next;
        free(file->copies);
        file->copies = next;
    }
    if (file->map)
        munmap(file->map, file->size);
    free(file->path);
    free(file);
}

const char *gguf_path(const gguf *file)
{
    return file->path;
}
