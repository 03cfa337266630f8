/* dense.h: K and V as gear_reconstruct writes them, read in pieces. */
#ifndef GEAR_MEASURE_DENSE_H
#define GEAR_MEASURE_DENSE_H

#include "world.h"

/* One side on the device, and which tokens of which sequence it holds at the moment. */
typedef struct dense_side {
    cl_mem mem; /* floats [heads][count][head_dim] */
    uint32_t sequence, first, count;
} dense_side;

typedef struct dense {
    world *w;
    uint32_t piece;     /* most tokens at once */
    dense_side side[2]; /* K, V */
} dense;

/* The world must not change while it is open. */
bool dense_open(dense *d, world *w, host_error *error);
void dense_close(dense *d);

/* Tokens first .. first + count - 1 of one KV head as out[count][head_dim]. Heads of one sequence in turn are quick. */
bool dense_head(dense *d, uint32_t sequence, bool is_v, uint32_t head, uint32_t first, uint32_t count, float *out,
                host_error *error);
/* The same of all heads: out[head][count][head_dim]; count is at most DENSE_PIECE. */
bool dense_all(dense *d, uint32_t sequence, bool is_v, uint32_t first, uint32_t count, float *out, host_error *error);

enum { DENSE_PIECE = 4096 };

#endif
