/* test_tuning.c: how attention divides its work changes its output by rounding alone, and the stored bytes not at all. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "e2e_attention.h"
#include "e2e_drive.h"

enum { HEADS = 2, GROUP = 8, DIM = 64, TOKENS = 1100, VALUES = HEADS * GROUP * DIM };

static const uint32_t seed = 11;

/* Fills a cache of that tuning and attends with the last token. 0 where the device refuses the tuning. */
static int answer(e2e_rig *rig, gear_cache_desc desc, gear_attend_tuning tuning, float out[VALUES], e2e_dense *dense)
{
    const e2e_source source = e2e_synthetic(&seed, 0);
    gear_cache_plan plan;
    gear_cache_plan_init(&plan);
    desc.attend_tuning = tuning;
    gear_status status = gear_cache_query(rig->context, &desc, &plan, &rig->error);
    if (status == GEAR_ERROR_UNSUPPORTED) {
        cr_assert_not_null(strstr(rig->error.message, "attend_tuning."), "%s", rig->error.message);
        return 0;
    }
    cr_assert_eq(status, GEAR_OK, "%s", rig->error.message);
    cr_assert(!tuning.groups_per_unit || plan.tuning.groups_per_unit == tuning.groups_per_unit);
    cr_assert(!tuning.rows || plan.tuning.rows <= tuning.rows);
    gear_cache *cache = e2e_cache(rig, &desc);
    gear_sequence sequence = e2e_add(rig, cache);
    e2e_append(rig, cache, &desc, sequence, &source, 0, TOKENS);
    e2e_attend(rig, cache, &desc, sequence, &source, 1, out);
    e2e_dense_open(rig, dense, cache, 0, sequence, HEADS, DIM, 0);
    gear_cache_destroy(cache);
    return 1;
}

Test(tuning, changes_rounding_only)
{
    static const gear_attend_tuning tunings[] = {{1, 0, 0}, {2, 0, 1},  {4, 0, 32}, {8, 0, 16},  {8, 0, 3}, {0, 0, 1},
                                                 {0, 0, 5}, {0, 32, 0}, {0, 64, 2}, {0, 160, 0}, {0, 1, 7}};
    static float plain[VALUES], tuned[VALUES];
    e2e_rig rig;
    e2e_dense dense[2];
    uint32_t taken = 0;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS * GROUP, DIM, TOKENS);
    gear_cache_plan plan;
    gear_cache_plan_init(&plan);
    if (gear_cache_query(rig.context, &desc, &plan, NULL)) { /* a kernel asked for that does not serve this codec */
        desc.attend_kernel = GEAR_ATTEND_AUTO;
    }
    const double bound = 2 * e2e_bound(&rig, &desc);
    cr_assert(answer(&rig, desc, (gear_attend_tuning){0, 0, 0}, plain, &dense[0]));
    double most = 0;
    for (size_t i = 0; i < VALUES; i++) {
        most = fmax(most, fabs((double)plain[i]));
    }
    for (size_t t = 0; t < (e2e_tiny() ? 4 : sizeof tunings / sizeof *tunings); t++) {
        if (!answer(&rig, desc, tunings[t], tuned, &dense[1])) {
            continue;
        }
        for (size_t i = 0; i < VALUES; i++) {
            double off = fabs((double)tuned[i] - (double)plain[i]);
            cr_assert(off <= bound * most, "tuning %zu: value %zu is off by %g of %g", t, i, off, most);
        }
        cr_assert_eq(memcmp(dense[0].k, dense[1].k, (size_t)HEADS * dense[0].rows * DIM * sizeof(float)), 0);
        cr_assert_eq(memcmp(dense[0].v, dense[1].v, (size_t)HEADS * dense[0].rows * DIM * sizeof(float)), 0);
        e2e_dense_close(&dense[1]);
        taken++;
    }
    cr_assert_geq(taken, 1);
    e2e_dense_close(&dense[0]);
    e2e_close(&rig);
}
