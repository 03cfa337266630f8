/* sampler.c: the next token, see sampler.h. */
#include "sampler.h"

#include <math.h>
#include <stdlib.h>

typedef struct sampler_choice {
    float probability;
    uint32_t index;
} sampler_choice;

bool sampler_create(uint32_t count, float temperature, float top_p, uint64_t seed, sampler *out, host_error *error)
{
    sampler s = {temperature, top_p, seed, calloc(count, sizeof *s.choices), count};
    if (!s.choices)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    *out = s;
    return true;
}

void sampler_free(sampler *s)
{
    free(s->choices);
    *s = (sampler){0};
}

/* Uniform in [0, 1), by splitmix64. */
static double next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

uint32_t sampler_likeliest(const float *logits, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; ++i)
        if (logits[i] > logits[best] || (isnan(logits[best]) && !isnan(logits[i])))
            best = i;
    return best;
}

static int by_probability(const void *a, const void *b)
{
    const sampler_choice *x = a, *y = b;
    if (x->probability > y->probability || x->probability < y->probability)
        return x->probability > y->probability ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* The choices whose probability (relative to the likeliest) is no less than what the last one of the nucleus can have. */
static uint32_t gather(sampler *s, const float *logits, float most, double *sum)
{
    double all = 0;
    for (uint32_t i = 0; i < s->count; ++i) {
        float p = expf((logits[i] - most) / s->temperature);
        s->choices[i] = (sampler_choice){isnan(p) ? 0.0f : p, i};
        all += (double)s->choices[i].probability;
    }
    double least = s->top_p < 1 ? (1 - (double)s->top_p) * all / s->count : 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; ++i)
        if ((double)s->choices[i].probability >= least && s->choices[i].probability > 0)
            s->choices[kept++] = s->choices[i];
    *sum = all;
    return kept;
}

uint32_t sampler_pick(sampler *s, const float *logits)
{
    uint32_t best = sampler_likeliest(logits, s->count);
    if (!(s->temperature > 0) || !isfinite(logits[best]))
        return best;
    double all, nucleus = 0;
    uint32_t kept = gather(s, logits, logits[best], &all), count = 0;
    qsort(s->choices, kept, sizeof *s->choices, by_probability);
    while (count < kept && nucleus < (double)s->top_p * all)
        nucleus += (double)s->choices[count++].probability;
    double at = next_random(&s->state) * nucleus;
    for (uint32_t i = 0; i + 1 < count; ++i) {
        at -= (double)s->choices[i].probability;
        if (at < 0)
            return s->choices[i].index;
    }
    return s->choices[count - 1].index;
}
