/* append_tile.h: how the compressor divides its work on a device: work-items of its kernels, and whether the fused kernel
 * serves a layer. */
#ifndef GEAR_STAGE_APPEND_TILE_H
#define GEAR_STAGE_APPEND_TILE_H

#include "device/caps.h"
#include "model/shape.h"

typedef struct gear__append_tile {
    uint32_t work_items;  /* of a work-group that brings rows into local memory: 128 or 64; 1 on CPU devices */
    uint32_t most_items;  /* of one that wants as many as it gets: 256, 128 or 64 */
    int is_nvidia;        /* an NVIDIA GPU, whose compiler is told how many registers there are */
    int has_tensor_cores; /* NVIDIA's, gear__caps_tensor_cores_why_not: kernels with a form for them take it */
    int is_fused;         /* append_block in place of the stages 0 to 3 */
    int has_decode;       /* append_decode in place of all, where a step completes blocks of sequences that have some */
} gear__append_tile;

/* CPU devices have work-groups of one work-item: of kernels with a form for that, that one runs.
 * tile: NULL for kernels that are not the compressor's, which have none. */
static inline int gear__append_is_cpu_form(const gear__append_tile *tile)
{
    return tile && tile->work_items == 1;
}

/* Why append_block cannot serve a shape on a device, or NULL when it can. */
const char *gear__append_why_not(const gear__caps *caps, const gear__shape *shape);

/* The same of append_decode. */
const char *gear__append_decode_why_not(const gear__caps *caps, const gear__shape *shape);
/* Columns of its low-rank fits: 2, 4 or 8, no fewer than the rank of a decode segment; 0 without low rank. */
uint32_t gear__append_decode_columns(const gear__shape *shape);

/* Of the device, not fused. */
gear__append_tile gear__append_items_of(const gear__caps *caps);
gear__append_tile gear__append_tile_of(const gear__caps *caps, const gear__shape *shape);

#endif
