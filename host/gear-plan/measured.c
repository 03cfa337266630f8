/* measured.c: candidates measured one by one, see measured.h. */
#include "measured.h"

#include <math.h>
#include <stdlib.h>

#include "../gear-llm/progress.h"
#include "../gear-pack/measure.h"
#include "fingerprint.h"
#include "report.h"

enum { WINDOW = 64 };

recipe measured_base(const exact_choices *exact, uint32_t choice)
{
    return (recipe){.exact_first = exact->first[choice], .window = WINDOW, .recent = exact->recent};
}

bool measured_create(const capture *c, const exact_choices *exact, bool quick, measured *out, host_error *error)
{
    const input *in = &c->inputs[0];
    *out = (measured){.layers = c->layers,
                      .exact = *exact,
                      .tokens = in->tokens,
                      .prompt = c->prompt ? c->prompt : in->tokens,
                      .fingerprint = fingerprint(c)};
    for (int s = 0; s < PLAN_SIDES; ++s) {
        candidates_make((plan_side)s, in->head_dim, quick, &out->sides[s]);
        out->loss[s] = calloc((size_t)c->layers * MAX_CANDIDATES, sizeof *out->loss[s]);
        if (!out->loss[s])
            return fail(error, EXIT_DEVICE, "host memory exhausted");
    }
    out->weight = malloc(c->layers * sizeof *out->weight);
    for (uint32_t l = 0; out->weight && l < c->layers; ++l)
        out->weight[l] = 1;
    return out->weight || fail(error, EXIT_DEVICE, "host memory exhausted");
}

void measured_free(measured *m)
{
    for (int s = 0; s < PLAN_SIDES; ++s)
        free(m->loss[s]);
    free(m->weight);
    *m = (measured){0};
}

/* This codec on one side and halves on the other. */
static gear_codec_pair one_sided(const measured *m, plan_side side, uint32_t index)
{
    gear_codec_pair pair = {candidate_exact(), candidate_exact()};
    *(side == PLAN_K ? &pair.k : &pair.v) = m->sides[side].items[index].codec;
    return pair;
}

static recipe recipe_of(const measured *m, const gear_codec_pair *pair, uint32_t choice)
{
    recipe r = measured_base(&m->exact, choice);
    r.codecs = *pair;
    return r;
}

/* Bits a value of a recipe, on the first input. */
static bool measure_bits(measurer *tool, const capture *c, const recipe *r, double *bits, host_error *error)
{
    const input *in = &c->inputs[0];
    sample s;
    if (!measure_attention(tool, r, in, &s, error))
        return false;
    if (!s.compressed)
        return fail(error, EXIT_INPUT, "%llu tokens are too few: none is compressed", (unsigned long long)in->tokens);
    *bits = 8.0 * (double)report_compressed(&s.bytes) / (2.0 * in->kv_heads * in->head_dim * (double)s.compressed);
    return true;
}

static bool measure_losses(measurer *m, const capture *c, const recipe *r, double *loss, host_error *error)
{
    for (uint32_t l = 0; l < c->layers; ++l) {
        double sum = 0;
        for (uint32_t w = 0; w < c->windows; ++w) {
            sample s;
            if (!measure_attention(m, r, &c->inputs[(size_t)w * c->layers + l], &s, error))
                return false;
            sum += s.rel_attention * s.rel_attention;
        }
        if (!isfinite(sum))
            return fail(error, EXIT_INPUT, "layer %u: its exact attention is all zero", l);
        loss[(size_t)l * MAX_CANDIDATES] = sum / c->windows;
    }
    return true;
}

/* What the bits of two candidates, each beside halves, have too much when they are added: halves, and what a pair has once. By
 * the probes. */
static bool measure_shared(measurer *tool, const capture *c, const measured *m, uint32_t choice, double *bits,
                           host_error *error)
{
    const gear_codec_pair k = one_sided(m, PLAN_K, m->sides[PLAN_K].probe), v = one_sided(m, PLAN_V, m->sides[PLAN_V].probe);
    const gear_codec_pair both = {k.k, v.v};
    const recipe recipes[] = {recipe_of(m, &k, choice), recipe_of(m, &v, choice), recipe_of(m, &both, choice)};
    double of_k, of_v, of_both;
    if (!measure_bits(tool, c, &recipes[0], &of_k, error) || !measure_bits(tool, c, &recipes[1], &of_v, error) ||
        !measure_bits(tool, c, &recipes[2], &of_both, error))
        return false;
    *bits = of_k + of_v - of_both;
    return true;
}

bool measure_candidates(const capture *c, const device *dev, gear_context *context, measured *m, host_error *error)
{
    measurer tool = {.dev = dev, .context = context, .weighted = true, .halved = !c->prompt, .prompt = c->prompt};
    progress bar = progress_start(m->sides[PLAN_K].count + m->sides[PLAN_V].count);
    double shared[MAX_EXACT];
    bool ok = true;
    for (uint32_t v = 0; ok && v < m->exact.count; ++v)
        ok = measure_shared(&tool, c, m, v, &shared[v], error);
    for (int s = 0; ok && s < PLAN_SIDES; ++s)
        for (uint32_t i = 0; ok && i < m->sides[s].count; ++i) {
            const gear_codec_pair pair = one_sided(m, (plan_side)s, i);
            const recipe first = recipe_of(m, &pair, 0);
            progress_add(&bar, 0, m->sides[s].items[i].name);
            for (uint32_t v = 0; ok && v < m->exact.count; ++v) {
                /* A pair's bits are the mean of its sides'. */
                double *bits = &m->bits[v][s][i];
                const recipe r = recipe_of(m, &pair, v);
                ok = measure_bits(&tool, c, &r, bits, error);
                *bits = 2 * *bits - shared[v];
            }
            ok = ok && measure_losses(&tool, c, &first, m->loss[s] + i, error);
            progress_add(&bar, 1, m->sides[s].items[i].name);
        }
    progress_end(&bar);
    measurer_free(&tool);
    return ok;
}
