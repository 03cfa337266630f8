/* test_quality.c: what the parts of GEAR are for: more rank never raises the error, outliers and low rank lower it on real keys
 * and values, and the low rank is near the best that its rank can do. Errors are those of what gear_reconstruct returns. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "e2e_drive.h"
#include "e2e_real.h"

#define REAL_TOKENS 1024u

typedef struct errors {
    double k, v;
} errors;

/* Relative errors of a source under a codec, all tokens in one prompt segment. dense (may be NULL) receives the
 * reconstruction. */
static errors errors_of(e2e_rig *rig, const gear_codec_pair *codec, const e2e_source *source, uint32_t heads, uint32_t tokens,
                        e2e_dense *keep)
{
    gear_cache_desc desc = e2e_desc(codec, heads, heads, 64, tokens);
    desc.max_segment_tokens = 4096;
    gear_cache *cache = e2e_cache(rig, &desc);
    gear_sequence sequence = e2e_add(rig, cache);
    e2e_dense dense;
    double off[2] = {0, 0}, norm[2] = {0, 0};
    e2e_append(rig, cache, &desc, sequence, source, 0, tokens);
    e2e_dense_open(rig, &dense, cache, 0, sequence, heads, 64, 0);
    gear_cache_destroy(cache);
    for (uint32_t i = 0; i < heads * tokens * 64; i++) {
        uint32_t h = i / 64 / tokens, t = i / 64 % tokens, c = i % 64;
        double k = (double)source->key(source->user, 0, h, t, c), v = (double)source->value(source->user, 0, h, t, c);
        off[0] += ((double)dense.k[i] - k) * ((double)dense.k[i] - k);
        off[1] += ((double)dense.v[i] - v) * ((double)dense.v[i] - v);
        norm[0] += k * k;
        norm[1] += v * v;
    }
    if (keep) {
        *keep = dense;
    } else {
        e2e_dense_close(&dense);
    }
    return (errors){sqrt(off[0] / norm[0]), sqrt(off[1] / norm[1])};
}

/* Sum of all but the `rank` largest eigenvalues of the symmetric m[n][n], by Jacobi's rotations. Destroys m. */
static double tail_of_spectrum(double *m, uint32_t n, uint32_t rank)
{
    for (int sweep = 0; sweep < 12; sweep++) {
        for (uint32_t p = 0; p < n; p++) {
            for (uint32_t q = p + 1; q < n; q++) {
                double apq = m[p * n + q];
                if (fabs(apq) < 1e-300) {
                    continue;
                }
                double theta = (m[q * n + q] - m[p * n + p]) / (2 * apq);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1), s = t * c;
                for (uint32_t i = 0; i < n; i++) {
                    double x = m[i * n + p], y = m[i * n + q];
                    m[i * n + p] = c * x - s * y;
                    m[i * n + q] = s * x + c * y;
                }
                for (uint32_t i = 0; i < n; i++) {
                    double x = m[p * n + i], y = m[q * n + i];
                    m[p * n + i] = c * x - s * y;
                    m[q * n + i] = s * x + c * y;
                }
            }
        }
    }
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t larger = 0;
        for (uint32_t j = 0; j < n; j++) {
            larger += m[j * n + j] > m[i * n + i] || (j < i && m[j * n + j] >= m[i * n + i]);
        }
        sum += larger >= rank ? m[i * n + i] : 0;
    }
    return sum;
}

Test(quality, more_rank_never_raises_the_error)
{
    e2e_rig rig;
    e2e_open(&rig);
    /* Segments that are fitted as they are, and those that are fitted through their Gram matrix. */
    static const uint32_t tokens[] = {256, 700};
    for (uint32_t i = 0; i < 2 * 4; i++) {
        e2e_real real = {NULL, NULL};
        const uint32_t data = i % 4, seed = data;
        e2e_source source = e2e_synthetic(&seed, 0);
        if (data >= 2) {
            e2e_real_open(&real, data);
            source = (e2e_source){e2e_real_key, e2e_real_value, NULL, &real, 0};
        }
        errors before = {HUGE_VAL, HUGE_VAL};
        for (uint32_t rank = 0; rank <= 8; rank++) {
            gear_codec_pair codec = e2e_codec(data % 2 ? GEAR_BACKBONE_KIVI : GEAR_BACKBONE_TOKEN, 2, rank, 0);
            errors e = errors_of(&rig, &codec, &source, 3, tokens[i / 4], NULL);
            /* Factors are rounded to half: 2^-11 of what they explain. */
            cr_assert(e.k <= before.k * 1.0005 && e.v <= before.v * 1.0005,
                      "data %u, %u tokens, rank %u: K %g after %g, V %g after %g", data, tokens[i / 4], rank, e.k, before.k,
                      e.v, before.v);
            before = e;
        }
        e2e_real_close(&real);
    }
    e2e_close(&rig);
}

Test(quality, gear_beats_gear_l_beats_the_backbone)
{
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t layer = 0; layer < E2E_REAL_LAYERS; layer++) {
        e2e_real real;
        e2e_real_open(&real, layer);
        const e2e_source source = {e2e_real_key, e2e_real_value, NULL, &real, 0};
        for (uint32_t backbone = 0; backbone < 4; backbone++) {
            errors e[3];
            for (uint32_t parts = 0; parts < 3; parts++) {
                gear_codec_pair codec = e2e_codec((gear_backbone)backbone, 2, parts ? 4 : 0, parts == 2 ? 0.02f : 0.0f);
                e[parts] = errors_of(&rig, &codec, &source, E2E_REAL_HEADS, REAL_TOKENS, NULL);
            }
            cr_assert(e[2].k <= e[1].k && e[1].k <= e[0].k, "layer %u backbone %u: K %g, +L %g, +L+S %g", layer, backbone,
                      e[0].k, e[1].k, e[2].k);
            cr_assert(e[2].v <= e[1].v && e[1].v <= e[0].v, "layer %u backbone %u: V %g, +L %g, +L+S %g", layer, backbone,
                      e[0].v, e[1].v, e[2].v);
        }
        e2e_real_close(&real);
    }
    e2e_close(&rig);
}

static int ascending(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* The residual X - D of a cache without L, and what L leaves of it in a cache with one. */
static double lowrank_ratio(const float *x, const float *d, const float *with_l, uint32_t tokens, uint32_t rank)
{
    static double gram[64 * 64];
    double left = 0;
    memset(gram, 0, sizeof gram);
    for (uint32_t t = 0; t < tokens; t++) {
        double r[64];
        for (uint32_t c = 0; c < 64; c++) {
            double rest = (double)x[t * 64 + c] - (double)with_l[t * 64 + c];
            r[c] = (double)x[t * 64 + c] - (double)d[t * 64 + c];
            left += rest * rest;
        }
        for (uint32_t i = 0; i < 64; i++) {
            for (uint32_t j = 0; j < 64; j++) {
                gram[i * 64 + j] += r[i] * r[j];
            }
        }
    }
    return sqrt(left / tail_of_spectrum(gram, 64, rank));
}

/* Residuals of real keys and values: 17 to 30 % and 10 % of their energy is in rank 4, so their spectra hardly decay. */
Test(quality, lowrank_is_near_the_optimum)
{
    const uint32_t tokens = 512, head_values = tokens * 64, layers = 3;
    static double ratios[3 * 2 * E2E_REAL_HEADS];
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t rank = 1; rank <= 8; rank *= 2) {
        uint32_t count = 0;
        for (uint32_t layer = 0; layer < layers; layer++) {
            e2e_real real;
            e2e_dense plain, full;
            float *x = malloc(head_values * sizeof *x);
            cr_assert_not_null(x);
            e2e_real_open(&real, 2 * layer);
            const e2e_source source = {e2e_real_key, e2e_real_value, NULL, &real, 0};
            gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 0, 0);
            (void)errors_of(&rig, &codec, &source, E2E_REAL_HEADS, tokens, &plain);
            codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, rank, 0);
            (void)errors_of(&rig, &codec, &source, E2E_REAL_HEADS, tokens, &full);
            for (uint32_t i = 0; i < 2 * E2E_REAL_HEADS; i++) {
                uint32_t is_v = i % 2, head = i / 2;
                size_t at = (size_t)head * head_values;
                for (uint32_t j = 0; j < head_values; j++) {
                    x[j] = (is_v ? e2e_real_value : e2e_real_key)(&real, 0, head, j / 64, j % 64);
                }
                ratios[count++] =
                    lowrank_ratio(x, (is_v ? plain.v : plain.k) + at, (is_v ? full.v : full.k) + at, tokens, rank);
            }
            free(x);
            e2e_dense_close(&plain);
            e2e_dense_close(&full);
            e2e_real_close(&real);
        }
        qsort(ratios, count, sizeof *ratios, ascending);
        cr_assert_leq(ratios[count - 1], 1.02, "rank %u: worst %g, median %g", rank, ratios[count - 1], ratios[count / 2]);
    }
    e2e_close(&rig);
}
