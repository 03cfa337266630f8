/* heap.h: places records in a pool: best-fit extents of granules with coalescing. Host policy, not part of the stored format.
 */
#ifndef GEAR_MODEL_HEAP_H
#define GEAR_MODEL_HEAP_H

#include <stdint.h>

#include "gear/gear.h"

typedef struct gear__extent {
    uint32_t first, count; /* granules */
} gear__extent;

/* Free extents, sorted by position, no two adjacent. */
typedef struct gear__heap {
    const gear_allocator *allocator; /* borrowed */
    gear__extent *free;
    uint32_t num_free, max_free;
    uint32_t size, used; /* granules */
} gear__heap;

/* `max_records`: the most extents that will ever be taken at once; no memory is allocated later. 0 on failure. */
int gear__heap_init(gear__heap *heap, const gear_allocator *allocator, uint32_t granules, uint32_t max_records);
void gear__heap_close(gear__heap *heap);

#define GEAR__HEAP_NONE UINT32_MAX
/* Returns the first granule, or GEAR__HEAP_NONE when no free extent is large enough. count >= 1. */
uint32_t gear__heap_take(gear__heap *heap, uint32_t count);
/* The same from the high end of the pool. */
uint32_t gear__heap_take_high(gear__heap *heap, uint32_t count);
void gear__heap_give(gear__heap *heap, uint32_t first, uint32_t count);

#endif
