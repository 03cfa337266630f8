/* append_block.c: the stages that the fused kernel stands for, one after the other. */
#include "ref/ref.h"

void gear__ref_append_block(gear__ref_round *round, gear__ref_source *source, const gear__ref_source *v)
{
    const gear__side *side = &round->shape->side[round->is_v];
    gear__ref_append_0_gather(round, source);
    gear__ref_append_1_transform(round, source);
    if (side->weighted) {
        gear__ref_append_1_norms(round, v);
    }
    if (gear__is_mixed(side)) {
        gear__ref_append_2_fit(round);
    } else {
        gear__ref_append_2_range(round);
    }
    gear__ref_append_3_quantize(round);
}
