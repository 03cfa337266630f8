/* divergence.c: see divergence.h. */
#include "divergence.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CACHES = 16, GROUP = 4, NAME = 32 };

static bool measure_some(engine *e, const windows *w, divergence *out, host_error *error)
{
    const teacher_text *first = &w->windows[0];
    const teacher_limits limits = {.group = w->count < GROUP ? w->count : GROUP,
                                   .longest = first->prompt + first->fed,
                                   .prompt = first->prompt,
                                   .chunk = TEACHER_CHUNK};
    teacher t = {0};
    bool ok = teacher_create(e, &limits, &t, error) && windows_run(w, &t, error);
    for (size_t i = 0; ok && i < e->specs.count; ++i) {
        const teacher_run *run = &t.runs[t.run_of[i]];
        score_summary s;
        ok = score_summarize(&run->scores, &s, error);
        out[i] = (divergence){s.kl, teacher_bits(run, false)};
    }
    teacher_free(&t);
    return ok;
}

bool measure_divergences(const engine *e, const windows *w, const kv_spec *specs, size_t count, divergence *out,
                         host_error *error)
{
    kv_spec some[CACHES];
    engine borrowed = *e;
    bool ok = true;
    for (size_t first = 0; ok && first < count; first += borrowed.specs.count) {
        const size_t left = count - first;
        borrowed.specs = (kv_spec_list){some, left < CACHES ? left : CACHES};
        memcpy(some, specs + first, borrowed.specs.count * sizeof *specs);
        ok = measure_some(&borrowed, w, out + first, error);
    }
    return ok;
}

/* A cache of halves but for one layer. */
static void probe_layer(const measured *m, uint32_t layer, gear_codec_pair *layers, kv_spec *spec)
{
    for (uint32_t l = 0; l < m->layers; ++l)
        layers[l] = (gear_codec_pair){candidate_exact(), candidate_exact()};
    for (int s = 0; s < PLAN_SIDES; ++s)
        *(s == PLAN_K ? &layers[layer].k : &layers[layer].v) = m->sides[s].items[m->sides[s].probe].codec;
    snprintf(spec->name, NAME, "layer %u", layer);
    spec->base = measured_base(&m->exact, 0);
    spec->layers = layers;
    spec->num_layers = m->layers;
}

static double probe_loss(const measured *m, uint32_t layer)
{
    double sum = 0;
    for (int s = 0; s < PLAN_SIDES; ++s)
        sum += m->loss[s][(size_t)layer * MAX_CANDIDATES + m->sides[s].probe];
    return sum;
}

bool weigh_layers(const engine *e, const windows *w, measured *m, host_error *error)
{
    const size_t count = m->layers;
    gear_codec_pair *pairs = malloc(count * count * sizeof *pairs);
    kv_spec *specs = calloc(count, sizeof *specs);
    divergence *found = calloc(count, sizeof *found);
    char(*names)[NAME] = calloc(count, sizeof *names);
    bool ok = (pairs && specs && found && names) || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t l = 0; ok && l < count; ++l) {
        specs[l].name = names[l];
        probe_layer(m, l, pairs + l * count, &specs[l]);
    }
    ok = ok && measure_divergences(e, w, specs, count, found, error);
    for (uint32_t l = 0; ok && l < count; ++l) {
        const double loss = probe_loss(m, l);
        /* A divergence of nothing may come out below 0 by the rounding of its sum. */
        m->weight[l] = loss > 0 ? fmax(found[l].kl, 0) / loss : 0;
    }
    m->weighed = ok;
    free(pairs);
    free(specs);
    free(found);
    free(names);
    return ok;
}
