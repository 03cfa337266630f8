/* wrap_alloc.h: a gear_allocator that counts what is alive and can fail at the n-th allocation. Thread-safe. */
#ifndef WRAP_ALLOC_H
#define WRAP_ALLOC_H

#include "gear/gear.h"

gear_allocator wrap_allocator(void);
/* Blocks allocated and not released; all allocations so far. */
long wrap_alloc_live(void);
long wrap_alloc_count(void);
/* The n-th allocation from now (1: the next one) returns NULL, once; 0: never. */
void wrap_alloc_fail_at(long n);

#endif
