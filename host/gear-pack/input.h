/* input.h: one (K, V, Q) triple of files, on the host as floats and on the device as it was read, with its exact attention. */
#ifndef GEAR_PACK_INPUT_H
#define GEAR_PACK_INPUT_H

#include "../common/npy.h"
#include "../common/pick_device.h"

typedef struct input {
    npy_array k, v, q;                  /* data released after the upload */
    float *k_value, *v_value, *q_value; /* q NULL without --q */
    double
        *exact; /* attention [query heads][m][head_dim] in double from the float values; NULL: without --q, or not needed yet */
    uint32_t kv_heads, query_heads, head_dim, queries;
    uint64_t tokens;
    float scale;
    cl_mem k_mem, v_mem, q_mem;
    cl_mem squares_mem; /* float [KV heads][head_dim]: mean square of queries; NULL: none */
    cl_mem dense_mem;   /* float [KV heads][tokens][head_dim]: what gear_reconstruct writes */
    cl_mem out_mem;     /* float [query heads][m][head_dim] */
} input;

/* Reads and checks the files (q may be NULL) and uploads them; scale 0 is 1 / sqrt(head_dim). The squares are those of the
 * first half of the queries, if there are two. Call input_free in any case. */
bool input_load(input *in, const char *k, const char *v, const char *q, float scale, const device *dev, host_error *error);
/* The same from memory: k_value, v_value and q_value (malloc'ed) and the numbers that describe them are set, the rest is zero.
 * squares[KV heads][head_dim] is copied. The exact attention is left to input_exact. */
bool input_adopt(input *in, float *squares, const device *dev, host_error *error);
/* Computes the exact attention, which takes a while on the host, where it is not there yet. */
bool input_exact(input *in, host_error *error);
void input_free(input *in);

/* Elements of K (and of V), and of Q (and of the output). */
size_t input_values(const input *in);
size_t input_query_values(const input *in);

/* Queries of the first half: those whose mean square `squares_mem` holds. The last ones of an odd number are in the second. */
uint32_t input_first_half(const input *in);

#endif
