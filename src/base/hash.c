/* hash.c: XXH3 compiled into this file alone. */
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>

#if defined(__GNUC__)
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wconversion"
#  pragma GCC diagnostic ignored "-Wsign-conversion"
#  pragma GCC diagnostic ignored "-Wshadow"
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>
#if defined(__GNUC__)
#  pragma GCC diagnostic pop
#endif

uint64_t gear__hash64(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

gear__hash128 gear__hash128_of(const void *data, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(data, size);
    return (gear__hash128){hash.low64, hash.high64};
}

gear__hash128 gear__hash128_add(gear__hash128 hash, const void *data, size_t size)
{
    gear__hash128 part = gear__hash128_of(data, size);
    uint64_t words[5] = {hash.low, hash.high, part.low, part.high, (uint64_t)size};
    return gear__hash128_of(words, sizeof words);
}

void gear__hash128_hex(gear__hash128 hash, char hex[33])
{
    (void)snprintf(hex, 33, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
}
