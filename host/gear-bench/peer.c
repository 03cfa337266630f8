/* peer.c: see peer.h. */
#include "peer.h"

#include <math.h>
#include <stdlib.h>

#include "../common/timer.h"
#include "../measure/data.h"
#include "../measure/reference.h"
#include "openmp_attend.h"

#define MOST_BYTES (4ull << 30)

typedef struct tensors {
    uint32_t *lengths;
    uint16_t *k, *v;
    float *q, *out, *partial;
} tensors;

static void release(tensors *t)
{
    free(t->lengths);
    free(t->k);
    free(t->v);
    free(t->q);
    free(t->out);
    free(t->partial);
}

/* Values of one (sequence, KV head); every sequence holds the same tokens. */
static void fill_head(uint16_t *out, data_kind kind, uint32_t head, uint32_t tokens, uint32_t dim)
{
    for (uint32_t t = 0; t < tokens; ++t)
        for (uint32_t c = 0; c < dim; ++c)
            out[(size_t)t * dim + c] = data_to_half(data_value(kind, head, t, c));
}

static bool allocate(const bench_shape *s, tensors *t, openmp_call *call)
{
    size_t rows = (size_t)s->batch * s->kv_heads * s->group * s->queries, heads = (size_t)s->batch * s->kv_heads;
    t->lengths = calloc(s->batch, sizeof *t->lengths);
    uint32_t longest = 0;
    for (uint32_t i = 0; t->lengths && i < s->batch; ++i) {
        t->lengths[i] = shape_length(s, i) + s->window_fill;
        longest = t->lengths[i] > longest ? t->lengths[i] : longest;
    }
    *call = (openmp_call){s->batch,   s->kv_heads, s->group, s->queries, s->head_dim, longest,
                          t->lengths, NULL,        NULL,     NULL,       NULL,        NULL};
    if (heads * longest * s->head_dim * 4 > MOST_BYTES)
        return true; /* call->k stays NULL */
    t->k = malloc(heads * longest * s->head_dim * sizeof *t->k);
    t->v = malloc(heads * longest * s->head_dim * sizeof *t->v);
    t->q = malloc(rows * s->head_dim * sizeof *t->q);
    t->out = malloc(rows * s->head_dim * sizeof *t->out);
    t->partial = malloc((size_t)openmp_partial_floats(call) * sizeof *t->partial);
    call->k = t->k;
    call->v = t->v;
    call->q = t->q;
    call->out = t->out;
    call->partial = t->partial;
    return t->lengths && t->k && t->v && t->q && t->out && t->partial;
}

static void fill(const bench_shape *s, tensors *t, uint32_t stride)
{
    for (uint32_t i = 0; i < s->batch; ++i)
        for (uint32_t h = 0; h < s->kv_heads; ++h) {
            size_t at = ((size_t)i * s->kv_heads + h) * stride * s->head_dim;
            fill_head(t->k + at, DATA_K, h, t->lengths[i], s->head_dim);
            fill_head(t->v + at, DATA_V, h, t->lengths[i], s->head_dim);
        }
    uint32_t heads = s->kv_heads * s->group;
    for (size_t row = 0; row < (size_t)s->batch * heads * s->queries; ++row)
        for (uint32_t c = 0; c < s->head_dim; ++c)
            t->q[row * s->head_dim + c] =
                data_value(DATA_Q, (uint32_t)(row / s->queries % heads), (uint32_t)(row % s->queries), c);
}

/* The last query of each query head of the last KV head of the last sequence. */
static bool check(const openmp_call *c, host_error *error)
{
    uint32_t tokens = c->lengths[c->batch - 1];
    size_t pair = (size_t)c->batch * c->kv_heads - 1, values = (size_t)tokens * c->dim, at = pair * c->stride * c->dim;
    float *k = malloc(values * sizeof *k), *v = malloc(values * sizeof *v);
    double *score = malloc(tokens * sizeof *score), q[OPENMP_MOST_DIM], want[OPENMP_MOST_DIM], worst = 0, most = 0;
    bool ok = (k && v && score) || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (size_t i = 0; ok && i < values; ++i) {
        k[i] = data_from_half(c->k[at + i]);
        v[i] = data_from_half(c->v[at + i]);
    }
    for (uint32_t g = 0; ok && g < c->group; ++g) {
        size_t row = ((pair * c->group + g) * c->queries + c->queries - 1) * c->dim;
        for (uint32_t i = 0; i < c->dim; ++i)
            q[i] = (double)c->q[row + i];
        reference_attend(q, k, v, tokens, c->dim, score, want);
        for (uint32_t i = 0; i < c->dim; ++i) {
            double off = fabs((double)c->out[row + i] - want[i]);
            worst = off > worst || isnan(off) ? off : worst;
            most = fabs(want[i]) > most ? fabs(want[i]) : most;
        }
    }
    free(k);
    free(v);
    free(score);
    return ok && (worst <= 1e-4 * most || fail(error, EXIT_DEVICE, "the C + OpenMP peer is off by %g", worst));
}

/* The best and the median of `rounds` calls; 0: of as many as fit `seconds`, at least 5. */
static spread time_calls(const openmp_call *call, double seconds, unsigned rounds)
{
    enum { MOST_ROUNDS = 1000 };
    double times[MOST_ROUNDS], begin = timer_ms();
    unsigned n = 0;
    while (n < MOST_ROUNDS && (rounds ? n < rounds : n < 5 || timer_ms() - begin < 1e3 * seconds)) {
        double start = timer_ms();
        openmp_attend(call);
        times[n++] = timer_ms() - start;
    }
    return spread_of(times, n);
}

bool peer_time(const bench_shape *s, double seconds, unsigned rounds, spread *ms, host_error *error)
{
    enum { TRIES = 4 };
    tensors t = {0};
    openmp_call call;
    *ms = (spread){(double)NAN, (double)NAN};
    if (!openmp_threads() || s->group * s->queries > OPENMP_MOST_ROWS || s->head_dim > OPENMP_MOST_DIM)
        return true;
    bool ok = allocate(s, &t, &call) || fail(error, EXIT_DEVICE, "host memory exhausted");
    if (ok && call.k) {
        fill(s, &t, call.stride);
        openmp_attend(&call);
        ok = check(&call, error);
        bool steady = false;
        for (int i = 0; ok && !steady && i < TRIES; ++i) {
            *ms = time_calls(&call, seconds, rounds);
            steady = spread_is_steady(ms);
        }
        if (ok && !steady)
            ok = fail(error, EXIT_DEVICE, "the C + OpenMP peer's times are unsteady, best %.3f ms and median %.3f ms: left out",
                      ms->best, ms->median);
    }
    release(&t);
    return ok;
}
