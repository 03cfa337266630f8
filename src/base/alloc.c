/* alloc.c: zeroing on top of the caller's allocator, with the overflow check in one place. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void *gear__alloc(const gear_allocator *allocator, size_t size)
{
    void *memory;
    if (size == 0) {
        return NULL;
    }
    if (!allocator || !allocator->allocate) {
        return calloc(1, size);
    }
    memory = allocator->allocate(allocator->user, size);
    if (memory) {
        memset(memory, 0, size);
    }
    return memory;
}

void *gear__alloc_array(const gear_allocator *allocator, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    return gear__alloc(allocator, count * size);
}

char *gear__alloc_text(const gear_allocator *allocator, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = gear__alloc(allocator, size);
    if (copy) {
        memcpy(copy, text, size);
    }
    return copy;
}

void gear__free(const gear_allocator *allocator, void *memory)
{
    if (!memory) {
        return;
    }
    if (!allocator || !allocator->release) {
        free(memory);
    } else {
        allocator->release(allocator->user, memory);
    }
}
