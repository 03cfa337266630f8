/* measured.h: what every candidate costs and loses in every layer, and how much a layer matters; kept in a file if wished, so
 * that another budget needs no new measurement. */
#ifndef GEAR_PLAN_MEASURED_H
#define GEAR_PLAN_MEASURED_H

#include "candidates.h"
#include "capture.h"

/* How many first tokens stay exact: variants of a plan. */
enum { EXACT_ONE, EXACT_AUTO, EXACT_VARIANTS };
/* What a plan does not compress: a window of 64, recent 64, so many first tokens. */
recipe measured_base(int variant);

typedef struct measured {
    candidate_list sides[PLAN_SIDES];
    uint32_t layers;
    uint64_t tokens, prompt;                                 /* of the windows */
    double bits[EXACT_VARIANTS][PLAN_SIDES][MAX_CANDIDATES]; /* a value of that side, all that it occupies counted */
    double *loss[PLAN_SIDES]; /* owned: [layers][MAX_CANDIDATES]: |error|^2 / |exact|^2 of attention, mean over the windows */
    double *weight;           /* owned: [layers]: divergence that a loss of 1 would cause; 1 without a model */
    bool weighed;
} measured;

/* Room for the tables; losses and weights are still to be measured. */
bool measured_create(const capture *c, bool quick, measured *out, host_error *error);
void measured_free(measured *m);

/* Each candidate alone, the other side in 16 bits: bits and losses. */
bool measure_candidates(const capture *c, const device *dev, gear_context *context, measured *m, host_error *error);

/* The recipe of one layer that has this codec on one side and halves on the other. */
gear_codec_pair one_sided(const measured *m, plan_side side, uint32_t index);

/* Takes the tables of a file; one that was measured for something else is refused. */
bool measured_read(const char *path, measured *m, host_error *error);
bool measured_write(const measured *m, out_file *file, host_error *error);

#endif
