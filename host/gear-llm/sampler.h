/* sampler.h: chooses the next token from logits: the likeliest, or one drawn from the most likely ones that together have the
 * probability top_p, after dividing the logits by a temperature. The same seed and logits give the same tokens. */
#ifndef GEAR_LLM_SAMPLER_H
#define GEAR_LLM_SAMPLER_H

#include <stdint.h>

#include "error.h"

typedef struct sampler {
    float temperature;              /* 0: the likeliest */
    float top_p;                    /* above 0, at most 1 */
    uint64_t state;                 /* of the random numbers: the seed */
    struct sampler_choice *choices; /* owned: [count] */
    uint32_t count;                 /* of logits */
} sampler;

/* The likeliest of logits[count]; the lowest of equals. A logit that is not a number is never chosen, unless all are. */
uint32_t sampler_likeliest(const float *logits, uint32_t count);

bool sampler_create(uint32_t count, float temperature, float top_p, uint64_t seed, sampler *out, host_error *error);
void sampler_free(sampler *s);

/* The next token of logits[count], by the same rule where the likeliest is taken. */
uint32_t sampler_pick(sampler *s, const float *logits);

#endif
