/* binary_cache.h: compiled programs in a directory that the caller named.
 *
 * File      DIR/gear-<32 hex digits of the key>.clbin: magic, header version, key, length and XXH3 of the binary, then the
 *           binary.
 * Key       128-bit hash of library version and format version, source text, options, device name, vendor, driver, device
 *           version, platform name and version. Anything that may change the meaning of a binary is in it; stale files are just
 *           never opened.
 * Writers   write a temporary file of their own beside it and rename; readers see a whole file or none.
 * Failure   of any kind (missing, short, corrupt, refused by the driver, unwritable directory) means "build from source". */
#ifndef GEAR_DEVICE_BINARY_CACHE_H
#define GEAR_DEVICE_BINARY_CACHE_H

#include <stddef.h>

#include "base/hash.h"
#include "device/caps.h"
#include "device/source.h"

gear__hash128 gear__binary_key(const gear__caps *caps, const gear__source *source, const char *options);

/* Returns the binary (to be freed) and its size, or NULL when there is none that can be trusted. */
unsigned char *gear__binary_load(const gear_allocator *allocator, const char *dir, gear__hash128 key, size_t *size);
/* Returns 0 when the file is in place. */
int gear__binary_store(const gear_allocator *allocator, const char *dir, gear__hash128 key, const unsigned char *data,
                       size_t size);

#endif
