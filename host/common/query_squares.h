/* query_squares.h: how much queries ask of a channel: what gear_append_weighted takes as query_squares. */
#ifndef HOST_QUERY_SQUARES_H
#define HOST_QUERY_SQUARES_H

#include <stddef.h>
#include <stdint.h>

/* Queries on the host: that of query head h and token t begins at q[h * stride_head + t * stride_token]. */
typedef struct query_rows {
    const float *q;
    size_t stride_head, stride_token; /* in values */
    uint64_t tokens;                  /* at least 1 */
    uint32_t heads, kv_heads, head_dim;
} query_rows;

/* mean[kv_heads][head_dim]: the mean square of each channel over the tokens and the query heads of a KV head. */
void query_squares(const query_rows *rows, float *mean);

#endif
