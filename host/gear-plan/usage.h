/* usage.h: what a plan occupies, in a cache of all its layers. */
#ifndef GEAR_PLAN_USAGE_H
#define GEAR_PLAN_USAGE_H

#include "plan.h"

/* Sets p->bits: one sequence, the first window, in a cache of its own. */
bool plan_bits(const workshop *shop, plan *p, host_error *error);

/* What its first layer's compressed segments take, exact tokens and tables apart; nothing is allocated. */
bool plan_least_bits(const workshop *shop, const plan *p, double *bits, host_error *error);

#endif
