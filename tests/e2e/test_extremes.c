/* test_extremes.c: inputs and shapes at the edge: all equal, zero, NaN and infinity, the ends of the half range, subnormals,
 * one token, a window that is exactly full, a long context. (Every case of test_attend.c fills its cache to the last token.) */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "api/internal.h" /* for its counters */
#include "case.h"
#include "e2e_drive.h"

static float zero(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    (void)user, (void)seq, (void)head, (void)token, (void)channel;
    return 0;
}

static float constant(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    (void)user, (void)head, (void)token, (void)channel;
    return 0.3f + (float)seq;
}

static float negative_zero(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    (void)user, (void)seq, (void)head;
    return (token + channel) % 2 ? 0.0f : -0.0f;
}

/* The ends of the range in turn: scale = half(131008 / 3) stays finite, and so must everything that follows. */
static float ends(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    float x = e2e_noise(*(const uint32_t *)user, seq, head, token, channel);
    return x < 0 ? -65504.0f : 65504.0f;
}

static float near_the_end(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    return 65000.0f + 504.0f * e2e_noise(*(const uint32_t *)user, seq, head, token, channel);
}

static float subnormal(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    return 6e-8f * truncf(20 * e2e_noise(*(const uint32_t *)user, seq, head, token, channel));
}

/* One large value among small ones. */
static float spike(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    return token % 50 == 7 && channel == 5 ? 30000.0f : 1e-3f * e2e_noise(*(const uint32_t *)user, seq, head, token, channel);
}

/* Blocks of which all outliers come, among some that have none. */
static float loud_ends(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    float x = e2e_noise(*(const uint32_t *)user, seq, head, token, channel);
    return token / 64 % 3 ? 0.1f * x : copysignf(3.0f, x) + x;
}

static float loud_second(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    float x = e2e_noise(*(const uint32_t *)user, seq, head, token, channel);
    return token / 64 != 1 + head ? 0.1f * x : copysignf(3.0f, x) + x;
}

/* What a broken model produces: NaN, infinities, and values beyond half precision. */
static float broken(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    float x = e2e_noise(*(const uint32_t *)user, seq, head, token, channel);
    return x > 0.99f ? NAN : x > 0.98f ? INFINITY : x > 0.97f ? -INFINITY : x > 0.96f ? 70000.0f : x;
}

/* A case at once, of one sequence, without low rank and outliers; tests change fields of a copy. */
static const e2e_case plain = {.k_bits = 2,
                               .v_bits = 2,
                               .group = 64,
                               .factor_bits = 16,
                               .head_dim = 64,
                               .group_heads = 3,
                               .kv_heads = 2,
                               .queries = 1,
                               .batch = 1,
                               .in_type = GEAR_F32,
                               .q_type = GEAR_F32,
                               .out_type = GEAR_F32,
                               .window = 64,
                               .delta_bits = 16,
                               .segments = 1};

Test(extremes, values)
{
    /* exact: comes back as it went in, whatever the codec; but the mixed backbone has no scale of 0,
     * and what a rotation leaves of values far below its least range is far below what went into it, to which the rounding of
     * attend is relative: such kinds, whose `scale` is 0, are not rotated. */
    static const struct {
        const char *name;
        e2e_maker make;
        double scale;
        int exact, unbounded;
    } kinds[] = {
        {"zero", zero, 0, 1, 1},
        {"constant", constant, 0, 1, 0},
        {"negative zero", negative_zero, 0, 1, 1},
        {"ends", ends, 1e-6, 0, 1},
        {"near the end", near_the_end, 1e-6, 0, 0},
        {"subnormal", subnormal, 0, 0, 1},
        {"spike", spike, 1e-5, 0, 1},
        {"broken", broken, 1e-6, 0, 1},
    };
    static const uint32_t codecs[][4] = {{2, 4, 1, 16}, {2, 2, 2, 4}, {16, 0, 0, 16}}; /* bits, rank, outliers, factor bits */
    uint32_t count = 0;
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (uint32_t codec = 0; codec < sizeof codecs / sizeof *codecs; codec++) {
            for (uint32_t backbone = 0; backbone < (codec ? 1u : 4u); backbone++) {
                e2e_case c = plain;
                c.backbone = backbone;
                c.k_bits = c.v_bits = codecs[codec][0];
                c.rank_prompt = c.rank_decode = codecs[codec][1];
                c.factor_bits = codecs[codec][3];
                c.outliers = codecs[codec][2];
                c.length = 150;
                c.batch = 2;
                c.exact = 4 * (i % 2);
                c.segment = 128;
                c.arrival = 1;
                c.row = 4 * i + backbone;
                c.delta_bits = backbone == GEAR_BACKBONE_MIXED || (codec && !kinds[i].exact) ? 8 : 16;
                c.rotate = kinds[i].scale > 0;
                c.weights = backbone == GEAR_BACKBONE_MIXED;
                c.key = c.value = kinds[i].make;
                c.fixed_scale = kinds[i].scale;
                c.exact_codes = kinds[i].exact && backbone != GEAR_BACKBONE_MIXED;
                c.unbounded = kinds[i].unbounded;
                if (e2e_tiny() && (i + codec + backbone) % 6) {
                    continue;
                }
                case_run(&rig, &c);
                count++;
            }
        }
    }
    printf("extremes: %u cases\n", count);
    e2e_close(&rig);
}

/* Lengths around what the window holds, with every window and recent, and one token alone. */
Test(extremes, lengths)
{
    static const uint32_t windows[] = {1, 20, 64, 128}, recents[] = {0, 1, 64};
    uint32_t count = 0;
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t w = 0; w < 4; w++) {
        for (uint32_t r = 0; r < 3; r++) {
            uint32_t ring = recents[r] + (windows[w] > 64 ? windows[w] : 64);
            const uint32_t lengths[] = {1, ring - 1, ring, ring + 1, recents[r] + windows[w]};
            for (uint32_t i = 0; i < 5; i++) {
                for (uint32_t arrival = 0; arrival < 5; arrival++) {
                    e2e_case c = plain;
                    c.rank_prompt = 4;
                    c.rank_decode = 2;
                    c.outliers = 1;
                    c.kv_heads = 1;
                    c.length = lengths[i];
                    c.in_type = c.q_type = GEAR_F16;
                    c.window = windows[w];
                    c.recent = recents[r];
                    c.exact = 99;
                    c.segment = 64;
                    c.arrival = arrival;
                    c.row = 100 + i;
                    if (e2e_tiny() && (w + r + i + arrival) % 12) {
                        continue;
                    }
                    case_run(&rig, &c);
                    count++;
                }
            }
        }
    }
    printf("lengths: %u cases\n", count);
    e2e_close(&rig);
}

/* A context so long that a sum over it, rounded at the size of the codes' range, would not keep the bound: outputs are averages
 * of thousands of values about zero, and small. Heads enough that few devices split the tokens. */
Test(extremes, long_context)
{
    static const uint32_t backbones[] = {GEAR_BACKBONE_MIXED, GEAR_BACKBONE_KIVI};
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t i = 0; i < (e2e_tiny() ? 1u : sizeof backbones / sizeof *backbones); i++) {
        e2e_case c = plain;
        c.backbone = backbones[i];
        c.group_heads = 4;
        c.kv_heads = 8;
        c.length = e2e_tiny() ? 1024 : 8192;
        c.segment = 512;
        c.row = 200 + i;
        c.unbounded = 1;
        case_run(&rig, &c);
    }
    e2e_close(&rig);
}

/* Outliers are chosen over a segment, so that a block may have none, between others and as the last one. */
Test(extremes, blocks_without_outliers)
{
    static const e2e_maker makers[] = {loud_ends, loud_second};
    static const uint32_t head_dims[] = {64, 128};
    uint32_t count = 0;
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        for (uint32_t d = 0; d < sizeof head_dims / sizeof *head_dims; d++) {
            for (uint32_t delta = 0; delta < 2; delta++) {
                e2e_case c = plain;
                c.head_dim = head_dims[d];
                c.outliers = 1;
                c.delta_bits = delta ? 8 : 16;
                c.length = 260;
                c.segment = 256;
                c.row = 300 + count;
                c.key = c.value = makers[i];
                c.unbounded = 1;
                count++;
                if (e2e_tiny() && count > 1) {
                    continue;
                }
                case_run(&rig, &c);
            }
        }
    }
    e2e_close(&rig);
}

/* Each NaN and each infinity is counted once, whether it goes to a block or to the window, and beyond 2^32. */
Test(extremes, health)
{
    const uint32_t seed = 31, heads = 2, tokens = 150;
    e2e_rig rig;
    gear_health health;
    uint64_t nan_values = 0, inf_values = 0;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, heads, heads, 64, tokens);
    desc.exact_first = 4;
    gear_cache *cache = e2e_cache(&rig, &desc);
    gear_sequence sequence = e2e_add(&rig, cache);
    const e2e_source source = {broken, broken, e2e_query, &seed, 0};
    E2E_OK(&rig, gear_cache_health(cache, rig.cl.queue, &health, &rig.error));
    cr_assert(health.nan_values == 0 && health.inf_values == 0);
    const cl_uint near[GEAR__HEALTH_WORDS] = {[GEAR__HEALTH_NAN] = UINT32_MAX,
                                              [GEAR__HEALTH_NAN + 1] = 6,
                                              [GEAR__HEALTH_INF] = UINT32_MAX - 1}; /* no test lives to count that far */
    cr_assert_eq(clEnqueueWriteBuffer(rig.cl.queue, cache->health, CL_TRUE, 0, sizeof near, near, 0, NULL, NULL), CL_SUCCESS);
    nan_values = UINT32_MAX + (UINT64_C(6) << 32);
    inf_values = UINT32_MAX - 1;
    for (uint32_t done = 0; done < tokens; done += 50) {
        e2e_append(&rig, cache, &desc, sequence, &source, done, 50); /* as f16: 70000 is infinite already */
    }
    for (uint32_t i = 0; i < heads * tokens * 64; i++) {
        float x = broken(&seed, 0, i / 64 / tokens, i / 64 % tokens, i % 64);
        nan_values += isnan(x) ? 2 : 0; /* K and V */
        inf_values += fabsf(x) > 65520 ? 2 : 0;
    }
    e2e_flush(&rig, cache, sequence);
    E2E_OK(&rig, gear_cache_health(cache, rig.cl.queue, &health, &rig.error));
    cr_assert_eq(health.nan_values, nan_values, "%llu NaN counted, not %llu", (unsigned long long)health.nan_values,
                 (unsigned long long)nan_values);
    cr_assert_eq(health.inf_values, inf_values, "%llu infinities counted, not %llu", (unsigned long long)health.inf_values,
                 (unsigned long long)inf_values);
    gear_cache_destroy(cache);
    e2e_close(&rig);
}
