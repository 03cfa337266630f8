/* append_3_quantize.c: codes (rules 6 and 11) into the planes of each block, and the residual (rule 7). */
#include <string.h>

#include "ref/kit.h"

static uint32_t code_of(const gear__side *side, gear__ref_pair pair, uint16_t x, uint8_t mask)
{
    uint32_t top = (1u << side->bits) - 1u;
    if (mask == GEAR__MASK_PADDING || !pair.scale) {
        return 0;
    }
    if (mask == GEAR__MASK_OUTLIER) {
        return 1u << (side->bits - 1u);
    }
    float d = gear__float_from_half(x) - gear__float_from_half(pair.lo);
    return (uint32_t)gear__ref_divide(d, pair.scale, 0, (int32_t)top);
}

static uint32_t mixed_code_of(const gear__side *side, const uint8_t *head, uint32_t t, uint32_t c, uint16_t x, uint8_t mask)
{
    uint32_t bits = gear__ref_segment_of(side, c).bits;
    if (mask == GEAR__MASK_PADDING || mask == GEAR__MASK_OUTLIER) {
        return mask == GEAR__MASK_OUTLIER ? 1u << (bits - 1u) : 0;
    }
    return gear__ref_mixed_encode(side, gear__ref_mixed_scale(side, head, t, c), bits, gear__float_from_half(x));
}

static void quantize_block(gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    gear__ref_place place = gear__ref_place_at(round, job, block, head);
    memset(place.head + side->codes, 0, side->codes_bytes);
    for (uint32_t t = 0; t < GEAR__BLOCK; t++) {
        size_t row = gear__ref_row(round, head, job->row + block * GEAR__BLOCK + t);
        for (uint32_t c = 0; c < shape->head_dim; c++) {
            uint16_t x = round->x[row + c];
            uint8_t mask = round->mask[row + c];
            float r = 0;
            if (side->axis == GEAR__AXIS_NONE) {
                gear__ref_code_set(side, place.head, t, c, mask == GEAR__MASK_PADDING ? 0 : x);
            } else if (gear__is_mixed(side)) {
                gear__ref_code_set(side, place.head, t, c, mixed_code_of(side, place.head, t, c, x, mask));
            } else {
                gear__ref_pair pair = gear__ref_pair_get(shape, side, job->cls, place, t, c);
                gear__ref_code_set(side, place.head, t, c, code_of(side, pair, x, mask));
            }
            if (side->axis != GEAR__AXIS_NONE && mask == GEAR__MASK_NORMAL) {
                r = gear__float_from_half(x) - gear__ref_dequantize(shape, side, job->cls, place, t, c);
            }
            round->r[row + c] = gear__half_saturate(r);
        }
    }
}

void gear__ref_append_3_quantize(gear__ref_round *round)
{
    for (uint32_t j = 0; j < round->num_jobs; j++) {
        gear__ref_job job = gear__ref_job_at(round, j);
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            for (uint32_t block = 0; block < job.blocks; block++) {
                quantize_block(round, &job, head, block);
            }
        }
    }
}
