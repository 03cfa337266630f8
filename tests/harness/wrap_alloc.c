/* wrap_alloc.c: memory comes filled with a pattern, so that a test sees it when the library forgets to zero. */
#include "wrap_alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long live, count, countdown;

static void *allocate(void *user, size_t bytes)
{
    long left = atomic_load(&countdown);
    void *memory;
    (void)user;
    atomic_fetch_add(&count, 1);
    while (left > 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1)) {
    }
    if (left == 1)
        return NULL;
    memory = malloc(bytes);
    if (!memory)
        return NULL;
    memset(memory, 0xa5, bytes);
    atomic_fetch_add(&live, 1);
    return memory;
}

static void release(void *user, void *memory)
{
    (void)user;
    if (memory)
        atomic_fetch_sub(&live, 1);
    free(memory);
}

gear_allocator wrap_allocator(void)
{
    return (gear_allocator){allocate, release, NULL};
}

long wrap_alloc_live(void)
{
    return atomic_load(&live);
}

long wrap_alloc_count(void)
{
    return atomic_load(&count);
}

void wrap_alloc_fail_at(long n)
{
    atomic_store(&countdown, n);
}
