/* stage_attention.h: one call of attention over a finished layer of a stage_world. Partial results joined on the host and on
 * the device (by the kernel itself or by attend_2_merge) are compared with attention in double precision on the reconstructed
 * cache, within the kernel's bound (attend_choice.h) of the largest output and what stage_slack.h allows besides. Where no
 * token is exact a split is a range of positions, and each partial result is compared by itself. */
#ifndef STAGE_ATTENTION_H
#define STAGE_ATTENTION_H

#include "stage_world.h"

/* How a call differs from the plain one. */
typedef struct stage_variation {
    uint32_t splits, advance;
    float scale, soft_cap;
    int tails, strided;
    int cut; /* into pieces, where the kernel takes them; else the splits */
} stage_variation;

/* With work-groups of `rows` query rows and `work_items` work-items, by the variant of w->layer, which has the kernels. Returns
 * whether the batch was cut. */
int stage_attend(stage_world *w, const stage_variation *how, uint32_t rows, uint32_t work_items);

#endif
