/* append_2_range.c: the (scale, lo) pair of every group (rule 5). */
#include "ref/kit.h"

/* The range of the kept values seen so far. */
typedef struct range {
    float lo, hi;
    int any;
} range;

static void widen(range *range_, const gear__ref_round *round, size_t at)
{
    if (round->mask[at] & (GEAR__MASK_OUTLIER | GEAR__MASK_PADDING)) {
        return;
    }
    float x = gear__float_from_half(round->x[at]) + 0.0f; /* -0 becomes +0: no bit depends on which zero comes first */
    if (!range_->any || x < range_->lo) {
        range_->lo = x;
    }
    if (!range_->any || x > range_->hi) {
        range_->hi = x;
    }
    range_->any = 1;
}

static gear__ref_pair pair_of(const range *range_, uint32_t bits)
{
    if (!range_->any) {
        return (gear__ref_pair){0, 0};
    }
    float reciprocal = 1.0f / (float)((1u << bits) - 1u);
    return (gear__ref_pair){
        .scale = gear__half_from_float((range_->hi - range_->lo) * reciprocal),
        .lo = gear__half_from_float(range_->lo),
    };
}

static void range_channels(gear__ref_round *round, const gear__ref_job *job, uint32_t head)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    uint32_t rows = job->blocks * GEAR__BLOCK;
    uint32_t step = side->axis == GEAR__AXIS_CHANNEL_SEGMENT ? rows : side->group;
    for (uint32_t c = 0; c < shape->head_dim; c++) {
        for (uint32_t first = 0; first < rows; first += step) {
            range seen = {0};
            for (uint32_t t = first; t < first + step; t++) {
                widen(&seen, round, gear__ref_row(round, head, job->row + t) + c);
            }
            gear__ref_place place = gear__ref_place_at(round, job, first / GEAR__BLOCK, head);
            gear__ref_pair_set(shape, side, job->cls, place, first % GEAR__BLOCK, c, pair_of(&seen, side->bits));
        }
    }
}

static void range_token_groups(gear__ref_round *round, const gear__ref_job *job, uint32_t head)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    for (uint32_t t = 0; t < job->blocks * GEAR__BLOCK; t++) {
        gear__ref_place place = gear__ref_place_at(round, job, t / GEAR__BLOCK, head);
        for (uint32_t first = 0; first < shape->head_dim; first += side->group) {
            range seen = {0};
            for (uint32_t c = first; c < first + side->group && c < shape->head_dim; c++) {
                widen(&seen, round, gear__ref_row(round, head, job->row + t) + c);
            }
            gear__ref_pair_set(shape, side, job->cls, place, t % GEAR__BLOCK, first, pair_of(&seen, side->bits));
        }
    }
}

static void range_tokens(gear__ref_round *round, const gear__ref_job *job)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    for (uint32_t t = 0; t < job->blocks * GEAR__BLOCK; t++) {
        range seen = {0};
        for (uint32_t i = 0; i < shape->kv_heads * shape->head_dim; i++) {
            widen(&seen, round, gear__ref_row(round, i / shape->head_dim, job->row + t) + i % shape->head_dim);
        }
        gear__ref_place place = gear__ref_place_at(round, job, t / GEAR__BLOCK, 0);
        gear__ref_pair_set(shape, side, job->cls, place, t % GEAR__BLOCK, 0, pair_of(&seen, side->bits));
    }
}

void gear__ref_append_2_range(gear__ref_round *round)
{
    uint32_t axis = gear__ref_side(round)->axis;
    for (uint32_t j = 0; j < round->num_jobs && axis != GEAR__AXIS_NONE; j++) {
        gear__ref_job job = gear__ref_job_at(round, j);
        if (axis == GEAR__AXIS_TOKEN_ALL) {
            range_tokens(round, &job);
            continue;
        }
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            if (axis == GEAR__AXIS_TOKEN_GROUP) {
                range_token_groups(round, &job, head);
            } else {
                range_channels(round, &job, head);
            }
        }
    }
}
