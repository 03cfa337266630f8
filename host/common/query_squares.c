/* query_squares.c: see query_squares.h. */
#include "query_squares.h"

static double channel_sum(const query_rows *rows, uint32_t kv_head, uint32_t channel)
{
    const uint32_t share = rows->heads / rows->kv_heads;
    double sum = 0;
    for (uint32_t h = kv_head * share; h < (kv_head + 1) * share; ++h)
        for (uint64_t t = 0; t < rows->tokens; ++t) {
            const double q = (double)rows->q[h * rows->stride_head + t * rows->stride_token + channel];
            sum += q * q;
        }
    return sum;
}

void query_squares(const query_rows *rows, float *mean)
{
    const double count = (double)rows->tokens * (rows->heads / rows->kv_heads);
    for (uint32_t head = 0; head < rows->kv_heads; ++head)
        for (uint32_t c = 0; c < rows->head_dim; ++c)
            mean[(size_t)head * rows->head_dim + c] = (float)(channel_sum(rows, head, c) / count);
}
