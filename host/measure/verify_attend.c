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

static void compare(const uint16_t *got, const double *want, uint32_t count, excess *e)
{
    for (uint32_t c = 0; c < count; ++c) {
        double value = (double)data_from_half(got[c]), off = fabs(value - want[c]) - half_ulp(fmax(fabs(want[c]), fabs(value)));
        e->broken |= !isfinite(value);
        e->error = off > e->error ? off : e->error;
        e->most = fabs(want[c]) > e->most ? fabs(want[c]) : e->most;
    }
}

typedef struct workspace {
    float *k, *v;
    double *score, *out, *q;
} workspace;

static bool check_pair(dense *d, uint32_t sequence, uint32_t head, const uint16_t *out, workspace *work, excess *e,
                       host_error *error)
{
    const bench_shape *s = d->w->shape;
    uint32_t dim = s->head_dim, tokens = d->w->lengths[sequence];
    if (!dense_head(d, sequence, false, head, 0, tokens, work->k, error) ||
        !dense_head(d, sequence, true, head, 0, tokens, work->v, error))
        return false;
    for (uint32_t g = 0; g < s->group; ++g)
        for (uint32_t m = 0; m < s->queries; ++m) {
            uint32_t query_head = head * s->group + g;
            for (uint32_t c = 0; c < dim; ++c)
                work->q[c] = (double)data_value(DATA_Q, query_head, m, c);
            reference_attend(work->q, work->k, work->v, tokens - s->queries + m + 1, dim, work->score, work->out);
            size_t row = (((size_t)sequence * s->kv_heads * s->group + query_head) * s->queries + m) * dim;
            compare(out + row, work->out, dim, e);
        }
    return true;
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

bool verify_attend(world *w, const uint16_t *out, verdict *v, host_error *error)
{
    const bench_shape *s = w->shape;
    uint32_t pairs = s->batch * s->kv_heads, most = 0, n;
    for (uint32_t i = 0; i < s->batch; ++i)
        most = w->lengths[i] > most ? w->lengths[i] : most;
    double cost = 2.0 * most * s->head_dim * s->group * s->queries;
    n = cost * MOST_PAIRS < BUDGET ? MOST_PAIRS : (uint32_t)(BUDGET / cost);
    n = n < 2 ? 2 : n;
    n = n < pairs ? n : pairs;
    workspace work = {malloc((size_t)most * s->head_dim * sizeof(float)), malloc((size_t)most * s->head_dim * sizeof(float)),
                      malloc(most * sizeof(double)), malloc(s->head_dim * sizeof(double)),
                      malloc(s->head_dim * sizeof(double))};
    dense d = {0};
    excess e = {0};
    bool ok = (work.k && work.v && work.score && work.out && work.q) || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && dense_open(&d, w, error);
    for (uint32_t i = 0; ok && i < n; ++i) {
        uint32_t sequence = n > 1 ? (uint32_t)((uint64_t)i * (s->batch - 1) / (n - 1)) : 0;
        ok = check_pair(&d, sequence, (i * 5 + i / s->kv_heads) % s->kv_heads, out, &work, &e, error);
    }
    dense_close(&d);
    free(work.k);
    free(work.v);
    free(work.score);
    free(work.out);
    free(work.q);
    *v = (verdict){.sampled = n, .of = pairs, .worst = e.error, .bound = tolerance(w) * e.most, .all_equal = !s->ragged};
    if (ok && (e.broken || !(e.error <= v->bound)))
        ok = fail(error, EXIT_DEVICE,
                  "wrong result: attend is off by %g beyond rounding; %g is allowed (%u of %u heads compared)", e.error,
                  v->bound, n, pairs);
    return ok && (s->ragged || check_others(w, out, v->bound, error));
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
