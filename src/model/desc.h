/* desc.h: checks and completes the caller's cache descriptor. No OpenCL objects. */
#ifndef GEAR_MODEL_DESC_H
#define GEAR_MODEL_DESC_H

#include "gear/gear.h"

/* Checks every field, the codecs included; the message names the field and its value. `where`: the API function. */
gear_status gear__desc_check(const gear_cache_desc *desc, const char *where, gear_error *error);
/* A checked descriptor with every zero replaced by its default; codecs still point to the caller's. */
gear_cache_desc gear__desc_complete(const gear_cache_desc *desc);

/* Most blocks of one sequence, and of all together. desc must be complete. */
uint64_t gear__desc_sequence_blocks(const gear_cache_desc *desc);
uint64_t gear__desc_capacity_blocks(const gear_cache_desc *desc);

/* Whether any layer has a low-rank part, and how many distinct shapes the layers have. */
int gear__desc_any_rank(const gear_cache_desc *desc);
uint32_t gear__desc_variants(const gear_cache_desc *desc);

#endif
