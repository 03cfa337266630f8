/* measured.h: what every candidate costs and loses in every layer, and how much a layer matters; kept in a file if wished, so
 * that another budget needs no new measurement. */
#ifndef GEAR_PLAN_MEASURED_H
#define GEAR_PLAN_MEASURED_H

#include "candidates.h"
#include "capture.h"

/* What plans do not compress, in the terms of gear_cache_desc: how many first tokens may stay exact, and the recent ones. */
enum { MAX_EXACT = 4 };
typedef struct exact_choices {
    uint32_t first[MAX_EXACT];
    uint32_t count; /* at least 1 */
    uint32_t recent;
    bool presets_too; /* presets have this `recent`, not their own */
} exact_choices;

/* The recipe of a plan, its codecs still to be set: a window of 64, and what stays exact by this choice. */
recipe measured_base(const exact_choices *exact, uint32_t choice);

typedef struct measured {
    candidate_list sides[PLAN_SIDES];
    uint32_t layers;
    uint64_t tokens, prompt; /* of the windows */
    uint64_t fingerprint;    /* of the capture */
    exact_choices exact;
    double bits[MAX_EXACT][PLAN_SIDES][MAX_CANDIDATES]; /* a value of that side, all that it occupies counted */
    /* owned: [layers][MAX_CANDIDATES]: |error|^2 / |exact|^2 of attention, the mean over the windows, with the first choice of
     * exact tokens */
    double *loss[PLAN_SIDES];
    double *weight; /* owned: [layers]: divergence that a loss of 1 would cause; 1 without a model */
    bool weighed;
} measured;

/* Room for the tables; losses and weights are still to be measured. */
bool measured_create(const capture *c, const exact_choices *exact, bool quick, measured *out, host_error *error);
void measured_free(measured *m);

/* Each candidate alone, the other side in 16 bits: bits and losses. */
bool measure_candidates(const capture *c, const device *dev, gear_context *context, measured *m, host_error *error);

/* Takes the tables of a file; one that was measured for something else is refused. */
bool measured_read(const char *path, measured *m, host_error *error);
bool measured_write(const measured *m, out_file *file, host_error *error);

#endif
