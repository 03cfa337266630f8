/* fingerprint.h: a number that tells captures apart, so that tables are taken only for what they were measured on. */
#ifndef GEAR_PLAN_FINGERPRINT_H
#define GEAR_PLAN_FINGERPRINT_H

#include "capture.h"

/* XXH3 of all keys, values and queries, the scales, and how they are cut into windows, prompts and layers. Tensors of a model
 * are what the device computed: another device rounds otherwise and has another fingerprint. */
uint64_t fingerprint(const capture *c);

#endif
