/* npy.c: the strict reader of npy.h.
 * The header is a Python dictionary literal with exactly the keys descr, fortran_order and shape. */
#define _POSIX_C_SOURCE 200809L
#include "npy.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "half.h"

/* The header of an array of eight dimensions fits in far less. */
#define HEADER_MOST 65536u

typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

static void skip_spaces(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        ++c->at;
}

/* Skips spaces and takes `what` if it is next. */
static bool take(cursor *c, char what)
{
    skip_spaces(c);
    if (c->at == c->end || *c->at != (unsigned char)what)
        return false;
    ++c->at;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    size_t length = strlen(word);
    skip_spaces(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(cursor *c, char *out, size_t size)
{
    skip_spaces(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    unsigned char quote = *c->at++;
    size_t length = 0;
    while (c->at < c->end && *c->at != quote) {
        if (length + 1 >= size || *c->at == '\\' || *c->at < 32)
            return false;
        out[length++] = (char)*c->at++;
    }
    out[length] = 0;
    return c->at++ < c->end;
}

static const char *parse_number(cursor *c, size_t *value)
{
    skip_spaces(c);
    if (c->at == c->end || *c->at < '0' || *c->at > '9')
        return "the shape is not a tuple of whole numbers";
    size_t v = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        size_t digit = (size_t)(*c->at++ - '0');
        if (v > (SIZE_MAX - digit) / 10)
            return "a dimension is too large";
        v = v * 10 + digit;
    }
    *value = v;
    return NULL;
}

static const char *parse_shape(cursor *c, npy_array *array)
{
    if (!take(c, '('))
        return "the shape is not a tuple of whole numbers";
    bool comma = true;
    while (!take(c, ')')) {
        if (!comma)
            return "the shape is not a tuple of whole numbers";
        if (array->ndim == NPY_MAX_DIMS)
            return "more dimensions than this program reads";
        const char *reason = parse_number(c, &array->shape[array->ndim]);
        if (reason)
            return reason;
        ++array->ndim;
        comma = take(c, ',');
    }
    /* In Python (3) is a number and no tuple. */
    return array->ndim == 1 && !comma ? "the shape is not a tuple of whole numbers" : NULL;
}

static const char *parse_value(cursor *c, const char *key, npy_array *array, unsigned *seen)
{
    unsigned bit = !strcmp(key, "descr") ? 1 : !strcmp(key, "fortran_order") ? 2 : !strcmp(key, "shape") ? 4 : 0;
    if (!bit)
        return "the header has an unknown key";
    if (*seen & bit)
        return "the header has a key twice";
    *seen |= bit;
    if (bit == 4)
        return parse_shape(c, array);
    if (bit == 2)
        return take_word(c, "False")  ? NULL
               : take_word(c, "True") ? "the array is in Fortran order; C order is needed"
                                      : "fortran_order is neither True nor False";
    char descr[16];
    if (!take_string(c, descr, sizeof descr))
        return "the type is not '<f2' or '<f4' (float16 or float32, little-endian)";
    array->type = !strcmp(descr, "<f2") ? NPY_F16 : NPY_F32;
    return array->type == NPY_F16 || !strcmp(descr, "<f4")
               ? NULL
               : "the type is not '<f2' or '<f4' (float16 or float32, little-endian)";
}

static const char *parse_header(cursor *c, npy_array *array)
{
    unsigned seen = 0;
    if (!take(c, '{'))
        return "the header is not a dictionary";
    bool comma = true;
    while (!take(c, '}')) {
        char key[16];
        if (!comma || !take_string(c, key, sizeof key) || !take(c, ':'))
            return "the header is not a dictionary";
        const char *reason = parse_value(c, key, array, &seen);
        if (reason)
            return reason;
        comma = take(c, ',');
    }
    skip_spaces(c);
    if (c->at != c->end)
        return "the header goes on after its dictionary";
    return seen == 7 ? NULL : "the header lacks one of descr, fortran_order and shape";
}

/* Fills count and bytes and compares them with the `rest` bytes behind the header. */
static const char *check_size(npy_array *array, size_t rest)
{
    array->count = 1;
    for (uint32_t i = 0; i < array->ndim; ++i) {
        if (!array->shape[i])
            return "a dimension is zero";
        if (array->count > SIZE_MAX / 4 / array->shape[i])
            return "the dimensions are too large";
        array->count *= array->shape[i];
    }
    array->bytes = array->count * (array->type == NPY_F16 ? 2u : 4u);
    return rest < array->bytes   ? "the file is shorter than its shape says"
           : rest > array->bytes ? "the file is longer than its shape says"
                                 : NULL;
}

const char *npy_parse(const unsigned char *head, size_t head_size, size_t size, uint32_t ndim, npy_array *array)
{
    memset(array, 0, sizeof *array);
    if (head_size < 6 || memcmp(head, "\x93NUMPY", 6) != 0)
        return "not a .npy file";
    if (head_size < 8)
        return "the file ends in its header";
    if (head[6] < 1 || head[6] > 3 || head[7] != 0)
        return "a version of .npy other than 1.0, 2.0 and 3.0";
    size_t first = head[6] == 1 ? 10 : 12;
    if (head_size < first)
        return "the file ends in its header";
    size_t length = head[8] | (size_t)head[9] << 8;
    if (head[6] > 1)
        length |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    if (length > HEADER_MOST)
        return "the header is too long";
    if (length > head_size - first)
        return "the file ends in its header";
    cursor c = {head + first, head + first + length};
    const char *reason = parse_header(&c, array);
    if (reason)
        return reason;
    static const char *const wrong[] = {"the array is not a scalar", "the array does not have 1 dimension",
                                        "the array does not have 2 dimensions", "the array does not have 3 dimensions",
                                        "the array does not have 4 dimensions"};
    if (array->ndim != ndim)
        return wrong[ndim < 5 ? ndim : 4];
    array->data_first = first + length;
    return check_size(array, size - array->data_first);
}

bool npy_read(const char *path, uint32_t ndim, npy_array *array, host_error *error)
{
    bool ok = false;
    unsigned char *head = NULL;
    FILE *file = NULL;
    struct stat info;
    memset(array, 0, sizeof *array);
    /* A FIFO would block in fopen, and its size is unknown. */
    if (stat(path, &info)) {
        fail(error, EXIT_INPUT, "%s: %s", path, strerror(errno));
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode)) {
        fail(error, EXIT_INPUT, "%s: not a regular file", path);
        goto cleanup;
    }
    file = fopen(path, "rb");
    if (!file) {
        fail(error, EXIT_INPUT, "%s: %s", path, strerror(errno));
        goto cleanup;
    }
    head = malloc(HEADER_MOST + 12u);
    if (!head) {
        fail(error, EXIT_DEVICE, "%s: host memory exhausted", path);
        goto cleanup;
    }
    size_t size = (size_t)info.st_size, got = fread(head, 1, HEADER_MOST + 12u, file);
    const char *reason = npy_parse(head, got < size ? got : size, size, ndim, array);
    if (reason) {
        fail(error, EXIT_INPUT, "%s: %s", path, reason);
        goto cleanup;
    }
    array->data = malloc(array->bytes);
    if (!array->data) {
        fail(error, EXIT_DEVICE, "%s: host memory exhausted", path);
        goto cleanup;
    }
    if (fseek(file, (long)array->data_first, SEEK_SET) || fread(array->data, 1, array->bytes, file) != array->bytes) {
        fail(error, EXIT_INPUT, "%s: cannot be read", path);
        goto cleanup;
    }
    ok = true;
cleanup:
    if (file)
        fclose(file);
    free(head);
    if (!ok)
        npy_free(array);
    return ok;
}

void npy_free(npy_array *array)
{
    free(array->data);
    memset(array, 0, sizeof *array);
}

size_t npy_to_float(const npy_array *array, float *out)
{
    size_t bad = array->count;
    if (array->type == NPY_F32)
        memcpy(out, array->data, array->bytes);
    for (size_t i = array->count; i-- > 0;) {
        if (array->type == NPY_F16) {
            uint16_t h;
            memcpy(&h, (const unsigned char *)array->data + 2 * i, 2);
            out[i] = half_to_float(h);
        }
        if (!isfinite(out[i]))
            bad = i;
    }
    return bad;
}

bool npy_write(const float *values, size_t rows, size_t columns, out_file *file, host_error *error)
{
    /* magic, version 1.0, length of the rest of the header, which is padded so that the data begins at a multiple of 64 */
    char head[128];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    int length =
        snprintf(head + 10, sizeof head - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, columns);
    head[10 + length] = ' ';
    head[sizeof head - 1] = '\n';
    errno = 0;
    if (fwrite(head, 1, sizeof head, file->stream) == sizeof head &&
        fwrite(values, sizeof *values, rows * columns, file->stream) == rows * columns)
        return out_commit(file, error);
    fail(error, EXIT_DEVICE, "%s: cannot write: %s", file->path, strerror(errno));
    out_discard(file);
    return false;
}
