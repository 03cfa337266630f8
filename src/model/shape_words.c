/* shape_words.c: a shape as the words that kernels read (GEAR__SHAPE_*, layout.h). */
#include "model/shape_words.h"

#include <string.h>

static uint32_t log2_of_group(const gear__side *side)
{
    uint32_t shift = 4;
    if (side->group & (side->group - 1)) { /* 80 or 96: the whole head */
        return 7;
    }
    while (shift < 7 && (1u << shift) < side->group) {
        shift++;
    }
    return shift;
}

void gear__shape_to_words(const gear__shape *shape, uint32_t table_row, uint32_t words[GEAR__SHAPE_WORDS])
{
    memset(words, 0, GEAR__SHAPE_WORDS * sizeof *words);
    words[GEAR__SHAPE_KV_HEADS] = shape->kv_heads;
    words[GEAR__SHAPE_HEAD_FIRST] = shape->head_first;
    words[GEAR__SHAPE_BASES] = shape->shared_bases;
    words[GEAR__SHAPE_SEG_HEAD_FIRST] = shape->seg_head_first;
    words[GEAR__SHAPE_WINDOW] = shape->window_tokens;
    words[GEAR__SHAPE_EXACT_MAX] = shape->exact_max;
    words[GEAR__SHAPE_TABLE_ROW] = table_row;
    for (uint32_t cls = 0; cls < 2; cls++) {
        words[GEAR__SHAPE_HEAD_STRIDE + cls] = shape->head_stride[cls];
        words[GEAR__SHAPE_SEG_HEAD_STRIDE + cls] = shape->seg_head_stride[cls];
        words[GEAR__SHAPE_SEG_BYTES + cls] = shape->seg_bytes[cls];
    }
    for (int s = 0; s < 2; s++) {
        const gear__side *side = &shape->side[s];
        uint32_t *out = words + GEAR__SHAPE_SIDE + (uint32_t)s * GEAR__SHAPE_SIDE_WORDS;
        out[GEAR__SIDE_AXIS] = side->axis;
        out[GEAR__SIDE_BITS] = side->bits;
        out[GEAR__SIDE_GROUP_SHIFT] = log2_of_group(side);
        out[GEAR__SIDE_CODES] = side->codes;
        out[GEAR__SIDE_PAIRS] = side->pairs;
        out[GEAR__SIDE_SHARED_PAIRS] = side->shared_pairs;
        out[GEAR__SIDE_OUTLIERS] = side->delta_bits;
        out[GEAR__SIDE_DELTA_SCALE] = side->delta_scale;
        out[GEAR__SIDE_COUNTS] = side->counts;
        out[GEAR__SIDE_FACTOR_BITS] = side->factor_bits;
        out[GEAR__SIDE_ITERATIONS] = side->iterations;
        out[GEAR__SIDE_SUPERS] = side->supers;
        out[GEAR__SIDE_ROTATE] = side->rotate;
        out[GEAR__SIDE_NORMAL] = side->levels;
        out[GEAR__SIDE_SEGMENTS] = side->num_segments;
        for (uint32_t i = 0; i < side->num_segments; i++) {
            out[GEAR__SIDE_SEGMENT + i] = side->segments[i].channels | (uint32_t)side->segments[i].bits << 16;
        }
        for (uint32_t cls = 0; cls < 2; cls++) {
            out[GEAR__SIDE_SEG_PAIRS + cls] = side->seg_pairs[cls];
            out[GEAR__SIDE_RANK + cls] = side->rank[cls];
            out[GEAR__SIDE_A + cls] = side->a[cls];
            out[GEAR__SIDE_B + cls] = side->b[cls];
            out[GEAR__SIDE_FACTORS + cls] = side->factors[cls];
        }
    }
}
