/* divergence.h: what caches do to a model's predictions on the windows, and how much each layer matters. */
#ifndef GEAR_PLAN_DIVERGENCE_H
#define GEAR_PLAN_DIVERGENCE_H

#include "measured.h"

typedef struct divergence {
    double kl;   /* from the 16-bit cache, nats a token */
    double bits; /* a value of compressed tokens, all that they occupy counted */
} divergence;

/* Teacher-forced, a few caches at a time. */
bool measure_divergences(const engine *e, const windows *w, const kv_spec *specs, size_t count, divergence *out,
                         host_error *error);

/* Sets the weights: the divergence that each layer causes when it alone is compressed, by the probes of both sides, over the
 * probes' losses there. */
bool weigh_layers(const engine *e, const windows *w, measured *m, host_error *error);

#endif
