/* e2e_attention.c: see the header. */
#include "e2e_attention.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void e2e_dense_open(e2e_rig *rig, e2e_dense *dense, gear_cache *cache, uint32_t layer, gear_sequence sequence, uint32_t heads,
                    uint32_t dim, uint32_t extra)
{
    uint32_t length = (uint32_t)e2e_length(rig, cache, layer, sequence, NULL);
    *dense = (e2e_dense){.heads = heads, .dim = dim, .rows = length + extra, .length = length};
    size_t bytes = (size_t)heads * dense->rows * dim * sizeof(float);
    dense->k = calloc(bytes ? bytes : 1, 1);
    dense->v = calloc(bytes ? bytes : 1, 1);
    cr_assert(dense->k && dense->v);
    if (!length) {
        return;
    }
    e2e_tensor t[2];
    for (int s = 0; s < 2; s++) {
        e2e_tensor_open(rig, &t[s], GEAR_F32, E2E_HEADS, heads, dim, 1, &length);
    }
    E2E_OK(rig, gear_reconstruct(cache, layer, sequence, 0, length, &t[0].view, &t[1].view, &rig->sync, &rig->error));
    for (int s = 0; s < 2; s++) {
        e2e_download(rig, &t[s], s ? "reconstructed V" : "reconstructed K");
        for (uint32_t h = 0; h < heads; h++) {
            memcpy((s ? dense->v : dense->k) + (size_t)h * dense->rows * dim,
                   t[s].image + t[s].view.offset + h * t[s].view.stride_head * sizeof(float),
                   (size_t)length * dim * sizeof(float));
        }
        e2e_tensor_close(&t[s]);
    }
}

void e2e_dense_close(e2e_dense *dense)
{
    free(dense->k);
    free(dense->v);
    memset(dense, 0, sizeof *dense);
}

/* One query row; p is scratch for `rows` doubles. */
static double attend_row(const e2e_dense *dense, const e2e_question *question, uint32_t head, uint32_t seen, const float *q,
                         double *p, double *out)
{
    const float *k = dense->k + (size_t)head * dense->rows * dense->dim,
                *v = dense->v + (size_t)head * dense->rows * dense->dim;
    double most = -HUGE_VAL, sum = 0;
    for (uint32_t t = 0; t < seen; t++) {
        double x = 0;
        for (uint32_t c = 0; c < dense->dim; c++) {
            x += (double)q[c] * (double)k[(size_t)t * dense->dim + c];
        }
        x *= question->scale;
        p[t] = question->soft_cap > 0 ? question->soft_cap * tanh(x / question->soft_cap) : x;
        most = p[t] > most ? p[t] : most;
    }
    memset(out, 0, dense->dim * sizeof *out);
    for (uint32_t t = 0; t < seen; t++) {
        double weight = exp(p[t] - most);
        sum += weight;
        for (uint32_t c = 0; c < dense->dim; c++) {
            out[c] += weight * (double)v[(size_t)t * dense->dim + c];
        }
    }
    for (uint32_t c = 0; c < dense->dim; c++) {
        out[c] /= sum;
    }
    return most + log(sum);
}

double e2e_attention(const e2e_dense *dense, const e2e_question *question, const float *q, double *out, double *lse)
{
    double *p = malloc(dense->rows * sizeof *p), most = 0;
    cr_assert_not_null(p);
    for (uint32_t j = 0; j < dense->heads * question->group; j++) {
        for (uint32_t i = 0; i < question->queries; i++) {
            size_t row = (size_t)j * question->queries + i;
            lse[row] = attend_row(dense, question, j / question->group, dense->rows - question->queries + i + 1,
                                  q + row * dense->dim, p, out + row * dense->dim);
            for (uint32_t c = 0; c < dense->dim; c++) {
                double x = fabs(out[row * dense->dim + c]);
                most = x > most ? x : most;
            }
        }
    }
    free(p);
    return most;
}

double e2e_distance(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double x = (double)a[i] - (double)b[i];
        sum += x * x;
    }
    return sqrt(sum);
}

double e2e_norm(const float *a, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)a[i];
    }
    return sqrt(sum);
}
