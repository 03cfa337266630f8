/* hash.h: 128- and 64-bit content hashes (XXH3) for cache keys and file checksums. Not cryptographic. */
#ifndef GEAR_BASE_HASH_H
#define GEAR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct gear__hash128 {
    uint64_t low, high;
} gear__hash128;

uint64_t gear__hash64(const void *data, size_t size);
gear__hash128 gear__hash128_of(const void *data, size_t size);
/* Folds one more part into `hash`; parts of different lengths never run together. */
gear__hash128 gear__hash128_add(gear__hash128 hash, const void *data, size_t size);
/* Writes 32 lower-case hexadecimal digits and a NUL. */
void gear__hash128_hex(gear__hash128 hash, char hex[33]);

#endif
