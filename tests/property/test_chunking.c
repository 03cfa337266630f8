/* test_chunking.c: once everything complete is compressed, it does not matter in which pieces the tokens came: always for
 * codecs whose parts are all of one block, and for all codecs where calls cut segments at the same places. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e_drive.h"

#define TOKENS 330u

typedef struct state {
    uint64_t compressed;
    gear_bytes bytes;
    e2e_dense dense;
} state;

/* Size of the next piece under a pattern: 0 everything, else that many; above 1000 a pseudo-random size. */
static uint32_t piece(uint32_t pattern, uint32_t done)
{
    uint32_t size = pattern == 0 ? TOKENS : pattern > 1000 ? 1 + (pattern * 2654435761u ^ done * 40503u) % 97 : pattern;
    return size < TOKENS - done ? size : TOKENS - done;
}

static void reach(e2e_rig *rig, const gear_cache_desc *desc, uint32_t pattern, state *s)
{
    const uint32_t seed = 5;
    const e2e_source source = e2e_synthetic(&seed, 0);
    gear_cache *cache = e2e_cache(rig, desc);
    gear_sequence sequence = e2e_add(rig, cache);
    for (uint32_t done = 0; done < TOKENS;) {
        uint32_t n = piece(pattern, done);
        e2e_append(rig, cache, desc, sequence, &source, done, n);
        done += n;
    }
    e2e_flush(rig, cache, sequence);
    cr_assert_eq(e2e_length(rig, cache, 0, sequence, &s->compressed), TOKENS);
    E2E_OK(rig, gear_cache_bytes(cache, 0, &s->bytes, &rig->error));
    e2e_dense_open(rig, &s->dense, cache, 0, sequence, desc->num_kv_heads, desc->head_dim, 0);
    gear_cache_destroy(cache);
}

static void compare(e2e_rig *rig, const gear_cache_desc *desc, const char *name)
{
    static const uint32_t patterns[] = {0, 1, 7, 16, 33, 64, 65, 100, 128, 1001, 1002, 1003};
    state first, other;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        state *s = p ? &other : &first;
        reach(rig, desc, patterns[p], s);
        if (p) {
            size_t bytes = (size_t)s->dense.heads * TOKENS * s->dense.dim * sizeof(float);
            cr_assert_eq(s->compressed, first.compressed, "%s, pattern %u: %llu compressed, not %llu", name, patterns[p],
                         (unsigned long long)s->compressed, (unsigned long long)first.compressed);
            cr_assert_eq(memcmp(s->dense.k, first.dense.k, bytes), 0, "%s, pattern %u: K differs", name, patterns[p]);
            cr_assert_eq(memcmp(s->dense.v, first.dense.v, bytes), 0, "%s, pattern %u: V differs", name, patterns[p]);
            cr_assert_eq(s->bytes.codes, first.bytes.codes, "%s, pattern %u: codes", name, patterns[p]);
            cr_assert_eq(s->bytes.exact, first.bytes.exact, "%s, pattern %u: exact", name, patterns[p]);
            e2e_dense_close(&s->dense);
        }
    }
    e2e_dense_close(&first.dense);
}

Test(chunking, codecs_of_blocks)
{
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t i = 0; i < 2 * 2 * 3; i++) {
        static const uint32_t exact[] = {0, 4, 64};
        char name[64];
        gear_codec_pair codec = e2e_codec(i % 2 ? GEAR_BACKBONE_TOKEN : GEAR_BACKBONE_KIVI, 2, 0, i / 2 % 2 ? 0.02f : 0.0f);
        codec.k.outlier_rule = codec.v.outlier_rule = GEAR_OUTLIER_BLOCK;
        gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, TOKENS);
        desc.exact_first = exact[i / 4];
        desc.recent = i % 3 ? 64 : 0;
        (void)snprintf(name, sizeof name, "codec %u", i);
        compare(&rig, &desc, name);
    }
    e2e_close(&rig);
}

/* One block a segment, in prompts and in decoding: then the parts of a segment are those of a block. Mixed: the first block
 * alone decides the channel order. */
Test(chunking, same_cuts)
{
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t i = 0; i < 4; i++) {
        char name[64];
        gear_codec_pair codec = e2e_codec((gear_backbone)i, 2, 2, 0.02f);
        gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, TOKENS);
        desc.max_segment_tokens = 64;
        desc.exact_first = i;
        (void)snprintf(name, sizeof name, "backbone %u", i);
        compare(&rig, &desc, name);
    }
    e2e_close(&rig);
}

/* The same of presets: with 1-bit channels, with L, with Lloyd-Max levels. */
Test(chunking, presets)
{
    static const char *const names[] = {"mix_2_2", "gear_2_6", "mix_3_5"};
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t i = 0; i < 3; i++) {
        gear_codec_pair codec;
        gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, TOKENS);
        E2E_OK(&rig, gear_preset(names[i], &desc, &codec, &rig.error));
        desc.max_segment_tokens = 64;
        codec.k.rank_decode = codec.k.rank_prompt; /* else prompts and decoding differ */
        desc.exact_first = 4;                      /* what GEAR_EXACT_AUTO means depends on how many tokens come first */
        compare(&rig, &desc, names[i]);
    }
    e2e_close(&rig);
}
