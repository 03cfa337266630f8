/* gguf.h: a model file in the GGUF format, versions 2 and 3, little-endian, mapped read-only.
 *
 * gguf_open checks the whole file before anything of it is used: every count, length, type, shape product, alignment and
 * offset against the file's size, keys and names against repetition, tensors against overlap. A file with a tensor of a type
 * that is not in gguf_type is refused there, by the names of tensor and type. What gguf_open has accepted is never read
 * outside the mapping. A file that shrinks while it is open is outside that promise, as with any mapping. All failures are
 * EXIT_INPUT and say "FILE: reason", but for exhausted memory (EXIT_DEVICE).
 *
 * Everything that the functions below return is borrowed from the gguf and lives until gguf_close. */
#ifndef GEAR_LLM_GGUF_H
#define GEAR_LLM_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define GGUF_MAX_DIMS 4

typedef struct gguf gguf;

/* Element types of tensors that are read; the numbers are the format's. */
typedef enum gguf_type {
    GGUF_F32 = 0,
    GGUF_F16 = 1,
    GGUF_Q4_0 = 2,
    GGUF_Q4_1 = 3,
    GGUF_Q8_0 = 8,
    GGUF_Q4_K = 12,
    GGUF_Q6_K = 14,
    GGUF_BF16 = 30
} gguf_type;

/* A row is the shape[0] contiguous values of a tensor; it is a whole number of blocks (gguf_blocks.h), and rows follow each
 * other without gaps. */
typedef struct gguf_tensor {
    const char *name; /* NUL-terminated */
    gguf_type type;
    uint32_t ndim;                 /* 1 to GGUF_MAX_DIMS */
    uint64_t shape[GGUF_MAX_DIMS]; /* each at least 1; 1 from ndim on */
    const void *data;              /* a multiple of general.alignment (at least 8) behind the file's first byte */
    size_t bytes;
} gguf_tensor;

bool gguf_open(const char *path, gguf **out, host_error *error);
/* The same of a file in memory, which must stay there and begin on a multiple of 8 bytes; `name` stands for its path. */
bool gguf_open_bytes(const char *name, const void *bytes, size_t size, gguf **out, host_error *error);
/* NULL is harmless. */
void gguf_close(gguf *file);
const char *gguf_path(const gguf *file);

/* Metadata. A missing key, a value of another kind and one out of range are failures. Any integer type will do for gguf_u32
 * that holds the value, float32 and float64 for gguf_f32. A string with a NUL byte inside is refused. */
bool gguf_has(const gguf *file, const char *key);
bool gguf_u32(const gguf *file, const char *key, uint32_t *out, host_error *error);
bool gguf_f32(const gguf *file, const char *key, float *out, host_error *error);
bool gguf_bool(const gguf *file, const char *key, bool *out, host_error *error);
bool gguf_string(const gguf *file, const char *key, const char **out, host_error *error);

/* Bytes in the file, not NUL-terminated; may hold any byte. */
typedef struct gguf_text {
    const char *bytes;
    size_t size;
} gguf_text;

typedef struct gguf_strings {
    size_t count;
    const gguf_text *at;
} gguf_strings;

/* Integers of one of the format's types, read through gguf_int_at; i < count. */
typedef struct gguf_numbers {
    size_t count;
    uint32_t type;
    const unsigned char *bytes;
} gguf_numbers;

bool gguf_string_array(const gguf *file, const char *key, gguf_strings *out, host_error *error);
bool gguf_int_array(const gguf *file, const char *key, gguf_numbers *out, host_error *error);
/* Values of uint64 above INT64_MAX come out as INT64_MAX. */
int64_t gguf_int_at(const gguf_numbers *array, size_t i);

/* Tensors, in the file's order. */
size_t gguf_tensor_count(const gguf *file);
const gguf_tensor *gguf_tensor_at(const gguf *file, size_t i);
/* NULL: there is none of that name. */
const gguf_tensor *gguf_find(const gguf *file, const char *name);
/* As gguf_find, but a missing tensor or one of another shape is a failure that names it. Trailing dimensions of 1 may be
 * left out on either side. */
bool gguf_require(const gguf *file, const char *name, uint32_t ndim, const uint64_t *shape, const gguf_tensor **out,
                  host_error *error);

#endif
