/* test_upload.c: words that travel as kernel arguments arrive where they should, and nowhere else. */
#include <criterion/criterion.h>
#include <string.h>

#include "stage_world.h"

#define WORDS 1000u

Test(upload, any_count_anywhere)
{
    static const uint32_t counts[] = {0, 1, 4, 63, 64, 65, 191, 192, 193, 384, 577};
    stage_bench bench;
    stage_buffer table = {0};
    gear__variant variant;
    gear__shape shape;
    uint32_t count, words[WORDS];
    const stage_case *c = stage_cases(&count);
    gear_cache_desc desc;
    gear_codec_pair pair = {c->k, c->v};
    gear_cache_desc_init(&desc);
    desc.num_kv_heads = c->kv_heads;
    desc.head_dim = c->head_dim;
    gear__shape_init(&shape, &desc, &pair);
    stage_open(&bench);
    stage_variant_open(&bench, &variant, &shape, 1, 1, 1u << GEAR__KERNEL_UPLOAD, GEAR_ATTEND_PORTABLE);
    stage_buffer_make(&bench, &table, WORDS * 4);
    stage_put(&bench, &table);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const uint32_t offsets[] = {0, 17, WORDS - counts[i]};
        for (uint32_t o = 0; o < 3; o++) {
            for (uint32_t n = 0; n < WORDS; n++) {
                words[n] = stage_hash(n, o, (uint32_t)i);
            }
            STAGE_LAUNCH(&bench, gear__upload(&stream, &variant, table.mem, offsets[o], words, counts[i], &error));
            memcpy(table.host + 4 * (size_t)offsets[o], words, 4 * (size_t)counts[i]);
            stage_same(&bench, &table, "table");
        }
    }
    /* Two uploads on one stream out of the same host memory: each carries its own words. */
    for (uint32_t n = 0; n < 8; n++) {
        gear__stream stream;
        gear_error error;
        stage_begin(&bench, &stream, &error);
        words[0] = n;
        cr_assert_eq(gear__upload(&stream, &variant, table.mem, n, words, 1, &error), GEAR_OK);
        words[0] = ~n;
        stage_end(&bench, &stream, gear__upload(&stream, &variant, table.mem, n + 100, words, 1, &error), &error);
        memcpy(table.host + 4 * (size_t)n, &n, 4);
        memcpy(table.host + 4 * ((size_t)n + 100), words, 4);
        stage_same(&bench, &table, "table");
    }
    stage_buffer_free(&table);
    gear__variant_close(&variant);
    stage_close(&bench, "upload");
}
