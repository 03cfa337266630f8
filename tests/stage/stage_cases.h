/* stage_cases.h: the caches that stage tests run over, and the values that come in. */
#ifndef STAGE_CASES_H
#define STAGE_CASES_H

#include <stdint.h>

#include "gear/gear.h"

typedef struct stage_case {
    const char *name;
    uint32_t head_dim, kv_heads;
    uint32_t group, max_queries; /* query heads of a KV head; most queries of a sequence */
    uint32_t window, recent, exact;
    gear_type type;
    int strided;
    gear_codec k, v;
} stage_case;

/* All cases, or the three that the simulator can do. */
const stage_case *stage_cases(uint32_t *count);
/* Whether append_block runs case `index` with its low rank (is_ranked) or without it, on the device's own work-groups or on
 * those of another kind of device (is_other): with it every second case here and the others there, so that each codec compiles
 * once with a residual and once without one. Those of stage_is_both_ways run there without and with it. */
int stage_runs(uint32_t index, int is_other, int is_ranked);
/* Cases picked by hand for which half is not enough on work-groups of another kind: the presets' KIVI of 2 bits in groups of
 * 64, and the head_dims and backbones that a half would leave out. */
int stage_is_both_ways(uint32_t index);
/* Those of the nvidia attend kernel alone, in both sizes of work-groups where there are no outliers. */
const stage_case *stage_nvidia_cases(uint32_t *count);
/* Those whose attention has wide work-groups (gear__attend_tile): query rows on both sides of the border of two row tiles, on
 * one side alone, in several work-groups. */
const stage_case *stage_wide_cases(uint32_t *count);

typedef enum stage_data {
    STAGE_SMOOTH,                       /* normal values with a low-rank part and strong channels */
    STAGE_TIES,                         /* multiples of 1/2: many equal values, -0 */
    STAGE_EXTREME,                      /* constants, subnormals, signed zeros, the largest range, NaN, infinities */
    STAGE_DATA_KINDS,                   /* of most tests */
    STAGE_FINE_TIES = STAGE_DATA_KINDS, /* multiples of 1/16, some equal; of channel 20 and position 100 many */
    STAGE_LARGE_CHANNEL,                /* smooth but for channel 5 of K: 0, and large in one token of 64 */
    STAGE_UNEVEN /* smooth, but one token of 64 of K larger, and most channels of every other head of V: where outliers are */
} stage_data;

uint32_t stage_hash(uint32_t a, uint32_t b, uint32_t c);
/* Roughly standard normal. */
float stage_normal(uint32_t hash);
float stage_value(stage_data data, uint32_t seed, uint32_t is_v, uint32_t head, uint32_t position, uint32_t channel);

/* Element `index` of a tensor. */
void stage_store(void *tensor, uint64_t index, gear_type type, float value);
float stage_load(const void *tensor, uint64_t index, gear_type type);
uint32_t stage_element(gear_type type);

#endif
