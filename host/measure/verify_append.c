/* verify_append.c: what append stored against what went in, see verify.h. The yardstick of a value is step^2 / 12, the mean
 * square error of rounding to the plain grid of its group, with groups found here from the input alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dense.h"
#include "verify.h"

#define SLACK 1.08 /* of the root mean square of a block */

/* One side of one segment: values in, values out, expected mean squares; all [head][tokens][head_dim]. */
typedef struct segment {
    const bench_shape *shape;
    const gear_codec *codec;
    bool is_v;
    uint32_t first, tokens;
    float *in, *got, *expect;
    const uint8_t *bits; /* of K of the mixed backbone: [head][channel] */
} segment;

static size_t at(const segment *s, uint32_t head, uint32_t token, uint32_t channel)
{
    return ((size_t)head * s->tokens + token) * s->shape->head_dim + channel;
}

/* A box of values that share a scale. */
typedef struct box {
    uint32_t head, heads, token, tokens, channel, channels, bits;
} box;

static void expect_box(const segment *s, box b)
{
    float lo = INFINITY, hi = -INFINITY;
    for (uint32_t h = b.head; h < b.head + b.heads; ++h)
        for (uint32_t t = b.token; t < b.token + b.tokens; ++t)
            for (uint32_t c = b.channel; c < b.channel + b.channels; ++c) {
                float x = s->in[at(s, h, t, c)];
                lo = x < lo ? x : lo;
                hi = x > hi ? x : hi;
            }
    float step = (hi - lo) / (float)((1u << b.bits) - 1), square = step * step / 12;
    for (uint32_t h = b.head; h < b.head + b.heads; ++h)
        for (uint32_t t = b.token; t < b.token + b.tokens; ++t)
            for (uint32_t c = b.channel; c < b.channel + b.channels; ++c)
                s->expect[at(s, h, t, c)] = square;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void expect_channels(const segment *s, uint32_t group)
{
    uint32_t dim = s->shape->head_dim;
    for (uint32_t h = 0; h < s->shape->kv_heads; ++h)
        for (uint32_t c = 0; c < dim; ++c)
            for (uint32_t t = 0; t < s->tokens; t += group)
                expect_box(s,
                           (box){h, 1, t, least(group, s->tokens - t), c, 1, s->bits ? s->bits[h * dim + c] : s->codec->bits});
}

static void expect_tokens(const segment *s, uint32_t group)
{
    uint32_t dim = s->shape->head_dim;
    for (uint32_t h = 0; h < s->shape->kv_heads; ++h)
        for (uint32_t t = 0; t < s->tokens; ++t)
            for (uint32_t c = 0; c < dim; c += group)
                expect_box(s, (box){h, 1, t, 1, c, least(group, dim - c), s->codec->bits});
}

static void expect_all_heads(const segment *s)
{
    for (uint32_t t = 0; t < s->tokens; ++t)
        expect_box(s, (box){0, s->shape->kv_heads, t, 1, 0, s->shape->head_dim, s->codec->bits});
}

/* Hadamard matrix along head_dim, in parts of a power of two; it leaves the size of errors as it is. */
static void rotate(float *x, uint32_t dim)
{
    for (uint32_t begin = 0, part; begin < dim; begin += part) {
        for (part = 256; part > dim - begin; part /= 2) {
        }
        for (uint32_t step = 1; step < part; step *= 2)
            for (uint32_t i = 0; i < part; ++i)
                if (!(i & step)) {
                    float a = x[begin + i], b = x[begin + i + step];
                    x[begin + i] = a + b;
                    x[begin + i + step] = a - b;
                }
        for (uint32_t i = 0; i < part; ++i)
            x[begin + i] /= sqrtf((float)part);
    }
}

static void rotate_all(const segment *s, float *x)
{
    for (size_t row = 0; row < (size_t)s->shape->kv_heads * s->tokens; ++row)
        rotate(x + row * s->shape->head_dim, s->shape->head_dim);
}

static void expect(const segment *s)
{
    const gear_codec *codec = s->codec;
    uint32_t group = codec->group ? codec->group : 64;
    if (codec->backbone == GEAR_BACKBONE_MIXED) {
        if (s->is_v && codec->rotate) {
            rotate_all(s, s->in);
            rotate_all(s, s->got);
        }
        if (s->is_v)
            expect_tokens(s, 64);
        else
            expect_channels(s, 64);
    } else if (codec->backbone == GEAR_BACKBONE_TOKEN || (codec->backbone == GEAR_BACKBONE_KIVI && s->is_v)) {
        expect_tokens(s, group);
    } else if (codec->backbone == GEAR_BACKBONE_KIVI) {
        expect_channels(s, group);
    } else if (s->is_v) {
        expect_all_heads(s);
    } else {
        expect_channels(s, s->tokens);
    }
}

/* Bits of each channel by the variance over the segment that opens a sequence. */
static void order_channels(const segment *s, uint8_t *bits)
{
    uint32_t dim = s->shape->head_dim;
    for (uint32_t h = 0; h < s->shape->kv_heads; ++h) {
        double variance[256];
        for (uint32_t c = 0; c < dim; ++c) {
            double sum = 0, squares = 0;
            for (uint32_t t = 0; t < s->tokens; ++t) {
                double x = (double)s->in[at(s, h, t, c)];
                sum += x;
                squares += x * x;
            }
            variance[c] = squares - sum * sum / s->tokens;
        }
        for (uint32_t c = 0; c < dim; ++c) {
            uint32_t place = 0, i = 0;
            for (uint32_t other = 0; other < dim; ++other)
                place += variance[other] > variance[c] || (!(variance[other] < variance[c]) && other < c);
            while (i + 1 < GEAR_MAX_SEGMENTS && place >= s->codec->segments[i].channels)
                place -= s->codec->segments[i++].channels;
            bits[h * dim + c] = (uint8_t)s->codec->segments[i].bits;
        }
    }
}

/* Largest root mean square of a (KV head, block) relative to what is expected; infinity where something is not finite. */
static double worst_block(const segment *s)
{
    double worst = 0;
    for (uint32_t h = 0; h < s->shape->kv_heads; ++h)
        for (uint32_t t = 0; t < s->tokens; t += GEAR_BLOCK_TOKENS) {
            double sum = 0, expected = 0;
            for (size_t i = at(s, h, t, 0), end = at(s, h, least(t + GEAR_BLOCK_TOKENS, s->tokens), 0); i < end; ++i) {
                double d = (double)s->got[i] - (double)s->in[i];
                sum += d * d;
                expected += (double)s->expect[i];
            }
            double ratio = isfinite(sum) ? sqrt(sum / (expected > 0 ? expected : 1e-30)) : INFINITY;
            worst = ratio > worst ? ratio : worst;
        }
    return worst;
}

static void fill_input(const world *w, const segment *s)
{
    for (uint32_t h = 0; h < s->shape->kv_heads; ++h)
        for (uint32_t t = 0; t < s->tokens; ++t)
            for (uint32_t c = 0; c < s->shape->head_dim; ++c)
                s->in[at(s, h, t, c)] = world_value(w, s->is_v, h, s->first + t, c);
}

/* The values of the window, and those of 16-bit codecs, come back as they went in. */
static bool check_equal(const segment *s, host_error *error)
{
    for (size_t i = 0; i < at(s, s->shape->kv_heads, 0, 0); ++i)
        if (s->got[i] < s->in[i] || s->got[i] > s->in[i] || !isfinite(s->got[i]))
            return fail(error, EXIT_DEVICE, "wrong result: %s value %zu behind token %u was %g and came back as %g",
                        s->is_v ? "V" : "K", i, s->first, (double)s->in[i], (double)s->got[i]);
    return true;
}

/* One segment of one sequence, both sides. */
static bool check_segment(dense *d, uint32_t sequence, segment *s, bool window, uint8_t *bits, double *worst, host_error *error)
{
    const gear_codec_pair *codecs = &s->shape->recipe.codecs;
    for (int side = 0; side < 2; ++side) {
        s->is_v = side == 1;
        s->codec = side ? &codecs->v : &codecs->k;
        fill_input(d->w, s);
        if (!dense_all(d, sequence, s->is_v, s->first, s->tokens, s->got, error))
            return false;
        if (window || (s->codec->bits == 16 && s->codec->backbone != GEAR_BACKBONE_MIXED)) {
            if (!check_equal(s, error))
                return false;
            continue;
        }
        bool ordered = !side && s->codec->backbone == GEAR_BACKBONE_MIXED;
        if (ordered && s->first == 0)
            order_channels(s, bits);
        s->bits = ordered ? bits : NULL;
        expect(s);
        double ratio = worst_block(s);
        *worst = ratio > *worst ? ratio : *worst;
        if (!(ratio <= SLACK))
            return fail(error, EXIT_DEVICE,
                        "wrong result: %s tokens %u to %u of sequence %u are stored with %.2f times the error of their grid; "
                        "%.2f is allowed",
                        side ? "V" : "K", s->first, s->first + s->tokens - 1, sequence, ratio, SLACK);
    }
    return true;
}

static bool check_sequence(dense *d, uint32_t sequence, segment *s, uint8_t *bits, double *worst, host_error *error)
{
    gear_error detail = {0};
    uint64_t tokens = 0, compressed = 0;
    if (!gear_ok(gear_sequence_length(d->w->cache, d->w->sequences[sequence], 0, &tokens, &compressed, &detail), &detail,
                 error))
        return false;
    const bench_shape *shape = d->w->shape;
    uint32_t end = (uint32_t)compressed, last = end ? (end - 1) / DENSE_PIECE * DENSE_PIECE : 0;
    last = shape->decode_block ? shape->tokens : last; /* a segment of its own */
    if (tokens != d->w->lengths[sequence])
        return fail(error, EXIT_DEVICE, "wrong result: sequence %u has %llu tokens of %u", sequence, (unsigned long long)tokens,
                    d->w->lengths[sequence]);
    const uint32_t firsts[] = {0, last};
    for (int i = 0; i < (last ? 2 : end ? 1 : 0); ++i) {
        s->first = firsts[i];
        s->tokens = least((s->first < last ? last : end) - s->first, DENSE_PIECE);
        if (!check_segment(d, sequence, s, false, bits, worst, error))
            return false;
    }
    s->first = end;
    s->tokens = (uint32_t)tokens - end;
    return !s->tokens || check_segment(d, sequence, s, true, bits, worst, error);
}

bool verify_append(world *w, verdict *v, host_error *error)
{
    const bench_shape *shape = w->shape;
    size_t values = (size_t)shape->kv_heads * DENSE_PIECE * shape->head_dim;
    segment s = {.shape = shape, .in = malloc(values * sizeof(float)), .got = malloc(values * sizeof(float))};
    uint8_t *bits = calloc(shape->kv_heads, shape->head_dim);
    dense d = {0};
    double worst = 0;
    s.expect = malloc(values * sizeof(float));
    bool ok = (s.in && s.got && s.expect && bits) || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && dense_open(&d, w, error) && check_sequence(&d, 0, &s, bits, &worst, error) &&
         (shape->batch == 1 || check_sequence(&d, shape->batch - 1, &s, bits, &worst, error));
    dense_close(&d);
    free(s.in);
    free(s.got);
    free(s.expect);
    free(bits);
    *v = (verdict){.sampled = (shape->batch > 1 ? 2 : 1) * shape->kv_heads,
                   .of = shape->batch * shape->kv_heads,
                   .worst = worst,
                   .bound = SLACK};
    return ok;
}
