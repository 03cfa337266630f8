/* exact.c: see exact.h. */
#include "exact.h"

#include <math.h>
#include <stdlib.h>

/* One query over the first `seen` tokens of one KV head; score[seen] is work space. */
static void attend_one(const float *q, const float *k, const float *v, uint64_t seen, uint32_t dim, double scale, double *score,
                       double *out)
{
    double most = -INFINITY, sum = 0;
    for (uint64_t t = 0; t < seen; ++t) {
        double dot = 0;
        for (uint32_t c = 0; c < dim; ++c)
            dot += (double)q[c] * (double)k[t * dim + c];
        score[t] = dot * scale;
        most = score[t] > most ? score[t] : most;
    }
    for (uint32_t c = 0; c < dim; ++c)
        out[c] = 0;
    for (uint64_t t = 0; t < seen; ++t) {
        double weight = exp(score[t] - most);
        sum += weight;
        for (uint32_t c = 0; c < dim; ++c)
            out[c] += weight * (double)v[t * dim + c];
    }
    for (uint32_t c = 0; c < dim; ++c)
        out[c] /= sum;
}

bool exact_attention(input *in)
{
    double *score = malloc((size_t)in->tokens * sizeof *score);
    if (!score)
        return false;
    uint32_t share = in->query_heads / in->kv_heads;
    for (uint32_t h = 0; h < in->query_heads; ++h)
        for (uint32_t i = 0; i < in->queries; ++i) {
            size_t row = ((size_t)h * in->queries + i) * in->head_dim;
            size_t head = (size_t)(h / share) * (size_t)in->tokens * in->head_dim;
            uint64_t seen = in->tokens - in->queries + i + 1;
            attend_one(in->q_value + row, in->k_value + head, in->v_value + head, seen, in->head_dim, (double)in->scale, score,
                       in->exact + row);
        }
    free(score);
    return true;
}

double relative(double difference, double norm)
{
    return norm > 0 ? sqrt(difference / norm) : difference > 0 ? (double)NAN : 0.0;
}
