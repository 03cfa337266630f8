/* attend_1_partial.c: scores, softmax sums and weighted values over a range of positions, in double precision. */
#include "ref/attend.h"

#include <math.h>
#include <string.h>

static double score(const gear__ref_attention *in, const float *q, const float *k)
{
    double sum = 0;
    for (uint32_t c = 0; c < in->head_dim; c++) {
        sum += (double)q[c] * (double)k[c];
    }
    sum *= in->scale > 0 ? in->scale : 1 / sqrt((double)in->head_dim);
    return in->soft_cap > 0 ? in->soft_cap * tanh(sum / in->soft_cap) : sum;
}

/* A token's row of K or V: cached or tail. */
static const float *token_row(const gear__ref_attention *in, const float *cached, const float *tail, uint32_t head, uint32_t p)
{
    return p < in->tokens ? cached + ((size_t)head * in->tokens + p) * in->head_dim
                          : tail + ((size_t)head * in->tail + (p - in->tokens)) * in->head_dim;
}

void gear__ref_attend_row(const gear__ref_attention *in, uint32_t row, uint32_t first, uint32_t last, double *max, double *sum,
                          double *out)
{
    uint32_t head = row / in->queries / (in->query_heads / in->kv_heads);
    int64_t position = (int64_t)in->tokens + in->tail - in->queries + row % in->queries;
    const float *q = in->q + (size_t)row * in->head_dim;
    *max = -INFINITY;
    *sum = 0;
    memset(out, 0, in->head_dim * sizeof *out);
    for (uint32_t p = first; p < last && (int64_t)p <= position; p++) {
        const float *v = token_row(in, in->v, in->tail_v, head, p);
        double s = score(in, q, token_row(in, in->k, in->tail_k, head, p));
        double rescale = s > *max ? exp(*max - s) : 1; /* exp(-infinity) is 0 at the first token */
        *max = s > *max ? s : *max;
        double weight = exp(s - *max);
        *sum = *sum * rescale + weight;
        for (uint32_t c = 0; c < in->head_dim; c++) {
            out[c] = out[c] * rescale + weight * (double)v[c];
        }
    }
}

void gear__ref_attend_1_partial(const gear__ref_attention *attention, uint32_t first, uint32_t last, double *max, double *sum,
                                double *out)
{
    for (uint32_t row = 0; row < attention->query_heads * attention->queries; row++) {
        gear__ref_attend_row(attention, row, first, last, max + row, sum + row, out + (size_t)row * attention->head_dim);
    }
}
