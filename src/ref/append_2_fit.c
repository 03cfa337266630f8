/* append_2_fit.c: scale s and middle z of every group of the mixed backbone, fitted and then stored under the block's super
 * scales (rule 11). */
#include <math.h>

#include "ref/kit.h"

#define TINY 0x0011u /* 1.01e-6 as a half */

/* The kept values of one group, in order, and their weights; no more than a block's tokens or 64 channels. */
typedef struct group {
    uint32_t count;
    float value[64], weight[64];
    float lo, hi;
} group;

static void keep(group *g, const gear__ref_round *round, size_t at, float weight)
{
    if (round->mask[at] & (GEAR__MASK_OUTLIER | GEAR__MASK_PADDING)) {
        return;
    }
    float x = gear__float_from_half(round->x[at]) + 0.0f;
    g->lo = g->count ? fminf(g->lo, x) : x;
    g->hi = g->count ? fmaxf(g->hi, x) : x;
    g->weight[g->count] = weight;
    g->value[g->count++] = x;
}

static float mean_of(float sum, float weights)
{
    float y = gear__ref_rsqrt(weights);
    return sum * (y * y);
}

/* The two means that values below and above z have, as s and z; the error of the s and z that came in. */
static float refit(const group *g, gear__ref_scale *scale, float range)
{
    float sum[2] = {0}, weights[2] = {0}, error = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        int up = g->value[i] > scale->z;
        float miss = g->value[i] - scale->z - (up ? scale->s : -scale->s);
        weights[up] += g->weight[i];
        sum[up] += g->weight[i] * g->value[i];
        error += g->weight[i] * (miss * miss);
    }
    if (weights[0] > 0 && weights[1] > 0) {
        float high = mean_of(sum[1], weights[1]), low = mean_of(sum[0], weights[0]);
        scale->s = (high - low) * 0.5f;
        scale->z = (high + low) * 0.5f;
        scale->s = scale->s > 1e-7f ? scale->s : range;
    }
    return error;
}

static gear__ref_scale fit(const group *g, uint32_t bits)
{
    static const float starts[3] = {0.5f, 0.65f, 0.8f};
    float middle = (g->lo + g->hi) * 0.5f, range = fmaxf((g->hi - g->lo) * 0.5f, 1e-6f);
    if (bits > 1 || !g->count) {
        return (gear__ref_scale){bits == 2 ? 0.88f * range : range, middle};
    }
    gear__ref_scale best = {range, middle};
    float sum = 0, weights = 0, best_error = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        sum += g->weight[i] * g->value[i];
        weights += g->weight[i];
    }
    float mean = mean_of(sum, weights);
    for (int i = 0; i < 3; i++) {
        gear__ref_scale scale = {range * starts[i], 0.5f * (middle + mean)};
        (void)refit(g, &scale, range);
        (void)refit(g, &scale, range);
        gear__ref_scale found = scale;
        float error = refit(g, &scale, range);
        if (!i || error < best_error) {
            best_error = error;
            best = found;
        }
    }
    return best;
}

static uint16_t super_of(float largest)
{
    uint16_t half = gear__half_saturate(largest * (1.0f / 63.0f));
    return half > TINY ? half : TINY;
}

static uint32_t steps_of(float s, uint16_t super)
{
    int32_t steps = gear__ref_divide(s, super, 0, 63);
    return steps > 1 ? (uint32_t)steps : 1;
}

static void fit_k(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block)
{
    const gear__side *side = gear__ref_side(round);
    uint8_t *record = gear__ref_place_at(round, job, block, head).head;
    gear__ref_scale fits[256];
    for (uint32_t i = 0, first = 0; i < side->num_segments; first += side->segments[i++].channels) {
        uint32_t end = first + side->segments[i].channels;
        float most = 0, least = 0, highest = 0;
        for (uint32_t c = first; c < end; c++) {
            group g = {0};
            for (uint32_t t = 0; t < GEAR__BLOCK; t++) {
                size_t row = gear__ref_row(round, head, job->row + block * GEAR__BLOCK + t);
                keep(&g, round, row + c, side->weighted ? gear__ref_weights(round)[row] : 1);
            }
            fits[c] = fit(&g, side->segments[i].bits);
            most = fmaxf(most, fits[c].s);
            least = c == first ? fits[c].z : fminf(least, fits[c].z);
            highest = c == first ? fits[c].z : fmaxf(highest, fits[c].z);
        }
        uint16_t zero = gear__half_saturate(least), unit = super_of(most);
        uint16_t zero_unit = super_of(fmaxf(highest - gear__float_from_half(zero), 0));
        gear__ref_store_half(record + side->supers, 3u * i, unit);
        gear__ref_store_half(record + side->supers, 3u * i + 1u, zero);
        gear__ref_store_half(record + side->supers, 3u * i + 2u, zero_unit);
        for (uint32_t c = first; c < end; c++) {
            float above = fmaxf(fits[c].z - gear__float_from_half(zero), 0);
            uint32_t pair = steps_of(fits[c].s, unit) | (uint32_t)gear__ref_divide(above, zero_unit, 0, 63) << 6;
            gear__ref_mixed_pair_set(side, record, 0, c, pair);
        }
    }
}

static void fit_v(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block)
{
    const gear__side *side = gear__ref_side(round);
    uint32_t d = round->shape->head_dim, groups = (d + 63u) / 64u;
    uint8_t *record = gear__ref_place_at(round, job, block, head).head;
    gear__ref_scale fits[4 * GEAR__BLOCK];
    float most = 0;
    for (uint32_t i = 0; i < groups * GEAR__BLOCK; i++) {
        group g = {0};
        size_t row = gear__ref_row(round, head, job->row + block * GEAR__BLOCK + i % GEAR__BLOCK);
        for (uint32_t c = i / GEAR__BLOCK * 64u; c < d && c < i / GEAR__BLOCK * 64u + 64u; c++) {
            keep(&g, round, row + c, 1);
        }
        fits[i] = fit(&g, side->bits);
        most = fmaxf(most, fits[i].s);
    }
    uint16_t unit = super_of(most);
    gear__ref_store_half(record + side->supers, 0, unit);
    for (uint32_t i = 0; i < groups * GEAR__BLOCK; i++) {
        uint32_t steps = steps_of(fits[i].s, unit);
        int32_t eighths = gear__ref_quotient(8.0f * fits[i].z, (float)steps * gear__float_from_half(unit), -8, 7);
        gear__ref_mixed_pair_set(side, record, i % GEAR__BLOCK, i / GEAR__BLOCK * 64u, steps | (uint32_t)(eighths + 8) << 6);
    }
}

void gear__ref_append_2_fit(gear__ref_round *round)
{
    for (uint32_t j = 0; j < round->num_jobs; j++) {
        gear__ref_job job = gear__ref_job_at(round, j);
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            for (uint32_t block = 0; block < job.blocks; block++) {
                (round->is_v ? fit_v : fit_k)(round, &job, head, block);
            }
        }
    }
}
