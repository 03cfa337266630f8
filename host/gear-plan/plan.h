/* plan.h: plans: a codec for each layer. Many are made, each for a budget; then what they really cost and lose decides. */
#ifndef GEAR_PLAN_PLAN_H
#define GEAR_PLAN_PLAN_H

#include "codec_file.h"
#include "divergence.h"

typedef struct plan {
    char name[384];
    codec_file codecs; /* layers owned: [count], one for each layer, or one for all of a preset */
    double bits;       /* measured, a value of compressed tokens, all that they occupy counted */
    double attention;  /* root of the mean over layers and windows of |error|^2 / |exact|^2 of attention; NaN: not measured */
    double kl;         /* NaN without a model */
} plan;

typedef struct plan_list {
    plan *items; /* owned */
    size_t count;
} plan_list;

/* What plans are made with and measured on; e and w NULL without a model. */
typedef struct workshop {
    const device *dev;
    gear_context *context;
    const capture *captured;
    const measured *measured;
    const engine *e;
    const windows *w;
} workshop;

/* Adds the presets of the library that may have at most so many bits a value. */
bool plans_add_presets(const workshop *shop, double most, plan_list *list, host_error *error);
/* Adds plans of at most so many bits a value: for each choice of exact tokens, with the layers' weights as they are, evened
 * out, and all equal. A budget below the cheapest codecs is refused. */
bool plans_add_budget(const workshop *shop, double budget, plan_list *list, host_error *error);
/* Measures all: with a model the divergence, without the error of attention. */
bool plans_measure(const workshop *shop, plan_list *list, host_error *error);
/* The best one within the budget, or NULL; `presets`: of the presets alone. */
plan *plans_best(const plan_list *list, double budget, bool presets);
void plans_free(plan_list *list);

#endif
