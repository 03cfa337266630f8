/* plan.h: which segments an append compresses (docs/design.md; the paper's Algorithm 1 with prompt chunks). */
#ifndef GEAR_MODEL_PLAN_H
#define GEAR_MODEL_PLAN_H

#include <stdint.h>

typedef struct gear__plan_rules {
    uint32_t window; /* n_b */
    uint32_t recent;
    uint32_t ring;        /* tokens the window can hold */
    uint32_t max_segment; /* multiple of 64 */
} gear__plan_rules;

/* Steps through the segments that one call compresses; `first` ends as the first position that stays in the window. */
typedef struct gear__plan {
    uint32_t first;      /* oldest uncompressed position */
    uint32_t length;     /* tokens before the call */
    uint32_t total;      /* and after it */
    uint32_t prompt_end; /* prompt segments reach up to here; 0 while decode segments are still due */
} gear__plan;

typedef struct gear__plan_segment {
    uint32_t first, tokens, cls;
} gear__plan_segment;

/* new_tokens 0: a flush. */
void gear__plan_begin(gear__plan *plan, uint32_t first, uint32_t length, uint32_t new_tokens);
/* 0 when nothing is left to compress. */
int gear__plan_next(gear__plan *plan, const gear__plan_rules *rules, gear__plan_segment *segment);

#endif
