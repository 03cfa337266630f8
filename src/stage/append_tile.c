/* append_tile.c: see the header. */
#include "stage/append_tile.h"

/* Scales lie inside a block. */
static int is_local(const gear__side *side)
{
    return side->axis != GEAR__AXIS_CHANNEL_SEGMENT && side->axis != GEAR__AXIS_TOKEN_ALL;
}

/* Outliers that append_1_marks finds, of values as they come in. */
static int has_marks(const gear__side *side)
{
    return side->outlier_rule == GEAR_OUTLIER_VECTOR && !gear__is_mixed(side);
}

/* Scales that a side keeps at hand, as cl/common/block.clh has them. */
static uint32_t scales_of(const gear__side *side, uint32_t head_dim)
{
    switch (side->axis) {
    case GEAR__AXIS_CHANNEL_GROUP: return 64 / side->group * head_dim;
    case GEAR__AXIS_MIXED_CHANNEL: return head_dim;
    case GEAR__AXIS_NONE: return 4;
    default: return (head_dim + side->group - 1) / side->group * 64;
    }
}

/* Local memory of a work-group, or a little more: the tile; floats of the rotation, which larger work-groups lay over the tile
 * in part; later in their place ranges, scales at hand and what else a fit needs. */
static uint32_t local_bytes(const gear__shape *shape)
{
    uint32_t d = shape->head_dim, turn_rows = d >= 256 ? 8 : 16;
    uint32_t turn = shape->side[1].rotate ? d / 8 * (8 * turn_rows + 4) : 0;
    uint32_t k = scales_of(&shape->side[0], d), v = scales_of(&shape->side[1], d);
    uint32_t fit = 8 * d + 3 * (k > v ? k : v) + 112 + (d + 63) / 64 * 32;
    const uint32_t lists = shape->has_outliers ? (d + 1) * 4 : 0;
    return 64 * (d + 16) * 2 + (turn > fit ? turn : fit) * 4 + lists + d + 96;
}

const char *gear__append_why_not(const gear__caps *caps, const gear__shape *shape)
{
    const gear__append_tile tile = gear__append_items_of(caps);
    if (!is_local(&shape->side[0]) || !is_local(&shape->side[1])) {
        return "scales that do not lie inside a block";
    }
    if (shape->has_outliers && gear__append_is_cpu_form(&tile)) {
        return "outliers, on a CPU device";
    }
    for (int s = 0; s < 2; s++) {
        if (shape->side[s].outlier_fraction > 0 && !has_marks(&shape->side[s])) {
            return "outliers by block, or of the mixed backbone";
        }
    }
    return local_bytes(shape) > caps->local_bytes ? "too little local memory" : NULL;
}

uint32_t gear__append_decode_columns(const gear__shape *shape)
{
    uint32_t k = shape->side[0].rank[GEAR__DECODE], v = shape->side[1].rank[GEAR__DECODE], rank = k > v ? k : v;
    return rank > 4 ? 8 : rank > 2 ? 4 : rank ? 2 : 0;
}

const char *gear__append_decode_why_not(const gear__caps *caps, const gear__shape *shape)
{
    const char *why = gear__append_why_not(caps, shape);
    if (why) {
        return why;
    }
    if (shape->has_outliers) {
        return "outliers";
    }
    if (shape->side[0].weighted) {
        return "K of 1 bit reads V too";
    }
    /* cl/common/lowrank_rows.clh: A, a chunk of rows, Gram matrices */
    const uint32_t fit = gear__append_decode_columns(shape) ? (8 * 17 + 72 * 9) * 16 + 256 * 4 : 0;
    return local_bytes(shape) + fit > caps->local_bytes ? "too little local memory" : NULL;
}

/* At most `most`, halved until the device can have it. */
static uint32_t items_of(const gear__caps *caps, uint32_t most)
{
    while (most > 64 && most > caps->max_work_group) {
        most /= 2;
    }
    return most;
}

gear__append_tile gear__append_items_of(const gear__caps *caps)
{
    /* A CPU device wants no barriers and vectors of its own, a GPU two work-items a token of the block. The simulator takes
     * what GPUs run: it is there to find races. */
    const uint32_t work_items = caps->is_cpu && !caps->is_oclgrind ? 1 : items_of(caps, 128);
    const uint32_t most_items = items_of(caps, 256);
    return (gear__append_tile){.work_items = work_items,
                               .most_items = most_items,
                               .is_nvidia = caps->is_nvidia && caps->is_gpu,
                               .has_tensor_cores = !gear__caps_tensor_cores_why_not(caps) && most_items == 256};
}

gear__append_tile gear__append_tile_of(const gear__caps *caps, const gear__shape *shape)
{
    gear__append_tile tile = gear__append_items_of(caps);
    tile.is_fused = !gear__append_why_not(caps, shape);
    tile.has_decode = !gear__append_is_cpu_form(&tile) && !gear__append_decode_why_not(caps, shape);
    return tile;
}
