/* append_1_transform.c: the space that the mixed backbone quantises in (rule 10): K channels in the order of their sequence, V
 * rotated by a Hadamard matrix along head_dim. */
#include "ref/kit.h"

static void reorder(uint16_t *x, uint32_t d, const uint8_t *order)
{
    uint16_t copy[256];
    for (uint32_t c = 0; c < d; c++) {
        copy[c] = x[c];
    }
    for (uint32_t c = 0; c < d; c++) {
        x[c] = copy[order[c]];
    }
}

static void rotate(uint16_t *x, uint32_t d)
{
    float y[256];
    for (uint32_t c = 0; c < d; c++) {
        y[c] = gear__float_from_half(x[c]);
    }
    for (uint32_t first = 0, size; first < d; first += size) {
        size = gear__ref_rotation_part(d, first);
        for (uint32_t step = 1; step < size; step *= 2) {
            for (uint32_t i = 0; i < size / 2; i++) {
                uint32_t a = first + i / step * 2 * step + i % step, b = a + step;
                float low = y[a], high = y[b];
                y[a] = low + high;
                y[b] = low - high;
            }
        }
        for (uint32_t c = first; c < first + size; c++) {
            x[c] = gear__half_saturate(y[c] * gear__rotation_scale(size));
        }
    }
}

void gear__ref_append_1_transform(gear__ref_round *round, const gear__ref_source *source)
{
    const gear__side *side = gear__ref_side(round);
    uint32_t d = round->shape->head_dim;
    for (uint32_t j = 0; j < round->num_jobs && (side->ordered || side->rotate); j++) {
        gear__ref_job job = gear__ref_job_at(round, j);
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            const uint8_t *order = side->ordered ? gear__ref_order_of(round, source, &job, head) : NULL;
            for (uint32_t t = 0; t < job.blocks * GEAR__BLOCK; t++) {
                uint16_t *x = round->x + gear__ref_row(round, head, job.row + t);
                if (order) {
                    reorder(x, d, order);
                } else {
                    rotate(x, d);
                }
            }
        }
    }
}
