/* reference.c: see reference.h. */
#include "reference.h"

#include <math.h>
#include <string.h>

void reference_attend(const double *q, const float *k, const float *v, uint32_t seen, uint32_t dim, double *score, double *out)
{
    double most = -INFINITY, sum = 0, scale = 1 / sqrt((double)dim);
    for (uint32_t t = 0; t < seen; ++t) {
        double dot = 0;
        for (uint32_t c = 0; c < dim; ++c)
            dot += q[c] * (double)k[(size_t)t * dim + c];
        score[t] = dot * scale;
        most = score[t] > most ? score[t] : most;
    }
    memset(out, 0, dim * sizeof *out);
    for (uint32_t t = 0; t < seen; ++t) {
        double weight = exp(score[t] - most);
        sum += weight;
        for (uint32_t c = 0; c < dim; ++c)
            out[c] += weight * (double)v[(size_t)t * dim + c];
    }
    for (uint32_t c = 0; c < dim; ++c)
        out[c] /= sum;
}
