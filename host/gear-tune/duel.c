/* duel.c: two candidates measured in turn, so that whatever else the machine does meets both; see search.h. Which comes first
 * changes from pass to pass, and the caches are made anew a few times. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../measure/attend.h"
#include "search.h"

/* Everything that a candidate needs, ready to be timed. */
typedef struct fighter {
    world worlds[WORK_SHAPES];
    attend_run runs[WORK_SHAPES];
    size_t count; /* opened, even if not wholly */
} fighter;

static bool prepare(tuner *t, work *w, const candidate *c, fighter *f, host_error *error)
{
    bool ok = true;
    *f = (fighter){0};
    for (size_t i = 0; ok && i < w->count; ++i) {
        bool refused = false;
        f->count = i + 1;
        ok = world_open(&f->worlds[i], t->dev, t->context, &t->data, &w->shapes[i], &c->choice, &refused, error) &&
             attend_open(&f->runs[i], &f->worlds[i], &w->references[i], error);
    }
    return ok;
}

static void dismiss(fighter *f)
{
    for (size_t i = 0; i < f->count; ++i) {
        attend_close(&f->runs[i]);
        world_close(&f->worlds[i]);
    }
}

/* b's time over a's, averaged over the shapes. `swapped`: b is timed first. */
static bool pass(tuner *t, fighter f[2], bool swapped, double *ratio, host_error *error)
{
    double sum = 0;
    for (size_t i = 0; i < f[0].count; ++i) {
        timing time[2];
        if (!attend_time(&f[swapped].runs[i], &t->clocks, &time[swapped], error) ||
            !attend_time(&f[!swapped].runs[i], &t->clocks, &time[!swapped], error))
            return false;
        sum += log(time[1].device.best / time[0].device.best);
    }
    *ratio = exp(sum / (double)f[0].count);
    return true;
}

/* Some passes with caches of their own: where memory comes to lie is luck too. */
static bool meet(tuner *t, work *w, const candidate *const sides[2], unsigned passes, bool swapped, double *ratios,
                 host_error *error)
{
    fighter *f = calloc(2, sizeof *f);
    bool ok = f || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && prepare(t, w, sides[swapped], &f[swapped], error) && prepare(t, w, sides[!swapped], &f[!swapped], error);
    for (unsigned p = 0; ok && p < passes; ++p)
        ok = pass(t, f, (p % 2 != 0) != swapped, &ratios[p], error);
    for (int i = 0; f && i < 2; ++i)
        dismiss(&f[i]);
    clFinish(t->dev->queue);
    free(f);
    return ok;
}

bool duel_run(tuner *t, work *w, const candidate *a, const candidate *b, duel *out, host_error *error)
{
    enum { MEETINGS = 4 };
    const candidate *const sides[2] = {a, b};
    double *ratios = calloc(t->passes, sizeof *ratios);
    bool ok = ratios || fail(error, EXIT_DEVICE, "host memory exhausted");
    *out = (duel){.passes = t->passes};
    for (unsigned m = 0; ok && m < MEETINGS; ++m) {
        unsigned first = t->passes * m / MEETINGS, end = t->passes * (m + 1) / MEETINGS;
        ok = first == end || meet(t, w, sides, end - first, m % 2 != 0, ratios + first, error);
    }
    for (unsigned p = 0; ok && p < t->passes; ++p)
        out->faster += ratios[p] < 1;
    if (ok) {
        out->gain = 1 - spread_of(ratios, t->passes).median;
        out->decided = out->gain >= t->margin && out->faster >= t->passes - t->passes / 10;
    }
    free(ratios);
    return ok;
}
