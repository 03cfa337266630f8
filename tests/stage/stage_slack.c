/* stage_slack.c: see the header. */
#include "stage_slack.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

int stage_has_slack(const stage_world *w)
{
    return w->data == STAGE_LARGE_CHANNEL && gear__is_mixed(&w->shape.side[0]) && gear__has_rank(&w->shape, 0);
}

/* L of K, [head][token][head_dim]: what is left of K without what is there without it. */
static float *lowrank_of(const stage_world *w, const stage_seq *seq, const gear__ref_attention *ref)
{
    const size_t values = (size_t)ref->kv_heads * ref->tokens * ref->head_dim;
    uint32_t words[GEAR__SEQ_WORDS];
    gear__shape shape = w->shape;
    gear__ref_store store = stage_ref_store(w);
    float *l = malloc((values + 1) * sizeof *l);
    cr_assert_not_null(l);
    shape.side[0].rank[0] = shape.side[0].rank[1] = 0; /* of readers; where things lie does not depend on it any more */
    store.shape = &shape;
    stage_seq_words(seq, words);
    gear__ref_reconstruct(&store, words, 0, 0, ref->tokens, l);
    for (size_t i = 0; i < values; i++) {
        l[i] = ref->k[i] - l[i];
    }
    return l;
}

/* The most that L adds to a score of the row. */
static double largest_score(const gear__ref_attention *ref, const float *l, uint32_t row)
{
    const uint32_t d = ref->head_dim, head = row / ref->queries / (ref->query_heads / ref->kv_heads);
    const float *q = ref->q + (size_t)row * d;
    double most = 0;
    for (uint32_t t = 0; t < ref->tokens; t++) {
        const float *of_token = l + ((size_t)head * ref->tokens + t) * d;
        double sum = 0;
        for (uint32_t c = 0; c < d; c++) {
            sum += (double)q[c] * (double)of_token[c];
        }
        most = fmax(most, fabs(sum * ref->scale));
    }
    return most;
}

static float *squares(const float *x, size_t count)
{
    float *out = malloc((count + 1) * sizeof *out);
    cr_assert_not_null(out);
    for (size_t i = 0; i < count; i++) {
        out[i] = x[i] * x[i];
    }
    return out;
}

void stage_slack(const stage_world *w, const stage_seq *seq, const gear__ref_attention *ref, const double *out, double *scores,
                 double *outputs)
{
    const uint32_t d = ref->head_dim, rows = ref->query_heads * ref->queries;
    const size_t per_token = (size_t)ref->kv_heads * d;
    gear__ref_attention of_squares = *ref;
    float *l = lowrank_of(w, seq, ref), *v = squares(ref->v, per_token * ref->tokens);
    float *tail_v = squares(ref->tail_v, per_token * ref->tail);
    of_squares.v = v;
    of_squares.tail_v = tail_v;
    gear__ref_attend(&of_squares, outputs, NULL);
    for (uint32_t row = 0; row < rows; row++) {
        /* 2^-11 for B^T q, as much for its other columns and the queries that it is made of; a soft-cap takes away from it */
        scores[row] = ldexp(largest_score(ref, l, row), -10);
        /* With scores off by e, p (v - out) is off by expm1(e) of itself before it is divided by a sum that may be e^-e of what
         * it was; the sum of p |v - out| is at most the standard deviation of v. */
        const double growth = expm1(scores[row]) * exp(scores[row]);
        for (uint32_t c = 0; c < d; c++) {
            const size_t at = (size_t)row * d + c;
            outputs[at] = growth * sqrt(fmax(0, outputs[at] - out[at] * out[at]));
        }
    }
    free(l);
    free(v);
    free(tail_v);
}
