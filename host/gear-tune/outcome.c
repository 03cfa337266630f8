/* outcome.c: see outcome.h. */
#include "outcome.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A kernel so many times slower than the library's choice will not overtake it. */
#define FAR_BEHIND 3.0

static const kernel_outcome *find(const outcome *o, gear_attend_kernel kernel)
{
    for (size_t i = 0; i < o->count; ++i)
        if (o->kernels[i].kernel == kernel && o->kernels[i].search.count)
            return &o->kernels[i];
    return NULL;
}

static double mean_us(const work *w, const candidate *c)
{
    double sum = 0;
    for (size_t i = 0; i < w->count; ++i)
        sum += log(c->us[i]);
    return exp(sum / (double)w->count);
}

/* What of a kernel is best by the evidence: its fastest candidate if a duel said so, else what the library does now. */
static const candidate *winner(const kernel_outcome *k)
{
    return &k->search.items[k->duel.decided ? k->search.best : 0];
}

static void tell(const work *w, gear_attend_kernel kernel, const char *text)
{
    fprintf(stderr, "head_dim %u, codecs %s, %s: %s\n", w->head_dim, w->codecs, attend_kernel_names[kernel], text);
}

static void give_up(kernel_outcome *k, const char *text)
{
    snprintf(k->refused, sizeof k->refused, "%.250s", text);
}

static void tune_kernel(tuner *t, work *w, bool asked, outcome *o, kernel_outcome *k)
{
    host_error error = {0};
    char text[128];
    const kernel_outcome *chosen = find(o, o->chosen);
    if (!search_serves(t, w, k->kernel, k->refused, sizeof k->refused))
        return;
    tell(w, k->kernel, "as the library runs it now");
    if (!search_begin(t, w, k->kernel, &k->search, &error)) {
        k->search.count = 0;
        o->wrong = true;
        give_up(k, error.text);
        return;
    }
    double behind = chosen ? mean_us(w, &k->search.items[0]) / mean_us(w, winner(chosen)) : 1;
    if (behind > FAR_BEHIND && !asked) {
        snprintf(k->refused, sizeof k->refused, "takes %.1f times as long as %s: not searched", behind,
                 attend_kernel_names[o->chosen]);
        return;
    }
    tell(w, k->kernel, "searching");
    bool ok = search_run(t, w, &k->search, &error);
    o->wrong |= k->search.wrong;
    if (ok && k->search.best) {
        const candidate *best = &k->search.items[k->search.best];
        snprintf(text, sizeof text, "%zu candidates; the fastest against what the library does now", k->search.count);
        tell(w, k->kernel, text);
        ok = duel_run(t, w, &k->search.items[0], best, &k->duel, &error);
    }
    if (!ok) {
        o->wrong = true;
        give_up(k, error.text);
    }
}

/* A kernel that AUTO could take but does not, because it takes the last that runs: is it faster here? */
static void weigh_kernels(tuner *t, work *w, outcome *o)
{
    host_error error = {0};
    const kernel_outcome *chosen = find(o, o->chosen), *best = NULL;
    for (size_t i = 0; chosen && i < o->count; ++i) {
        const kernel_outcome *k = &o->kernels[i];
        if (k->search.count && k->kernel < o->chosen && (!best || mean_us(w, winner(k)) < mean_us(w, winner(best))))
            best = k;
    }
    if (!best || mean_us(w, winner(best)) >= mean_us(w, winner(chosen)))
        return;
    tell(w, best->kernel, "against the library's choice");
    if (!duel_run(t, w, winner(chosen), winner(best), &o->preference, &error))
        o->wrong = true;
    else if (o->preference.decided)
        o->preferred = best->kernel;
}

/* The kernel that AUTO takes for the first shape. */
static gear_attend_kernel library_choice(const tuner *t, const work *w)
{
    const world_choice free_choice = {0};
    gear_cache_desc desc;
    gear_cache_plan plan;
    world_describe(&w->shapes[0], &free_choice, &desc);
    gear_cache_plan_init(&plan);
    gear_attend_kernel kernel = GEAR_ATTEND_NVIDIA;
    if (gear_cache_query(t->context, &desc, &plan, NULL))
        return GEAR_ATTEND_AUTO;
    while (kernel && strcmp(plan.variant, attend_kernel_names[kernel]) != 0)
        --kernel;
    return kernel;
}

void outcome_run(tuner *t, work *w, gear_attend_kernel only, outcome *out)
{
    *out = (outcome){.work = w, .chosen = library_choice(t, w)};
    /* The library's choice first, which the others are compared with. */
    for (gear_attend_kernel i = 0; i <= GEAR_ATTEND_NVIDIA; ++i) {
        gear_attend_kernel kernel = i ? i : out->chosen;
        if (kernel == GEAR_ATTEND_AUTO || (i && kernel == out->chosen) || (only && only != kernel))
            continue;
        out->kernels[out->count].kernel = kernel;
        tune_kernel(t, w, only == kernel || kernel == out->chosen, out, &out->kernels[out->count++]);
    }
    weigh_kernels(t, w, out);
}

static database_record record_of(const outcome *o, database_kind kind, gear_attend_kernel kernel, gear_attend_tuning tuning)
{
    database_record r = {.kind = kind, .tuning = tuning};
    snprintf(r.kernel, sizeof r.kernel, "%s", attend_kernel_names[kernel]);
    for (char *c = r.kernel; *c; ++c)
        *c = (char)toupper((unsigned char)*c);
    snprintf(r.head_dim, sizeof r.head_dim, "%u", o->work->head_dim);
    snprintf(r.codecs, sizeof r.codecs, "%s", o->work->codecs);
    return r;
}

size_t outcome_records(const outcome *o, database_record records[OUTCOME_RECORDS])
{
    size_t count = 0;
    for (size_t i = 0; i < o->count; ++i) {
        const kernel_outcome *k = &o->kernels[i];
        if (k->duel.decided)
            records[count++] = record_of(o, DATABASE_TUNED, k->kernel, winner(k)->choice.tuning);
    }
    if (o->preferred)
        records[count++] = record_of(o, DATABASE_PREFER, o->preferred, (gear_attend_tuning){0, 0, 0});
    return count;
}
