/* attend_choice.h: which attend kernel the tests run, and how close to double precision each must come. */
#ifndef ATTEND_CHOICE_H
#define ATTEND_CHOICE_H

#include "gear/gear.h"

/* The kernel that GEAR_TEST_ATTEND names ("portable", ...), or GEAR_ATTEND_AUTO without it; fails the test on a wrong name. */
gear_attend_kernel attend_wanted(void);

/* Relative to the largest |output|, before the rounding of the output's type, for the kernel of this name (gear_cache_plan):
 * 1e-5 where operands are float32, 5e-4 where they are rounded to 16 bits. */
double attend_bound(const char *name);

#endif
