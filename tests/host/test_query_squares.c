/* test_query_squares.c: means over tokens and the query heads of a KV head, in both orders of queries. */
#include <criterion/criterion.h>

#include "../../host/common/query_squares.h"

enum { HEADS = 4, KV_HEADS = 2, DIM = 3, TOKENS = 2 };

/* A value of its own for every head, token and channel. */
static float value(uint32_t head, uint32_t token, uint32_t channel)
{
    return (float)(head * 8 + token * 4 + channel) - 10.0f;
}

/* KV head 0 has the query heads 0 and 1, KV head 1 the others: the squares of -10, -6, -2, 2 for channel 0 of the first. */
static const float expected[KV_HEADS * DIM] = {36, 29, 24, 164, 189, 216};

static void check(size_t stride_head, size_t stride_token)
{
    float q[HEADS * TOKENS * DIM], mean[KV_HEADS * DIM];
    for (uint32_t h = 0; h < HEADS; ++h)
        for (uint32_t t = 0; t < TOKENS; ++t)
            for (uint32_t c = 0; c < DIM; ++c)
                q[h * stride_head + t * stride_token + c] = value(h, t, c);
    const query_rows rows = {q, stride_head, stride_token, TOKENS, HEADS, KV_HEADS, DIM};
    query_squares(&rows, mean);
    cr_assert_arr_eq(mean, expected, sizeof expected);
}

Test(query_squares, heads_first)
{
    check(TOKENS * DIM, DIM);
}

Test(query_squares, tokens_first)
{
    check(DIM, HEADS * DIM);
}
