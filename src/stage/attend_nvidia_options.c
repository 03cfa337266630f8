/* attend_nvidia_options.c: what attend_1_partial_nvidia knows when compiling beside what all attend kernels know. It reads
 * blocks in pieces whose places are options: offsets of model/shape.h. */
#include "stage/attend_nvidia_options.h"

#include <stdio.h>

static void nvidia_side_options(gear__options *options, const gear__side *side, const char *prefix)
{
    const struct {
        const char *name;
        uint32_t value;
    } list[] = {
        {"CODES", side->codes},
        {"PAIRS", side->pairs},
        {"SUPERS", side->supers},
        {"COUNTS", side->counts},
        {"DELTA_SCALE", side->delta_scale},
        {"RANK_0", side->rank[0]},
        {"RANK_1", side->rank[1]},
        {"A_0", side->a[0]},
        {"A_1", side->a[1]},
        {"B_0", side->b[0]},
        {"B_1", side->b[1]},
        {"FACTORS_0", side->factors[0]},
        {"FACTORS_1", side->factors[1]},
        {"SEGMENT_PAIRS_0", side->seg_pairs[0]},
        {"SEGMENT_PAIRS_1", side->seg_pairs[1]},
        {"SHARED_PAIRS", side->shared_pairs},
    };
    static const uint32_t scales[] = {
        [GEAR__AXIS_NONE] = 0,        [GEAR__AXIS_CHANNEL_GROUP] = 1,
        [GEAR__AXIS_TOKEN_GROUP] = 1, [GEAR__AXIS_CHANNEL_SEGMENT] = 2,
        [GEAR__AXIS_TOKEN_ALL] = 3,   [GEAR__AXIS_MIXED_CHANNEL] = 4,
        [GEAR__AXIS_MIXED_TOKEN] = 4,
    };
    char name[40];
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        (void)snprintf(name, sizeof name, "%s_%s", prefix, list[i].name);
        gear__options_int(options, name, (long)list[i].value);
    }
    (void)snprintf(name, sizeof name, "%s_SCALES", prefix);
    gear__options_int(options, name, (long)scales[side->axis]);
}

void gear__attend_nvidia_options(gear__options *options, const gear__shape *shape, const gear__attend_tile *tile, int is_wide,
                                 uint32_t work_items)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    gear__options_int(options, "NV_WARPS", (long)work_items / 32);
    gear__options_int(options, "NV_ROW_TILES", is_wide ? (long)(tile->wide_rows / tile->rows) : 1);
    gear__options_int(options, "NV_DIRECT", !is_wide && tile->direct);
    gear__options_int(options, "NV_PAIRED", !is_wide && tile->paired);
    gear__options_int(options, "HEAD_FIRST", (long)shape->head_first);
    gear__options_int(options, "SEGMENT_FIRST", (long)shape->seg_head_first);
    gear__options_int(options, "HEAD_BYTES_0", (long)shape->head_stride[0]);
    gear__options_int(options, "HEAD_BYTES_1", (long)shape->head_stride[1]);
    gear__options_int(options, "SEGMENT_BYTES_0", (long)shape->seg_head_stride[0]);
    gear__options_int(options, "SEGMENT_BYTES_1", (long)shape->seg_head_stride[1]);
    gear__options_int(options, "K_TOKEN_GROUPS", k->axis == GEAR__AXIS_CHANNEL_GROUP ? (long)(64 / k->group) : 1);
    gear__options_int(options, "V_GROUP", (long)gear__attend_v_group(shape));
    nvidia_side_options(options, k, "K");
    nvidia_side_options(options, v, "V");
}
