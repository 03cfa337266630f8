/* append_block.c: the stages that the fused kernel stands for, one after the other; where a side has outliers the lengths of
 * their lists too, and their number in place of the base, which follows from those of all blocks. */
#include <string.h>

#include "ref/kit.h"

static void count_lists(gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    const gear__ref_place place = gear__ref_place_at(round, job, block, head);
    uint32_t total = 0;
    memset(place.head + side->counts, 0, side->counts_bytes);
    for (uint32_t t = 0; t < GEAR__BLOCK; t++) {
        for (uint32_t c = 0; c < shape->head_dim; c++) {
            if (round->mask[gear__ref_row(round, head, job->row + block * GEAR__BLOCK + t) + c] == GEAR__MASK_OUTLIER) {
                place.head[side->counts + gear__list_of(shape->head_dim, round->is_v, t, c)]++;
                total++;
            }
        }
    }
    gear__ref_store_word(place.shared + shape->shared_bases, 2u * head + round->is_v, total);
}

void gear__ref_append_block(gear__ref_round *round, gear__ref_source *source, const gear__ref_source *v)
{
    const gear__side *side = &round->shape->side[round->is_v];
    gear__ref_append_0_gather(round, source);
    gear__ref_append_1_transform(round, source);
    if (side->weighted) {
        gear__ref_append_1_norms(round, v);
    }
    gear__ref_append_1_outliers(round);
    if (gear__is_mixed(side)) {
        gear__ref_append_2_fit(round);
    } else {
        gear__ref_append_2_range(round);
    }
    gear__ref_append_3_quantize(round);
    for (uint32_t j = 0; j < round->num_jobs && side->outlier_fraction > 0; j++) {
        const gear__ref_job job = gear__ref_job_at(round, j);
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            for (uint32_t block = 0; block < job.blocks; block++) {
                count_lists(round, &job, head, block);
            }
        }
    }
}
