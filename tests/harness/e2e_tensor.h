/* e2e_tensor.h: tensors in device buffers, in every type and layout that a gear_view can describe, surrounded by canary bytes;
 * and deterministic test data for them. */
#ifndef E2E_TENSOR_H
#define E2E_TENSOR_H

#include "e2e_rig.h"

#define E2E_MAX_SEQS 8u

typedef enum e2e_layout {
    E2E_PACKED,  /* [token][head][channel], sequences one after the other */
    E2E_HEADS,   /* [head][token of any sequence][channel] */
    E2E_STRIDED, /* [sequence][head][token][channel] with gaps everywhere */
    E2E_LAYOUTS
} e2e_layout;

/* Every byte outside the values is 0xff, which is NaN in all types: a stray read shows in the result. */
typedef struct e2e_tensor {
    gear_view view;
    uint32_t heads, dim, num_seqs, tokens[E2E_MAX_SEQS];
    size_t bytes;
    unsigned char *image; /* host copy of the whole buffer */
} e2e_tensor;

void e2e_tensor_open(e2e_rig *rig, e2e_tensor *t, gear_type type, e2e_layout layout, uint32_t heads, uint32_t dim,
                     uint32_t num_seqs, const uint32_t *tokens);
void e2e_tensor_close(e2e_tensor *t);
void e2e_put(e2e_tensor *t, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel, float value);
float e2e_get(const e2e_tensor *t, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel);
void e2e_upload(e2e_rig *rig, e2e_tensor *t);
/* Reads the buffer back; fails the test where a byte outside the values has changed. */
void e2e_download(e2e_rig *rig, e2e_tensor *t, const char *what);

/* Value of a coordinate, the same wherever and whenever it is asked for. `user` is the maker's. */
typedef float (*e2e_maker)(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel);
/* Puts make(seq, head, first[seq] + token, channel) everywhere and uploads. first NULL: 0. */
void e2e_fill(e2e_rig *rig, e2e_tensor *t, e2e_maker make, const void *user, const uint32_t *first);

/* Uniform in [-1, 1), a hash of the numbers. */
float e2e_noise(uint32_t seed, uint32_t a, uint32_t b, uint32_t c, uint32_t d);
/* Makers like keys (some large channels), values (rare large ones) and queries. user: const uint32_t *seed. */
float e2e_key(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel);
float e2e_value(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel);
float e2e_query(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel);

/* Nearest value of a type, and half of the spacing of the type around |x|. */
float e2e_round(gear_type type, float x);
double e2e_half_ulp(gear_type type, double x);

#endif
