/* search.h: the fastest way for a kernel to divide its work on a device. The library decides what is possible: whatever it does
 * not refuse is a candidate. Each candidate's result is checked against double precision before its time counts. */
#ifndef GEAR_TUNE_SEARCH_H
#define GEAR_TUNE_SEARCH_H

#include "../measure/clock.h"
#include "work.h"

enum { SEARCH_CANDIDATES = 96 };

typedef struct tuner {
    const device *dev;
    gear_context *context;
    generator data;
    clocks clocks;
    unsigned passes; /* of a duel */
    double margin;   /* share that a candidate must gain over what the library does now */
} tuner;

typedef struct candidate {
    world_choice choice;                      /* tuning 0: what the library does now */
    gear_attend_tuning resolved[WORK_SHAPES]; /* what the library makes of it, for each shape */
    double us[WORK_SHAPES];                   /* best time on the device */
    double relative;                          /* mean over the shapes of us over that of the first candidate; NaN: failed */
    char problem[256];
} candidate;

/* The candidates of one kernel. The first is what the library does now. */
typedef struct search {
    gear_attend_kernel kernel;
    const char *source; /* of the values that the library uses now */
    size_t count, best;
    candidate items[SEARCH_CANDIDATES];
    bool wrong; /* some candidate failed or computed something wrong */
} search;

/* Two candidates in turn, several times: is b faster than a beyond noise? */
typedef struct duel {
    unsigned passes, faster; /* passes in which b was faster */
    double gain;             /* share of a's time that b saves: the median of the passes */
    bool decided;            /* in all passes but one in ten, and by the margin */
} duel;

/* Whether the kernel serves every shape here; if not, why. */
bool search_serves(const tuner *t, const work *w, gear_attend_kernel kernel, char *why, size_t size);
/* Measures what the library does now as s->items[0]. */
bool search_begin(tuner *t, work *w, gear_attend_kernel kernel, search *s, host_error *error);
/* Goes through rows and work-items, then work-groups, until neither gets better; s->best is the fastest, of the few best by a
 * second measurement. */
bool search_run(tuner *t, work *w, search *s, host_error *error);

bool duel_run(tuner *t, work *w, const candidate *a, const candidate *b, duel *out, host_error *error);

#endif
