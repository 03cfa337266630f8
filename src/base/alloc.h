/* alloc.h: host memory through the caller's allocator; an all-zero gear_allocator means malloc and free. */
#ifndef GEAR_BASE_ALLOC_H
#define GEAR_BASE_ALLOC_H

#include <stddef.h>

#include "gear/gear.h"

/* Zeroed memory aligned for any type; NULL on failure or when size is 0. */
void *gear__alloc(const gear_allocator *allocator, size_t size);
/* The same for count x size bytes; NULL also when the product overflows. */
void *gear__alloc_array(const gear_allocator *allocator, size_t count, size_t size);
/* A copy of `text`; NULL on failure. */
char *gear__alloc_text(const gear_allocator *allocator, const char *text);
/* NULL is allowed. */
void gear__free(const gear_allocator *allocator, void *memory);

#endif
