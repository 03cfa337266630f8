/* source.h: the text of a kernel file with its includes resolved: embedded by cmake/embed.cmake, or read from a tree's cl/
 * directory (gear_context_desc.kernel_source_dir). Both give the same bytes, so both share one disk cache. */
#ifndef GEAR_DEVICE_SOURCE_H
#define GEAR_DEVICE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "gear/gear.h"

/* The generated table; ends with an entry whose stem is NULL. */
typedef struct gear__embedded {
    const char *stem;
    const unsigned char *data;
    const size_t *size;
} gear__embedded;

extern const gear__embedded gear__embedded_kernels[];

typedef struct gear__source {
    const char *text; /* size bytes, no NUL */
    size_t size;
    uint64_t hash; /* of the text */
    char *owned;   /* to free, or NULL */
} gear__source;

/* `stems`: one stem, or several joined by '+', whose texts follow each other. dir NULL: the embedded kernels. Else DIR/STEM.cl,
 * with `#include "x"` lines replaced by DIR/common/x, once in each kernel file.
 * GEAR_ERROR_BUILD: no such kernel, or a file cannot be read. */
gear_status gear__source_load(const gear_allocator *allocator, const char *dir, const char *stems, gear__source *source,
                              gear_error *error);
void gear__source_close(const gear_allocator *allocator, gear__source *source);

#endif
