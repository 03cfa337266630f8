/* openmp_attend.h: 16-bit attention in plain C and OpenMP on contiguous keys and values: what one would write without this
 * library. */
#ifndef GEAR_BENCH_OPENMP_ATTEND_H
#define GEAR_BENCH_OPENMP_ATTEND_H

#include <stdbool.h>
#include <stdint.h>

enum { OPENMP_MOST_DIM = 256, OPENMP_MOST_ROWS = 64 };

typedef struct openmp_call {
    uint32_t batch, kv_heads, group, queries, dim, stride; /* stride: tokens of a head in k and v */
    const uint32_t *lengths;                               /* [batch] */
    const uint16_t *k, *v;                                 /* halves [batch][KV head][stride][dim] */
    const float *q;                                        /* [batch][query head][query][dim] */
    float *out;                                            /* of the same shape */
    float *partial;                                        /* openmp_partial_floats() of work space */
} openmp_call;

/* 0 where the program was built without OpenMP. */
int openmp_threads(void);
uint64_t openmp_partial_floats(const openmp_call *call);
/* queries x group is at most OPENMP_MOST_ROWS, dim a multiple of 16 and at most OPENMP_MOST_DIM. */
void openmp_attend(const openmp_call *call);

#endif
