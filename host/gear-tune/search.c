/* search.c: see search.h. */
#include "search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../measure/attend.h"

static gear_status query(const tuner *t, const bench_shape *shape, const world_choice *choice, gear_cache_plan *plan,
                         gear_error *detail)
{
    gear_cache_desc desc;
    world_describe(shape, choice, &desc);
    gear_cache_plan_init(plan);
    return gear_cache_query(t->context, &desc, plan, detail);
}

bool search_serves(const tuner *t, const work *w, gear_attend_kernel kernel, char *why, size_t size)
{
    const world_choice choice = {.kernel = kernel};
    gear_error detail = {0};
    gear_cache_plan plan;
    for (size_t i = 0; i < w->count; ++i)
        if (query(t, &w->shapes[i], &choice, &plan, &detail)) {
            snprintf(why, size, "%s", detail.message);
            return false;
        }
    return true;
}

static bool measure_shape(tuner *t, work *of, size_t index, const world_choice *choice, double *us, host_error *error)
{
    world w;
    attend_run run = {0};
    timing time;
    bool refused = false;
    bool ok = world_open(&w, t->dev, t->context, &t->data, &of->shapes[index], choice, &refused, error) &&
              attend_open(&run, &w, &of->references[index], error) && attend_time(&run, &t->clocks, &time, error);
    *us = ok ? 1e3 * time.device.best : (double)NAN;
    attend_close(&run);
    world_close(&w);
    clFinish(t->dev->queue);
    return ok;
}

static double mean_ratio(const double *us, const double *base, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; ++i)
        sum += log(us[i] / base[i]);
    return exp(sum / (double)count);
}

static void measure(tuner *t, work *w, search *s, candidate *c)
{
    host_error problem = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < w->count; ++i)
        ok = measure_shape(t, w, i, &c->choice, &c->us[i], &problem);
    c->relative = ok ? mean_ratio(c->us, s->items[0].us, w->count) : (double)NAN;
    if (!ok) {
        snprintf(c->problem, sizeof c->problem, "%.250s", problem.text);
        s->wrong = true;
    }
}

/* Finds or measures the candidate of a choice. NULL: the library refuses it, or the search is full. */
static const candidate *consider(tuner *t, work *w, search *s, const world_choice *choice)
{
    candidate c = {.choice = *choice};
    for (size_t i = 0; i < w->count; ++i) {
        gear_error detail = {0};
        gear_cache_plan plan;
        if (query(t, &w->shapes[i], choice, &plan, &detail))
            return NULL;
        c.resolved[i] = plan.tuning;
    }
    for (size_t i = 0; i < s->count; ++i)
        if (!memcmp(s->items[i].resolved, c.resolved, sizeof c.resolved))
            return &s->items[i];
    if (s->count == SEARCH_CANDIDATES)
        return NULL;
    candidate *added = &s->items[s->count++];
    *added = c;
    measure(t, w, s, added);
    if (s->items[s->best].relative > added->relative)
        s->best = s->count - 1;
    return added;
}

bool search_begin(tuner *t, work *w, gear_attend_kernel kernel, search *s, host_error *error)
{
    const world_choice choice = {.kernel = kernel};
    gear_error detail = {0};
    gear_cache_plan plan;
    *s = (search){.kernel = kernel};
    if (!gear_ok(query(t, &w->shapes[0], &choice, &plan, &detail), &detail, error))
        return false;
    s->source = plan.tuning_source;
    const candidate *first = consider(t, w, s, &choice);
    return (first && !first->problem[0]) || fail(error, EXIT_DEVICE, "%s", first ? first->problem : "refused");
}

/* What the best candidate runs with, on the shape with most rows. */
static gear_attend_tuning best_tuning(const work *w, const search *s)
{
    const candidate *c = &s->items[s->best];
    gear_attend_tuning most = c->resolved[0];
    for (size_t i = 1; i < w->count; ++i)
        most = c->resolved[i].rows > most.rows ? c->resolved[i] : most;
    return most;
}

/* Other work-groups, with as many work-items in a compute unit as now. */
static void try_work_groups(tuner *t, work *w, search *s)
{
    static const uint32_t rows[] = {1, 2, 4, 8}, items[] = {1, 32, 64, 96, 128, 160, 192, 224, 256, 384, 512, 1024};
    const gear_attend_tuning now = best_tuning(w, s);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; ++r)
        for (size_t i = 0; i < sizeof items / sizeof *items; ++i) {
            world_choice choice = {s->kernel, {rows[r], items[i], now.groups_per_unit * now.work_items / items[i]}};
            uint32_t *groups = &choice.tuning.groups_per_unit;
            *groups = *groups ? *groups : 1;
            while (!consider(t, w, s, &choice) && (*groups /= 2)) /* so many may not fit */
                ;
        }
}

static void try_group_counts(tuner *t, work *w, search *s)
{
    static const uint32_t groups[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128};
    const gear_attend_tuning now = best_tuning(w, s);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i) {
        const world_choice choice = {s->kernel, {now.rows, now.work_items, groups[i]}};
        (void)consider(t, w, s, &choice);
    }
}

/* The fastest of many is partly luck: measures the few best again, and the second time alone decides between them. */
static void measure_again(tuner *t, work *w, search *s)
{
    enum { FEW = 4 };
    size_t best[FEW], count = 0;
    double least = INFINITY;
    for (size_t i = 0; i < s->count; ++i) {
        if (s->items[i].problem[0])
            continue;
        size_t at = count < FEW ? count++ : FEW; /* sorted, the slowest falls out */
        while (at && s->items[best[at - 1]].relative > s->items[i].relative) {
            if (at < FEW)
                best[at] = best[at - 1];
            --at;
        }
        if (at < FEW)
            best[at] = i;
    }
    for (size_t i = 0; count > 1 && i < count; ++i) {
        candidate again = s->items[best[i]];
        measure(t, w, s, &again);
        if (again.relative < least) {
            least = again.relative;
            s->best = best[i];
        }
    }
}

bool search_run(tuner *t, work *w, search *s, host_error *error)
{
    size_t before;
    do {
        before = s->best;
        try_work_groups(t, w, s);
        try_group_counts(t, w, s);
    } while (s->best != before && s->count < SEARCH_CANDIDATES);
    measure_again(t, w, s);
    return !s->items[s->best].problem[0] || fail(error, EXIT_DEVICE, "%s", s->items[s->best].problem);
}
