/* gguf_file.h: what a gguf is made of, for the files that fill and read it. */
#ifndef GEAR_LLM_GGUF_FILE_H
#define GEAR_LLM_GGUF_FILE_H

#include "gguf.h"
#include "gguf_cursor.h"

/* Value types of metadata; the numbers are the format's. */
typedef enum gguf_value {
    GGUF_VALUE_U8 = 0,
    GGUF_VALUE_I8 = 1,
    GGUF_VALUE_U16 = 2,
    GGUF_VALUE_I16 = 3,
    GGUF_VALUE_U32 = 4,
    GGUF_VALUE_I32 = 5,
    GGUF_VALUE_F32 = 6,
    GGUF_VALUE_BOOL = 7,
    GGUF_VALUE_STRING = 8,
    GGUF_VALUE_ARRAY = 9,
    GGUF_VALUE_U64 = 10,
    GGUF_VALUE_I64 = 11,
    GGUF_VALUE_F64 = 12
} gguf_value;

/* A key with its value. An array has the type of its elements and `array` set. */
typedef struct gguf_pair {
    gguf_text key;
    uint32_t type;
    bool array;
    size_t count;               /* elements; 1 for a single value */
    const unsigned char *bytes; /* of all types but strings */
    gguf_text *strings;         /* owned: count strings */
    const char *string;         /* a single string with a NUL behind it; NULL where it has one inside */
} gguf_pair;

/* A string of the file with a NUL behind it. */
typedef struct gguf_copy {
    struct gguf_copy *next;
    char text[];
} gguf_copy;

struct gguf {
    char *path;
    void *map; /* NULL: the bytes are the caller's */
    const unsigned char *bytes;
    size_t size;
    gguf_pair *pairs; /* in the order of their keys */
    size_t num_pairs;
    gguf_tensor *tensors; /* in the file's order */
    const gguf_tensor **by_name;
    size_t num_tensors;
    gguf_copy *copies; /* owned: tensor names and single strings */
};

/* "FILE: " and the message, as a failure with EXIT_INPUT. */
bool gguf_refuse(const gguf *file, host_error *error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "FILE: host memory exhausted", EXIT_DEVICE. */
bool gguf_no_memory(const gguf *file, host_error *error);

/* The precision of %.*s for a text of the file in a message. */
int gguf_shown(gguf_text text);
/* By bytes, the shorter first where one begins the other. */
int gguf_compare(gguf_text a, gguf_text b);

/* Takes `count` pairs from the cursor. */
bool gguf_read_pairs(gguf *file, gguf_cursor *c, uint64_t count, host_error *error);
/* Takes the descriptions of `count` tensors from the cursor, and looks for their data behind it. */
bool gguf_read_tensors(gguf *file, gguf_cursor *c, uint64_t count, host_error *error);
/* A copy that lives as long as the file; NULL when memory is exhausted. */
const char *gguf_copy_text(gguf *file, gguf_text text);

#endif
