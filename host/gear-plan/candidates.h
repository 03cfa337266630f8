/* candidates.h: the codecs that gear-plan chooses from, for the keys and for the values of a layer. */
#ifndef GEAR_PLAN_CANDIDATES_H
#define GEAR_PLAN_CANDIDATES_H

#include <stdbool.h>

#include "gear/gear.h"

typedef enum plan_side { PLAN_K, PLAN_V, PLAN_SIDES } plan_side;

enum { MAX_CANDIDATES = 24 };

typedef struct candidate {
    char name[32]; /* "16x4+48x2 L4", "2 bits" */
    gear_codec codec;
} candidate;

typedef struct candidate_list {
    candidate items[MAX_CANDIDATES];
    uint32_t count;
    uint32_t probe; /* the one whose divergence tells how much a layer matters: about 2.5 bits */
} candidate_list;

/* For a head_dim that the library takes. Quick: only what the presets of the mixed backbone are made of. */
void candidates_make(plan_side side, uint32_t head_dim, bool quick, candidate_list *out);

/* Halves: what the other side is while one is measured. */
gear_codec candidate_exact(void);

#endif
