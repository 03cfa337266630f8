/* heap.c: a sorted list of free extents. Blocks, of two sizes at most, grow from the low end by best fit; segment records,
 * whose sizes vary with the outliers, from the high end, so that neither breaks up the other's holes. */
#include "model/heap.h"

#include <string.h>

#include "base/alloc.h"

int gear__heap_init(gear__heap *heap, const gear_allocator *allocator, uint32_t granules, uint32_t max_records)
{
    memset(heap, 0, sizeof *heap);
    heap->allocator = allocator;
    heap->max_free = max_records + 1; /* n records leave at most n + 1 holes */
    heap->free = gear__alloc_array(allocator, heap->max_free, sizeof *heap->free);
    if (!heap->free) {
        return 0;
    }
    heap->size = granules;
    if (granules) {
        heap->free[0] = (gear__extent){0, granules};
        heap->num_free = 1;
    }
    return 1;
}

void gear__heap_close(gear__heap *heap)
{
    if (heap->allocator) {
        gear__free(heap->allocator, heap->free);
    }
    memset(heap, 0, sizeof *heap);
}

/* The smallest extent that fits: the first such. */
static uint32_t best_fit(const gear__heap *heap, uint32_t count)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < heap->num_free; i++) {
        if (heap->free[i].count >= count && (best == UINT32_MAX || heap->free[i].count < heap->free[best].count)) {
            best = i;
            if (heap->free[i].count == count) {
                break;
            }
        }
    }
    return best;
}

static uint32_t last_fit(const gear__heap *heap, uint32_t count)
{
    uint32_t i = heap->num_free;
    while (i && heap->free[i - 1].count < count) {
        i--;
    }
    return i - 1; /* UINT32_MAX: none */
}

static uint32_t take(gear__heap *heap, uint32_t index, uint32_t count, int from_end)
{
    if (index == UINT32_MAX) {
        return GEAR__HEAP_NONE;
    }
    gear__extent *extent = &heap->free[index];
    uint32_t first = from_end ? extent->first + extent->count - count : extent->first;
    extent->first += from_end ? 0 : count;
    extent->count -= count;
    if (!extent->count) {
        heap->num_free--;
        memmove(extent, extent + 1, (heap->num_free - index) * sizeof *extent);
    }
    heap->used += count;
    return first;
}

uint32_t gear__heap_take(gear__heap *heap, uint32_t count)
{
    return take(heap, best_fit(heap, count), count, 0);
}

uint32_t gear__heap_take_high(gear__heap *heap, uint32_t count)
{
    return take(heap, last_fit(heap, count), count, 1);
}

void gear__heap_give(gear__heap *heap, uint32_t first, uint32_t count)
{
    uint32_t low = 0, high = heap->num_free;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (heap->free[mid].first < first) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    gear__extent *next = heap->free + low, *prev = low ? next - 1 : NULL;
    int joins_prev = prev && prev->first + prev->count == first;
    int joins_next = low < heap->num_free && first + count == next->first;
    heap->used -= count;
    if (joins_prev && joins_next) {
        prev->count += count + next->count;
        heap->num_free--;
        memmove(next, next + 1, (heap->num_free - low) * sizeof *next);
    } else if (joins_prev) {
        prev->count += count;
    } else if (joins_next) {
        next->first = first;
        next->count += count;
    } else {
        memmove(next + 1, next, (heap->num_free - low) * sizeof *next);
        *next = (gear__extent){first, count};
        heap->num_free++;
    }
}
