/* verify_attend.c: attention in double precision, see verify.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dense.h"
#include "reference.h"
#include "verify.h"

/* Multiplications that a check may take, and the most pairs it looks at. */
#define BUDGET 6e8
enum { MOST_PAIRS = 16 };

size_t output_values(const bench_shape *shape)
{
    return (size_t)shape->batch * shape->kv_heads * shape->group * shape->queries * shape->head_dim;
}

/* Half a unit in the last place of a half near `value`. */
static double half_ulp(double value)
{
    int exponent = 0;
    frexp(fabs(value), &exponent);
    return ldexp(1, (exponent < -13 ? -13 : exponent) - 12);
}

/* Largest excess of one head's outputs over half a unit in the last place, and the largest |value|. */
typedef struct excess {
    double error, most;
    bool broken; /* not finite */
} excess;

static void compare(const uint16_t *got, const double *want, size_t count, excess *e)
{
    for (size_t c = 0; c < count; ++c) {
        double value = (double)data_from_half(got[c]), off = fabs(value - want[c]) - half_ulp(fmax(fabs(want[c]), fabs(value)));
        e->broken |= !isfinite(value);
        e->error = off > e->error ? off : e->error;
        e->most = fabs(want[c]) > e->most ? fabs(want[c]) : e->most;
    }
}

/* The i-th of n pairs of a shape. */
static void pair_of(const bench_shape *s, uint32_t n, uint32_t i, uint32_t *sequence, uint32_t *head)
{
    *sequence = n > 1 ? (uint32_t)((uint64_t)i * (s->batch - 1) / (n - 1)) : 0;
    *head = (i * 5 + i / s->kv_heads) % s->kv_heads;
}

/* Output values of a pair. */
static size_t pair_values(const bench_shape *s)
{
    return (size_t)s->group * s->queries * s->head_dim;
}

typedef struct workspace {
    float *k, *v;
    double *score, *q;
} workspace;

static bool expect_pair(dense *d, uint32_t sequence, uint32_t head, workspace *work, double *out, host_error *error)
{
    const bench_shape *s = d->w->shape;
    uint32_t dim = s->head_dim, tokens = d->w->lengths[sequence];
    if (!dense_head(d, sequence, false, head, 0, tokens, work->k, error) ||
        !dense_head(d, sequence, true, head, 0, tokens, work->v, error))
        return false;
    for (uint32_t g = 0; g < s->group; ++g)
        for (uint32_t m = 0; m < s->queries; ++m, out += dim) {
            for (uint32_t c = 0; c < dim; ++c)
                work->q[c] = (double)data_value(DATA_Q, head * s->group + g, m, c);
            reference_attend(work->q, work->k, work->v, tokens - s->queries + m + 1, dim, work->score, out);
        }
    return true;
}

static uint32_t sample_size(const bench_shape *s, uint32_t most)
{
    double cost = 2.0 * most * s->head_dim * s->group * s->queries;
    uint32_t pairs = s->batch * s->kv_heads, n = cost * MOST_PAIRS < BUDGET ? MOST_PAIRS : (uint32_t)(BUDGET / cost);
    n = n < 2 ? 2 : n;
    return n < pairs ? n : pairs;
}

bool reference_make(world *w, reference_output *e, host_error *error)
{
    const bench_shape *s = w->shape;
    uint32_t most = 0;
    for (uint32_t i = 0; i < s->batch; ++i)
        most = w->lengths[i] > most ? w->lengths[i] : most;
    *e = (reference_output){.pairs = sample_size(s, most)};
    e->values = malloc(e->pairs * pair_values(s) * sizeof *e->values);
    workspace work = {malloc((size_t)most * s->head_dim * sizeof(float)), malloc((size_t)most * s->head_dim * sizeof(float)),
                      malloc(most * sizeof(double)), malloc(s->head_dim * sizeof(double))};
    dense d = {0};
    bool ok = (work.k && work.v && work.score && work.q && e->values) || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && dense_open(&d, w, error);
    for (uint32_t i = 0; ok && i < e->pairs; ++i) {
        uint32_t sequence, head;
        pair_of(s, e->pairs, i, &sequence, &head);
        ok = expect_pair(&d, sequence, head, &work, e->values + i * pair_values(s), error);
    }
    dense_close(&d);
    free(work.k);
    free(work.v);
    free(work.score);
    free(work.q);
    if (!ok)
        reference_free(e);
    return ok;
}

void reference_free(reference_output *e)
{
    free(e->values);
    *e = (reference_output){0};
}

static double tolerance(const world *w)
{
    bool exact = !strcmp(w->plan.variant, "portable") || !strcmp(w->plan.variant, "cpu");
    return exact ? 1e-5 : 5e-4;
}

/* Every sequence against the first: same tokens, other pages. */
static bool check_others(const world *w, const uint16_t *out, double bound, host_error *error)
{
    size_t part = output_values(w->shape) / w->shape->batch;
    for (uint32_t i = 1; i < w->shape->batch; ++i)
        for (size_t j = 0; j < part; ++j) {
            double a = (double)data_from_half(out[j]), b = (double)data_from_half(out[i * part + j]);
            if (!(fabs(a - b) <= 2 * bound + 2 * half_ulp(fmax(fabs(a), fabs(b)))))
                return fail(error, EXIT_DEVICE,
                            "wrong result: value %zu of sequence %u is %g; of sequence 0, with the same tokens, %g", j, i, b,
                            a);
        }
    return true;
}

bool verify_attend(const world *w, const reference_output *want, const uint16_t *out, verdict *v, host_error *error)
{
    const bench_shape *s = w->shape;
    excess e = {0};
    for (uint32_t i = 0; i < want->pairs; ++i) {
        uint32_t sequence, head;
        pair_of(s, want->pairs, i, &sequence, &head);
        size_t pair = ((size_t)sequence * s->kv_heads + head) * pair_values(s);
        compare(out + pair, want->values + i * pair_values(s), pair_values(s), &e);
    }
    *v = (verdict){.sampled = want->pairs,
                   .of = s->batch * s->kv_heads,
                   .worst = e.error,
                   .bound = tolerance(w) * e.most,
                   .all_equal = !s->ragged};
    if (e.broken || !(e.error <= v->bound))
        return fail(error, EXIT_DEVICE,
                    "wrong result: attend is off by %g beyond rounding; %g is allowed (%u of %u heads compared)", e.error,
                    v->bound, v->sampled, v->of);
    return s->ragged || check_others(w, out, v->bound, error);
}

bool verify_repeat(const world *w, const uint16_t *first, const uint16_t *again, const verdict *v, host_error *error)
{
    for (size_t i = 0; i < output_values(w->shape); ++i) {
        double a = (double)data_from_half(first[i]), b = (double)data_from_half(again[i]);
        if (!(fabs(a - b) <= 2 * v->bound + 2 * half_ulp(fmax(fabs(a), fabs(b)))))
            return fail(error, EXIT_DEVICE, "wrong result: value %zu was %g in the first call and %g in a later one", i, a, b);
    }
    return true;
}
