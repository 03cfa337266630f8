/* duel.c: two candidates measured in turn, so that whatever else the machine does meets both; see search.h. */
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

/* b's time over a's, averaged over the shapes. */
static bool pass(tuner *t, fighter *a, fighter *b, double *ratio, host_error *error)
{
    double sum = 0;
    for (size_t i = 0; i < a->count; ++i) {
        timing first, second;
        if (!attend_time(&a->runs[i], &t->clocks, &first, error) || !attend_time(&b->runs[i], &t->clocks, &second, error))
            return false;
        sum += log(second.device.best / first.device.best);
    }
    *ratio = exp(sum / (double)a->count);
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

bool duel_run(tuner *t, work *w, const candidate *a, const candidate *b, duel *out, host_error *error)
{
    double *ratios = calloc(t->passes, sizeof *ratios);
    fighter *f = calloc(2, sizeof *f);
    bool ok = (ratios && f) || fail(error, EXIT_DEVICE, "host memory exhausted");
    *out = (duel){.passes = t->passes};
    ok = ok && prepare(t, w, a, &f[0], error) && prepare(t, w, b, &f[1], error);
    for (unsigned p = 0; ok && p < t->passes; ++p) {
        ok = pass(t, &f[0], &f[1], &ratios[p], error);
        out->faster += ok && ratios[p] < 1;
    }
    if (ok) {
        qsort(ratios, t->passes, sizeof *ratios, by_value);
        out->gain = 1 - (ratios[t->passes / 2] + ratios[(t->passes - 1) / 2]) / 2;
        out->decided = out->gain >= t->margin && out->faster >= t->passes - t->passes / 10;
    }
    for (int i = 0; f && i < 2; ++i)
        dismiss(&f[i]);
    clFinish(t->dev->queue);
    free(f);
    free(ratios);
    return ok;
}
