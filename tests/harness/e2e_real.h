/* e2e_real.h: the keys and values of tests/data/smollm2-kv. */
#ifndef E2E_REAL_H
#define E2E_REAL_H

#include <stdint.h>

#define E2E_REAL_HEADS  3u
#define E2E_REAL_TOKENS 2048u
#define E2E_REAL_DIM    64u
#define E2E_REAL_LAYERS 6u

/* [head][token][channel]. */
typedef struct e2e_real {
    float *k, *v;
} e2e_real;

/* index 0 .. E2E_REAL_LAYERS - 1. */
void e2e_real_open(e2e_real *real, uint32_t index);
void e2e_real_close(e2e_real *real);

/* Makers for e2e_fill; user: const e2e_real *. */
float e2e_real_key(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel);
float e2e_real_value(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel);

#endif
