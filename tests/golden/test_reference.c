/* test_reference.c: what the golden files do not pin of src/ref: low rank on known spectra, deltas, window and packed input,
 * 16-bit codes, attention. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decaying.h"
#include "model/half.h"
#include "ref/kit.h"
#include "segment.h"

#define MAX_VALUES (3 * 320 * 128)

static float values[MAX_VALUES], dense[MAX_VALUES];

/* Uniform in [-1, 1), the same on every machine. */
static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static void fill(uint32_t count, uint32_t seed)
{
    for (uint32_t i = 0; i < count; i++) {
        float u = noise(&seed), v = noise(&seed);
        values[i] = 4 * u * u * u + 0.2f * v;
    }
}

static double distance(const float *a, const float *b, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    return sqrt(sum);
}

/* Error of one segment under a codec. */
static double error_of(const gear_codec *codec, uint32_t is_v, uint32_t heads, uint32_t tokens, uint32_t d, uint32_t exact)
{
    segment s;
    segment_open(&s, codec, is_v, heads, d, tokens, 0, exact, GEAR__PROMPT, values, GEAR_F32);
    segment_compress(&s);
    segment_reconstruct(&s, dense);
    segment_close(&s);
    return distance(values, dense, heads * tokens * d);
}

/* What L leaves of a residual of decaying.h over the best that its rank could do. */
static double lowrank_ratio(uint32_t rank, uint32_t iterations, uint32_t seed)
{
    const uint32_t tokens = 150, d = 80, terms = 12;
    gear_codec codec = {.bits = 2, .rank_prompt = rank, .rank_decode = rank, .power_iterations = iterations};
    segment s;
    segment_open(&s, &codec, 1, 1, d, tokens, 0, 0, GEAR__PROMPT, values, GEAR_F32);
    memset(s.round.r, 0, (size_t)s.blocks * 64 * d * sizeof *s.round.r);
    decaying_fill(s.round.r, tokens, d, terms, seed);
    cr_assert(gear__ref_append_4_lowrank(&s.round));
    gear__ref_job job = gear__ref_job_at(&s.round, 0);
    double left = 0;
    for (uint32_t t = 0; t < tokens; t++) {
        gear__ref_place place = gear__ref_place_at(&s.round, &job, t / 64, 0);
        for (uint32_t c = 0; c < d; c++) {
            float low = gear__ref_lowrank(&s.shape, &s.shape.side[1], GEAR__PROMPT, place, t % 64, c);
            double rest = (double)gear__float_from_half(s.round.r[(size_t)t * d + c]) - (double)low;
            left += rest * rest;
        }
    }
    segment_close(&s);
    return sqrt(left) / decaying_optimum(terms, rank);
}

/* A start basis nearly orthogonal to a singular vector needs more passes: three leave some of these matrices above the bound.
 * The default is the least number that leaves none of the thousands of lowrank_passes.py above 1.02. */
Test(reference, lowrank_is_near_the_optimum_on_decaying_spectra)
{
    enum { SEEDS = 25, RANKS = 8, DEFAULT = 0 };
    uint32_t far_after_3 = 0;
    for (uint32_t rank = 1; rank <= RANKS; rank++) {
        for (uint32_t seed = 0; seed < SEEDS; seed++) {
            const double ratio = lowrank_ratio(rank, DEFAULT, seed);
            cr_assert_leq(ratio, 1.02, "rank %u seed %u: %g", rank, seed, ratio);
            far_after_3 += lowrank_ratio(rank, 3, seed) > 1.02;
        }
    }
    cr_assert_gt(far_after_3, 0, "three passes are enough: these matrices do not tell how many are needed");
}

Test(reference, rank_beyond_the_segment_leaves_zero_columns)
{
    fill(MAX_VALUES, 3);
    for (uint32_t bits = 4; bits <= 16; bits *= 2) {
        gear_codec codec = {.bits = 2, .rank_prompt = 8, .rank_decode = 8, .factor_bits = bits};
        segment s;
        segment_open(&s, &codec, 0, 2, 64, 3, 0, 0, GEAR__PROMPT, values, GEAR_F32);
        segment_compress(&s);
        gear__ref_job job = gear__ref_job_at(&s.round, 0);
        for (uint32_t head = 0; head < 2; head++) {
            gear__ref_place place = gear__ref_place_at(&s.round, &job, 0, head);
            for (uint32_t j = 3; j < 8; j++) {
                for (uint32_t i = 0; i < 64; i++) {
                    cr_assert_eq(gear__ref_factor_get(&s.shape, &s.shape.side[0], GEAR__PROMPT, place, 0, j, i), 0.0f);
                    cr_assert_eq(gear__ref_factor_get(&s.shape, &s.shape.side[0], GEAR__PROMPT, place, 1, j, i), 0.0f);
                }
            }
        }
        segment_close(&s);
    }
}

Test(reference, more_rank_and_outliers_never_hurt)
{
    for (uint32_t i = 0; i < 3 * 2 * 2; i++) {
        gear_codec codec = {.backbone = (gear_backbone)(i % 3), .bits = 2, .outlier_rule = (gear_outlier_rule)(i / 6)};
        uint32_t is_v = i / 3 % 2;
        fill(MAX_VALUES, i);
        double backbone = error_of(&codec, is_v, 2, 148, 64, 0), before = backbone;
        for (uint32_t rank = 1; rank <= 8; rank++) {
            codec.rank_prompt = rank;
            double error = error_of(&codec, is_v, 2, 148, 64, 0);
            cr_assert(error <= before * 1.0005, "case %u rank %u: %g after %g", i, rank, error, before);
            before = error;
        }
        codec.outlier_fraction = 0.05f;
        cr_assert(error_of(&codec, is_v, 2, 148, 64, 0) < before, "case %u: outliers", i);
    }
}

Test(reference, outliers_and_exact_tokens_come_back)
{
    fill(MAX_VALUES, 11);
    for (uint32_t i = 0; i < 8; i++) {
        gear_codec codec = {.bits = 2,
                            .rank_prompt = 4,
                            .factor_bits = i & 1 ? 4 : 16,
                            .outlier_fraction = 0.05f,
                            .outlier_rule = i & 2 ? GEAR_OUTLIER_BLOCK : GEAR_OUTLIER_VECTOR};
        segment s;
        segment_open(&s, &codec, i >> 2, 2, 96, 150, 0, 5, GEAR__PROMPT, values, GEAR_F32);
        segment_compress(&s);
        segment_reconstruct(&s, dense);
        for (uint32_t j = 0; j < 2 * 150 * 96; j++) {
            uint32_t head = j / 96 / 150, t = j / 96 % 150;
            uint8_t mask = s.round.mask[gear__ref_row(&s.round, head, t) + j % 96];
            float half = gear__float_from_half(gear__half_from_float(values[j]));
            cr_assert_eq(mask == GEAR__MASK_EXACT, t < 5);
            cr_assert(mask != GEAR__MASK_EXACT || dense[j] == half, "exact token %u", t);
            cr_assert(mask != GEAR__MASK_OUTLIER || fabsf(dense[j] - half) <= 0.002f * (1 + fabsf(half)), "outlier of %g is %g",
                      (double)half, (double)dense[j]);
        }
        segment_close(&s);
    }
}

Test(reference, nothing_is_infinite_at_the_largest_range)
{
    for (uint32_t i = 0; i < 2 * 148 * 64; i++) {
        values[i] = i * 2654435761u >> 30 ? (i & 1 ? 65504.0f : -65504.0f) : (float)(i % 7);
    }
    for (uint32_t i = 0; i < 12; i++) {
        gear_codec codec = {.backbone = (gear_backbone)(i % 3),
                            .bits = 2,
                            .rank_prompt = 8,
                            .outlier_fraction = 0.1f,
                            .outlier_rule = (gear_outlier_rule)(i / 3 % 2)};
        double error = error_of(&codec, i / 6, 2, 148, 64, 1);
        cr_assert(isfinite(error), "case %u: %g", i, error);
    }
}

Test(reference, halves_are_stored_as_they_are)
{
    fill(MAX_VALUES, 5);
    for (uint32_t is_v = 0; is_v < 2; is_v++) {
        gear_codec codec = {.bits = 16};
        segment s;
        segment_open(&s, &codec, is_v, 3, 80, 130, 0, 4, GEAR__DECODE, values, GEAR_F32);
        segment_compress(&s);
        segment_reconstruct(&s, dense);
        for (uint32_t i = 0; i < 3 * 130 * 80; i++) {
            cr_assert_eq(dense[i], gear__float_from_half(gear__half_from_float(values[i])));
        }
        segment_close(&s);
    }
}

/* Two sequences, packed bfloat16 input; the first one's segment takes tokens from the window and the input. */
Test(reference, gather_and_window)
{
    enum { HEADS = 2, D = 64, RING = 64, OLD = 30, NEW = 60, ROWS = NEW + 5 };
    gear_codec codec = {.bits = 4};
    gear_codec_pair pair = {codec, codec};
    gear_cache_desc desc = {.num_kv_heads = HEADS, .head_dim = D};
    gear__shape shape;
    gear__shape_init(&shape, &desc, &pair);
    cr_assert_eq(shape.window_tokens, RING);
    uint16_t *window = calloc(2u * 2u * HEADS * RING * D, 2), *input = malloc(sizeof *input * HEADS * ROWS * D);
    uint16_t *x = malloc(sizeof *x * HEADS * 64 * D);
    uint8_t *mask = malloc(HEADS * 64 * D), pool[64];
    cr_assert(window && input && x && mask);
    for (uint32_t i = 0; i < HEADS * ROWS * D; i++) {
        input[i] = gear__bf16_from_float((float)(i % 251));
    }
    input[0] = 0x7fc0;              /* NaN in a token that goes to the segment */
    input[(ROWS - 1) * D] = 0xff80; /* -infinity in one that goes to the window */
    uint32_t seqs[2][GEAR__SEQ_WORDS] = {{1, OLD, NEW, 0, 64, 1, 0, 0}, {0, 3, 5, NEW, 0, 0, 0, 0}};
    uint32_t table[2][2][4] = {{{0}, {0}}, {{0}, {0}}}, job[GEAR__JOB_WORDS] = {0}, row_job = 0;
    job[GEAR__JOB_BLOCKS] = 1;
    job[GEAR__JOB_TOKENS] = 64;
    uint64_t health[2] = {0};
    gear__ref_round round = {.shape = &shape,
                             .is_v = 1,
                             .jobs = job,
                             .num_jobs = 1,
                             .row_jobs = &row_job,
                             .num_rows = 64,
                             .table = &table[0][0][0],
                             .pool = pool,
                             .x = x,
                             .mask = mask};
    gear__ref_source source = {.seqs = &seqs[0][0],
                               .num_seqs = 2,
                               .table_row_entries = 2,
                               .window = window,
                               .input = input,
                               .stride_head = ROWS * D,
                               .stride_token = D,
                               .type = GEAR_BF16,
                               .health = health};
    for (uint32_t head = 0; head < HEADS; head++) {
        for (uint32_t t = 0; t < OLD; t++) {
            window[(((1u * 2 + 1) * HEADS + head) * RING + t) * D] = (uint16_t)(0x3c00 + t);
        }
    }
    gear__ref_append_0_gather(&round, &source);
    cr_assert_eq(health[0], 1);
    for (uint32_t head = 0; head < HEADS; head++) {
        for (uint32_t t = 0; t < 64; t++) {
            float want = t < OLD ? gear__float_from_half((uint16_t)(0x3c00 + t))
                                 : gear__float_from_bf16(input[(head * ROWS + t - OLD) * D]);
            want = isnan(want) ? 0 : want;
            cr_assert_eq(gear__float_from_half(x[gear__ref_row(&round, head, t)]), want, "head %u token %u", head, t);
        }
    }
    gear__ref_append_6_window(&round, &source);
    cr_assert_eq(health[0], 1);
    cr_assert_eq(health[1], 1);
    for (uint32_t p = 64; p < OLD + NEW; p++) {
        float got = gear__float_from_half(window[((1u * 2 + 1) * HEADS * RING + p % RING) * D]);
        cr_assert_eq(got, gear__float_from_bf16(input[(p - OLD) * D]), "position %u", p);
    }
    cr_assert_eq(window[((1u * HEADS) * RING + 7) * D], 0xfbff); /* slot 0, V, head 0, position 7: the last input row */
    free(window);
    free(input);
    free(x);
    free(mask);
}

Test(reference, attention)
{
    enum { D = 64, KV = 2, Q = 6, TOKENS = 40, TAIL = 5, QUERIES = 4, ROWS = Q * QUERIES };
    static double max[3 * ROWS], sum[3 * ROWS], part[3 * ROWS * D], joined[ROWS * D], lse[ROWS], out[ROWS * D], whole[ROWS];
    fill(MAX_VALUES, 21);
    gear__ref_attention in = {.head_dim = D,
                              .kv_heads = KV,
                              .query_heads = Q,
                              .tokens = TOKENS,
                              .tail = TAIL,
                              .queries = QUERIES,
                              .k = values,
                              .v = values + 10000,
                              .tail_k = values + 20000,
                              .tail_v = values + 30000,
                              .q = values + 40000,
                              .soft_cap = 20};
    gear__ref_attend(&in, out, whole);
    const uint32_t cut[4] = {0, 17, 43, TOKENS + TAIL};
    for (uint32_t i = 0; i < 3; i++) {
        gear__ref_attend_1_partial(&in, cut[i], cut[i + 1], max + i * ROWS, sum + i * ROWS, part + i * ROWS * D);
    }
    gear__ref_attend_2_merge(3, ROWS, D, max, sum, part, joined, lse);
    for (uint32_t row = 0; row < ROWS; row++) {
        /* The same from the definition: query head row / 4, its last position TOKENS + TAIL - 4 + row % 4. */
        uint32_t head = row / QUERIES / (Q / KV), seen = TOKENS + TAIL - QUERIES + row % QUERIES + 1;
        double weight[TOKENS + TAIL], total = 0, first = 0;
        for (uint32_t p = 0; p < seen; p++) {
            const float *k = p < TOKENS ? in.k + (head * TOKENS + p) * D : in.tail_k + (head * TAIL + p - TOKENS) * D;
            double score = 0;
            for (uint32_t c = 0; c < D; c++) {
                score += (double)in.q[row * D + c] * (double)k[c];
            }
            weight[p] = exp(20 * tanh(score / 8 / 20));
            total += weight[p];
        }
        for (uint32_t p = 0; p < seen; p++) {
            first += weight[p] / total *
                     (double)(p < TOKENS ? in.v[(head * TOKENS + p) * D] : in.tail_v[(head * TAIL + p - TOKENS) * D]);
        }
        cr_assert_float_eq(out[row * D], first, 1e-12);
        cr_assert_float_eq(whole[row], log(total), 1e-12);
        cr_assert_float_eq(lse[row], whole[row], 1e-12);
        for (uint32_t c = 0; c < D; c++) {
            cr_assert_float_eq(joined[row * D + c], out[row * D + c], 1e-12);
        }
    }
}
