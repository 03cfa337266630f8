/* binary_cache.c: files of compiled programs; see the header for layout, key and concurrency. */
#include "device/binary_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

#define MAGIC     "GEARCLB1"
#define MAX_BYTES ((size_t)1 << 30)

/* Written as it lies in memory: a cache directory belongs to machines of one byte order, and the checksum covers the rest. */
typedef struct header {
    char magic[8];
    uint64_t key_low, key_high, size, check;
} header;

gear__hash128 gear__binary_key(const gear__caps *caps, const gear__source *source, const char *options)
{
    const char *texts[] = {options,       caps->name,     caps->vendor,           caps->driver,
                           caps->version, caps->platform, caps->platform_version, gear_version()};
    uint64_t words[] = {GEAR_FORMAT_VERSION, source->size, source->hash, sizeof(void *), caps->vendor_id};
    gear__hash128 key = gear__hash128_of(words, sizeof words);
    size_t i;
    key = gear__hash128_add(key, source->text, source->size);
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        key = gear__hash128_add(key, texts[i], strlen(texts[i]));
    }
    return key;
}

/* DIR/gear-<key><suffix>; to be freed. */
static char *make_path(const gear_allocator *allocator, const char *dir, gear__hash128 key, const char *suffix)
{
    size_t bytes = strlen(dir) + strlen(suffix) + 48;
    char hex[33], *path = gear__alloc(allocator, bytes);
    gear__hash128_hex(key, hex);
    if (path) {
        (void)snprintf(path, bytes, "%s/gear-%s%s", dir, hex, suffix);
    }
    return path;
}

unsigned char *gear__binary_load(const gear_allocator *allocator, const char *dir, gear__hash128 key, size_t *size)
{
    char *path = make_path(allocator, dir, key, ".clbin");
    FILE *file = path ? fopen(path, "rb") : NULL;
    unsigned char *data = NULL;
    header head;
    int good = 0;

    gear__free(allocator, path);
    if (!file) {
        return NULL;
    }
    if (fread(&head, sizeof head, 1, file) != 1 || memcmp(head.magic, MAGIC, sizeof head.magic) != 0 ||
        head.key_low != key.low || head.key_high != key.high || head.size == 0 || head.size > MAX_BYTES) {
        goto cleanup;
    }
    data = gear__alloc(allocator, (size_t)head.size);
    if (!data || fread(data, 1, (size_t)head.size, file) != head.size || fgetc(file) != EOF) {
        goto cleanup;
    }
    good = gear__hash64(data, (size_t)head.size) == head.check;
cleanup:
    (void)fclose(file);
    if (!good) {
        gear__free(allocator, data);
        return NULL;
    }
    *size = (size_t)head.size;
    return data;
}

/* Opens a temporary file that no other thread or process has; mode x refuses existing ones. */
static FILE *open_temporary(const gear_allocator *allocator, const char *dir, gear__hash128 key, char **path)
{
    struct {
        struct timespec time;
        const void *address;
        uint64_t attempt;
    } salt;
    char suffix[32];
    FILE *file = NULL;
    unsigned attempt;
    for (attempt = 0; !file && attempt < 8; attempt++) {
        memset(&salt, 0, sizeof salt);
        (void)timespec_get(&salt.time, TIME_UTC);
        salt.address = &salt;
        salt.attempt = attempt;
        (void)snprintf(suffix, sizeof suffix, "-%016" PRIx64 ".tmp", gear__hash64(&salt, sizeof salt));
        *path = make_path(allocator, dir, key, suffix);
        if (!*path) {
            return NULL;
        }
        file = fopen(*path, "wbx");
        if (!file) {
            gear__free(allocator, *path);
            *path = NULL;
        }
    }
    return file;
}

int gear__binary_store(const gear_allocator *allocator, const char *dir, gear__hash128 key, const unsigned char *data,
                       size_t size)
{
    char *path = make_path(allocator, dir, key, ".clbin"), *temporary = NULL;
    header head = {MAGIC, key.low, key.high, size, gear__hash64(data, size)};
    FILE *file = NULL;
    int failed = 1;

    if (!path || size == 0 || size > MAX_BYTES) {
        goto cleanup;
    }
    file = open_temporary(allocator, dir, key, &temporary);
    if (!file) {
        goto cleanup;
    }
    failed = fwrite(&head, sizeof head, 1, file) != 1 || fwrite(data, 1, size, file) != size;
    failed |= fclose(file) != 0;
    failed = failed || rename(temporary, path) != 0;
    if (failed) {
        (void)remove(temporary);
    }
cleanup:
    gear__free(allocator, temporary);
    gear__free(allocator, path);
    return failed;
}
