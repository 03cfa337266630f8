/* e2e_attention.h: attention in double precision on a cache as gear_reconstruct gives it. */
#ifndef E2E_ATTENTION_H
#define E2E_ATTENTION_H

#include "e2e_tensor.h"

/* Dense K and V [head][rows][dim] of one sequence; rows >= length, the first `length` from the cache. */
typedef struct e2e_dense {
    uint32_t heads, dim, rows, length;
    float *k, *v;
} e2e_dense;

/* Reconstructs the whole sequence as f32, with room for `extra` more rows. */
void e2e_dense_open(e2e_rig *rig, e2e_dense *dense, gear_cache *cache, uint32_t layer, gear_sequence sequence, uint32_t heads,
                    uint32_t dim, uint32_t extra);
void e2e_dense_close(e2e_dense *dense);

typedef struct e2e_question {
    uint32_t group;   /* query heads of a KV head */
    uint32_t queries; /* at the last positions */
    double scale, soft_cap;
} e2e_question;

/* out[query head][query][dim] and lse[query head][query] for q[query head][query][dim]. Returns max |out|. */
double e2e_attention(const e2e_dense *dense, const e2e_question *question, const float *q, double *out, double *lse);

/* Frobenius norm of the difference of two arrays, and of one. */
double e2e_distance(const float *a, const float *b, size_t count);
double e2e_norm(const float *a, size_t count);

#endif
