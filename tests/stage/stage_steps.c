/* stage_steps.c: the steps of a round on the host. */
#include <criterion/criterion.h>

#include "stage_world.h"

#define MOST_STEPS 10 /* of a side in a round */

/* Gather starts the headers; lists of outliers follow side by side, so a side's entries are 0 until its lists are written. */
static void write_headers(stage_world *w, int with_v)
{
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        const uint32_t *job = stage_words(&w->jobs) + j * GEAR__JOB_WORDS;
        uint32_t *header = stage_words(&w->pool) + (size_t)job[GEAR__JOB_SEGMENT] * (GEAR__GRANULE / 4);
        header[GEAR__SEGMENT_TOKENS] = job[GEAR__JOB_TOKENS];
        header[GEAR__SEGMENT_BLOCKS] = job[GEAR__JOB_BLOCKS];
        header[GEAR__SEGMENT_OUTLIERS_K] = with_v ? header[GEAR__SEGMENT_OUTLIERS_K] : 0;
        header[GEAR__SEGMENT_OUTLIERS_V] = 0;
    }
}

void stage_ref_step(stage_world *w, uint32_t is_v, stage_step step)
{
    w->ref.is_v = is_v;
    switch (step) {
    case STAGE_GATHER: gear__ref_append_0_gather(&w->ref, &w->source[is_v]); break;
    case STAGE_ORDER: gear__ref_append_1_order(&w->ref, &w->source[is_v]); break;
    case STAGE_TRANSFORM: gear__ref_append_1_transform(&w->ref, &w->source[is_v]); break;
    case STAGE_NORMS: gear__ref_append_1_norms(&w->ref, &w->source[1]); break;
    case STAGE_FIT: gear__ref_append_2_fit(&w->ref); break;
    case STAGE_OUTLIERS: gear__ref_append_1_outliers(&w->ref); break;
    case STAGE_RANGE: gear__ref_append_2_range(&w->ref); break;
    case STAGE_QUANTIZE: gear__ref_append_3_quantize(&w->ref); break;
    case STAGE_BLOCK: gear__ref_append_block(&w->ref, &w->source[is_v], &w->source[1]); break;
    case STAGE_LOWRANK: cr_assert(gear__ref_append_4_lowrank(&w->ref)); break;
    case STAGE_OUTLIER_LISTS:
        gear__ref_append_5_store(&w->ref);
        if (!is_v) {
            write_headers(w, 1);
        }
        break;
    case STAGE_WINDOW: gear__ref_append_6_window(&w->ref, &w->source[is_v]); break;
    default: break;
    }
    if (!is_v && (step == STAGE_GATHER || step == STAGE_BLOCK)) {
        write_headers(w, 0);
    }
    stage_world_write_health(w);
}

/* The steps of a side, one behind the other; returns their number. */
static uint32_t list_steps(const gear__side *side, stage_step steps[MOST_STEPS])
{
    const int outliers = side->outlier_fraction > 0, ranked = side->rank[0] || side->rank[1];
    const stage_step pairs = gear__is_mixed(side) ? STAGE_FIT : STAGE_RANGE;
    const struct {
        stage_step step;
        int is_made;
    } all[] = {
        {STAGE_GATHER, 1},
        {STAGE_ORDER, side->ordered != 0},
        {STAGE_TRANSFORM, side->ordered || side->rotate},
        {STAGE_NORMS, side->weighted != 0},
        {pairs, outliers && side->outlier_rule == GEAR_OUTLIER_BLOCK},
        {STAGE_OUTLIERS, outliers},
        {pairs, side->axis != GEAR__AXIS_NONE},
        {STAGE_QUANTIZE, 1},
        {STAGE_LOWRANK, ranked},
        {STAGE_OUTLIER_LISTS, outliers},
    };
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].is_made) {
            steps[n++] = all[i].step;
        }
    }
    return n;
}

/* Steps of a side up to the last that has to be made for `step`: what follows in a round no later round reads, but the exact
 * tokens and the order of channels that the first two leave. */
static uint32_t steps_for(const stage_step *steps, uint32_t count, stage_step step)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (step == STAGE_NONE || steps[i] == step || steps[i] == STAGE_GATHER || steps[i] == STAGE_ORDER) {
            last = i + 1;
        }
    }
    return last;
}

void stage_compress_side(stage_world *w, uint32_t is_v, stage_step step, stage_check check)
{
    stage_step steps[MOST_STEPS];
    const uint32_t count = list_steps(&w->shape.side[is_v], steps), needed = steps_for(steps, count, step);
    for (uint32_t i = 0; i < needed; i++) {
        if (steps[i] == step) {
            check(w, is_v);
        } else {
            stage_ref_step(w, is_v, steps[i]);
        }
    }
}
