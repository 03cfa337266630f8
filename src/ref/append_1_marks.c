/* append_1_marks.c: the mask's outliers as bits. */
#include "ref/kit.h"

void gear__ref_append_1_marks(const gear__ref_round *round, uint16_t *marks)
{
    const uint32_t d = round->shape->head_dim, rows = round->num_rows;
    for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
        for (uint32_t c = 0; c < d; c += GEAR__STEP) {
            for (uint32_t row = 0; row < rows; row++) {
                const uint8_t *mask = round->mask + gear__ref_row(round, head, row) + c;
                uint32_t bits = 0;
                for (uint32_t i = 0; i < GEAR__STEP; i++) {
                    bits |= (mask[i] == GEAR__MASK_OUTLIER ? 1u : 0u) << i;
                }
                marks[gear__mark_at(d, rows, head, c, row)] = (uint16_t)bits;
            }
        }
    }
}
