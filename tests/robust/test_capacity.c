/* test_capacity.c: requests that do not fit: tokens of a sequence, of a layer, sequences, the pool. Nothing changes, and what
 * fits still works. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "rig_cache.h"

static const uint32_t seed = 77; /* of rig_cache */

Test(capacity, tokens_and_sequences)
{
    static rig_cache r;
    rig_cache_open(&r);
    uint64_t before = rig_cache_digest(&r);
    const e2e_source source = e2e_synthetic(&seed, 0);
    gear_sequence third;
    rig_refused(&r, e2e_try_append(&r.rig, r.cache, &r.desc, r.names[0], &source, 100, 501), GEAR_ERROR_CAPACITY,
                "would have 601 tokens; max_sequence_tokens is 600", "sequence");
    rig_refused(&r, e2e_try_append(&r.rig, r.cache, &r.desc, r.names[0], &source, 100, 471), GEAR_ERROR_CAPACITY,
                "would hold 701 tokens; capacity_tokens is 700", "layer");
    rig_refused(&r, gear_sequence_add(r.cache, &third, &r.rig.error), GEAR_ERROR_CAPACITY, "all 2 sequences", "sequences");
    cr_assert_eq(rig_cache_digest(&r), before);
    e2e_append(&r.rig, r.cache, &r.desc, r.names[0], &source, 100, 470);
    rig_refused(&r, e2e_try_append(&r.rig, r.cache, &r.desc, r.names[0], &source, 570, 1), GEAR_ERROR_CAPACITY,
                "would hold 701", "one");
    E2E_OK(&r.rig, gear_sequence_clear(r.cache, r.names[1], &r.rig.error));
    e2e_append(&r.rig, r.cache, &r.desc, r.names[0], &source, 570, 1);
    rig_cache_close(&r);
}

/* A pool for less than the tokens: appends succeed until it is full, a failed one takes nothing, and removing a sequence makes
 * room. */
Test(capacity, pool)
{
    e2e_rig rig;
    gear_error *e = &rig.error;
    e2e_open(&rig);
    for (uint32_t exact = 0; exact <= 64; exact += 64) {
        gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
        gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, 4000);
        desc.capacity_sequences = 2;
        desc.exact_first = exact;
        desc.pool_bytes = 160000;
        gear_cache *cache = e2e_cache(&rig, &desc);
        gear_sequence names[2] = {e2e_add(&rig, cache), e2e_add(&rig, cache)};
        const e2e_source source = e2e_synthetic(&seed, 0);
        uint32_t length = 0;
        gear_bytes before, after;
        e2e_append(&rig, cache, &desc, names[1], &source, 0, 130);
        uint64_t other = e2e_digest(&rig, cache, &desc, names[1], &source);
        for (gear_status status = GEAR_OK; !status; length += status ? 0 : 100) {
            E2E_OK(&rig, gear_cache_bytes(cache, 0, &before, e));
            uint64_t digest = e2e_digest(&rig, cache, &desc, names[0], &source);
            status = e2e_try_append(&rig, cache, &desc, names[0], &source, length, 100);
            if (status) {
                e2e_expect(&rig, status, GEAR_ERROR_CAPACITY, "append", length);
                cr_assert_not_null(strstr(e->message, "no room in the pool"), "%s", e->message);
                E2E_OK(&rig, gear_cache_bytes(cache, 0, &after, e));
                cr_assert_eq(memcmp(&before, &after, sizeof before), 0, "the failed append took memory");
                cr_assert_eq(e2e_digest(&rig, cache, &desc, names[0], &source), digest);
            }
        }
        cr_assert_gt(length, 100);
        /* A batch of which one sequence does not fit changes neither. */
        e2e_tensor k, v;
        const uint32_t tokens[2] = {200, 200};
        const gear_sequence swapped[2] = {names[1], names[0]};
        const gear_batch batch = {2, swapped, tokens, 0};
        e2e_tensor_open(&rig, &k, GEAR_F16, E2E_PACKED, 2, 64, 2, tokens);
        e2e_tensor_open(&rig, &v, GEAR_F16, E2E_PACKED, 2, 64, 2, tokens);
        e2e_expect(&rig, gear_append(cache, 0, &batch, &k.view, &v.view, &rig.sync, e), GEAR_ERROR_CAPACITY, "batch", 0);
        e2e_tensor_close(&k);
        e2e_tensor_close(&v);
        E2E_OK(&rig, gear_cache_bytes(cache, 0, &after, e));
        cr_assert_eq(memcmp(&before, &after, sizeof before), 0, "the failed batch took memory");
        cr_assert_eq(e2e_digest(&rig, cache, &desc, names[1], &source), other);
        cr_assert_eq(e2e_length(&rig, cache, 0, names[0], NULL), length);
        E2E_OK(&rig, gear_sequence_remove(cache, names[1], e));
        e2e_append(&rig, cache, &desc, names[0], &source, length, 100);
        gear_cache_destroy(cache);
    }
    e2e_close(&rig);
}

/* Holes: half of 64 sequences of one block each are gone, and as many tokens as they had arrive at once. Where records of
 * segments grow with the outliers in them no hole takes the new one, however much room there is; in shorter calls, which make
 * shorter segments, the same tokens fit. */
Test(capacity, holes)
{
    e2e_rig rig;
    gear_error *e = &rig.error;
    e2e_open(&rig);
    for (int outliers = 0; outliers < 2; outliers++) {
        enum { SEQS = 64, HALF = SEQS / 2 * 64 };
        gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 0, outliers ? 0.02f : 0.0f);
        gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, 2 * HALF);
        desc.capacity_sequences = SEQS + 1;
        desc.max_segment_tokens = HALF;
        gear_cache *cache = e2e_cache(&rig, &desc);
        gear_sequence names[SEQS];
        const e2e_source source = e2e_synthetic(&seed, 0);
        gear_bytes before, after;
        for (int i = 0; i < SEQS; i++) {
            names[i] = e2e_add(&rig, cache);
            e2e_append(&rig, cache, &desc, names[i], &source, 0, 64);
            e2e_flush(&rig, cache, names[i]);
        }
        for (int i = 0; i < SEQS; i += 2) {
            E2E_OK(&rig, gear_sequence_remove(cache, names[i], e));
        }
        gear_sequence late = e2e_add(&rig, cache);
        E2E_OK(&rig, gear_cache_bytes(cache, 0, &before, e));
        gear_status status = e2e_try_append(&rig, cache, &desc, late, &source, 0, HALF);
        e2e_expect(&rig, status, outliers ? GEAR_ERROR_CAPACITY : GEAR_OK, "append", outliers);
        if (outliers) {
            cr_assert_not_null(strstr(e->message, "no room in the pool"), "%s", e->message);
            cr_assert_eq(e2e_length(&rig, cache, 0, late, NULL), 0);
            E2E_OK(&rig, gear_cache_bytes(cache, 0, &after, e));
            cr_assert_eq(memcmp(&before, &after, sizeof before), 0, "the failed append took memory");
            for (uint32_t done = 0; done < HALF; done += 64) {
                e2e_append(&rig, cache, &desc, late, &source, done, 64);
            }
            e2e_flush(&rig, cache, late);
        }
        cr_assert_eq(e2e_length(&rig, cache, 0, late, NULL), HALF);
        gear_cache_destroy(cache);
    }
    e2e_close(&rig);
}

/* A pool that cannot hold one block is refused by name; one of the least size runs full. Too much for the device is a status as
 * well. */
Test(capacity, extremes)
{
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 0, 0);
    gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, 1000);
    gear_cache *cache = NULL;
    desc.pool_bytes = 64;
    cr_assert_eq(gear_cache_create(rig.context, &desc, &cache, &rig.error), GEAR_ERROR_ARGUMENT);
    cr_assert_not_null(strstr(rig.error.message, "pool_bytes is 64"), "%s", rig.error.message);
    cr_assert_null(cache);
    unsigned least = 0;
    cr_assert_eq(sscanf(strstr(rig.error.message, "at least"), "at least %u", &least), 1);
    desc.pool_bytes = least;
    cache = e2e_cache(&rig, &desc);
    gear_sequence sequence = e2e_add(&rig, cache);
    const e2e_source source = e2e_synthetic(&seed, 0);
    e2e_append(&rig, cache, &desc, sequence, &source, 0, 64);
    e2e_append(&rig, cache, &desc, sequence, &source, 64, 64);
    e2e_expect(&rig, e2e_try_append(&rig, cache, &desc, sequence, &source, 128, 1), GEAR_ERROR_CAPACITY, "append", 128);
    cr_assert_eq(e2e_length(&rig, cache, 0, sequence, NULL), 128);
    gear_cache_destroy(cache);

    gear_cache *huge = NULL;
    desc.num_kv_heads = desc.num_query_heads = 1024;
    desc.capacity_tokens = 1 << 30;
    desc.pool_bytes = 0;
    gear_status status = gear_cache_create(rig.context, &desc, &huge, &rig.error);
    cr_assert(status == GEAR_ERROR_UNSUPPORTED || status == GEAR_ERROR_CAPACITY || status == GEAR_ERROR_MEMORY ||
                  status == GEAR_ERROR_OPENCL,
              "%s", gear_status_name(status));
    cr_assert_null(huge);
    e2e_close(&rig);
}
