/* desc.h: checks and completes the caller's cache descriptor. No OpenCL objects. */
#ifndef GEAR_MODEL_DESC_H
#define GEAR_MODEL_DESC_H

#include "gear/gear.h"

/* Checks every field, the codecs included; the message names the field and its value. `where`: the API function. */
gear_status gear__desc_check(const gear_cache_desc *desc, const char *where, gear_error *error);
/* GEAR_ERROR_UNSUPPORTED where no kernel serves a head of so many channels. */
gear_status gear__head_dim_check(uint32_t head_dim, const char *where, gear_error *error);
/* `count` reserved words of `size` bytes (at most 8) must be zero; messages call them NAME.reserved[i]. */
gear_status gear__reserved_check(const void *words, size_t size, size_t count, const char *name, const char *where,
                                 gear_error *error);
/* The same for the field `reserved` of the struct that `desc` points to. */
#define GEAR__RESERVED_CHECK(desc, name, where, error)                                                                         \
  gear__reserved_check((desc)->reserved, sizeof *(desc)->reserved, sizeof(desc)->reserved / sizeof *(desc)->reserved, name,    \
                       where, error)

/* A checked descriptor with every zero replaced by its default; codecs still point to the caller's. */
gear_cache_desc gear__desc_complete(const gear_cache_desc *desc);

/* Most blocks of one sequence, and of all together. desc must be complete. */
uint64_t gear__desc_sequence_blocks(const gear_cache_desc *desc);
uint64_t gear__desc_capacity_blocks(const gear_cache_desc *desc);

/* Whether any layer has a low-rank part, and how many distinct shapes the layers have. */
int gear__desc_any_rank(const gear_cache_desc *desc);
uint32_t gear__desc_variants(const gear_cache_desc *desc);

#endif
