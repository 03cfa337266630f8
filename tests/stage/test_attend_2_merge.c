/* test_attend_2_merge.c: partial results of made-up splits, some of which saw nothing, joined as the reference joins them;
 * every output type, packed and with gaps, and the log-sum-exp. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stage_world.h"

#define NEVER (-1e30f) /* the kernels' largest score of a range where nothing was seen */

typedef struct merge {
    stage_bench *bench;
    gear__variant variant;
    gear__layer_memory layer;
    uint32_t queries[STAGE_SEQS], heads, d, rows, splits;
    stage_buffer list, partial, softmax, out, lse;
    double *max, *sum, *sums, *want, *want_lse;
} merge;

static void make_list(merge *t)
{
    uint32_t row = 0;
    stage_buffer_make(t->bench, &t->list, STAGE_SEQS * GEAR__SEQ_WORDS * 4);
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        uint32_t words[GEAR__SEQ_WORDS] = {i, 999, t->queries[i], row, 0, 0, 0, 0};
        memcpy(t->list.host + i * sizeof words, words, sizeof words);
        row += t->queries[i];
    }
    t->rows = row * t->heads;
    stage_put(t->bench, &t->list);
}

/* Rows are (query, head); the first split of every third row and, of every row, each fifth saw nothing. */
static void make_partials(merge *t)
{
    size_t entries = (size_t)t->rows * t->splits;
    stage_buffer_make(t->bench, &t->partial, entries * t->d * 4);
    stage_buffer_make(t->bench, &t->softmax, entries * 8);
    float *partial = (float *)(void *)t->partial.host, *softmax = (float *)(void *)t->softmax.host;
    for (uint32_t row = 0; row < t->rows; row++) {
        for (uint32_t s = 0; s < t->splits; s++) {
            uint32_t at = row * t->splits + s, to = s * t->rows + row;
            int nothing = t->splits > 1 && ((row % 3 == 0 && s == 0) || s % 5 == 4);
            float top = 4.0f * stage_normal(stage_hash(row, s, 1)) - (s % 4 == 3 ? 60.0f : 0.0f);
            softmax[2 * at] = nothing ? NEVER : top;
            softmax[2 * at + 1] = nothing ? 0.0f : 1.0f + (float)(stage_hash(row, s, 2) % 1000u) / 10.0f;
            t->max[to] = nothing ? -INFINITY : (double)top;
            t->sum[to] = (double)softmax[2 * at + 1];
            for (uint32_t c = 0; c < t->d; c++) {
                float value = nothing ? 0.0f : softmax[2 * at + 1] * stage_normal(stage_hash(row, s, 16 + c));
                partial[(size_t)at * t->d + c] = value;
                t->sums[(size_t)to * t->d + c] = (double)value;
            }
        }
    }
    stage_put(t->bench, &t->partial);
    stage_put(t->bench, &t->softmax);
    gear__ref_attend_2_merge(t->splits, t->rows, t->d, t->max, t->sum, t->sums, t->want, t->want_lse);
}

static double half_ulp(gear_type type, double value)
{
    return type == GEAR_F32 ? 0 : fabs(value) * (type == GEAR_F16 ? 0x1p-11 : 0x1p-8) + 0x1p-25;
}

static void check(merge *t, gear_type type, int strided)
{
    uint32_t element = stage_element(type), tokens = t->rows / t->heads, longest = 0, row = 0;
    double largest = 0;
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        longest = t->queries[i] > longest ? t->queries[i] : longest;
    }
    gear__tensor out = {
        .offset = (strided ? 7u : 0u) * element, .stride_head = strided ? t->d + 1 : t->d, .type = (cl_uint)type};
    out.stride_token = out.stride_head * t->heads;
    out.stride_seq = strided ? out.stride_token * longest + 9 : 0;
    uint64_t elements = strided ? out.stride_seq * STAGE_SEQS : out.stride_token * tokens;
    stage_buffer_make(t->bench, &t->out, (size_t)(out.offset + elements * element));
    stage_buffer_make(t->bench, &t->lse, (t->rows + 5) * 4);
    stage_put(t->bench, &t->out);
    stage_put(t->bench, &t->lse);
    out.mem = t->out.mem;
    const gear__attend_call call = {.layer = &t->layer,
                                    .seqs = t->list.mem,
                                    .num_seqs = STAGE_SEQS,
                                    .max_queries = longest,
                                    .splits = t->splits,
                                    .out = out,
                                    .partial = t->partial.mem,
                                    .softmax = t->softmax.mem,
                                    .lse = t->lse.mem,
                                    .lse_offset = 3,
                                    .has_lse = !strided};
    STAGE_LAUNCH(t->bench, gear__attend_2_merge(&stream, &call, &error));
    uint8_t *got = stage_get(t->bench, &t->out), *got_lse = stage_get(t->bench, &t->lse);
    for (size_t i = 0; i < (size_t)t->rows * t->d; i++) {
        largest = fmax(largest, fabs(t->want[i]));
    }
    for (uint32_t i = 0; i < STAGE_SEQS; row += t->queries[i], i++) {
        for (uint32_t n = 0; n < t->queries[i] * t->heads; n++) {
            uint32_t token = n / t->heads, head = n % t->heads, from = (row + token) * t->heads + head;
            for (uint32_t c = 0; c < t->d; c++) {
                uint64_t start = out.stride_seq ? i * out.stride_seq : row * out.stride_token;
                uint64_t at = start + token * out.stride_token + head * out.stride_head + c;
                double want = t->want[(size_t)from * t->d + c];
                float value = stage_load(got + out.offset, at, type);
                STAGE_EXPECT(fabs((double)value - want) <= 1e-5 * largest + half_ulp(type, want),
                             "row %u channel %u: %g, not %g", from, c, (double)value, want);
                stage_store(t->out.host + out.offset, at, type, value);
            }
            if (call.has_lse) {
                uint32_t at = 3 + row * t->heads + head * t->queries[i] + token;
                float value = ((float *)(void *)got_lse)[at];
                STAGE_EXPECT(fabs((double)value - t->want_lse[from]) <= 1e-5 * fmax(1, fabs(t->want_lse[from])),
                             "lse of row %u", from);
                ((float *)(void *)t->lse.host)[at] = value;
            }
        }
    }
    stage_same_bytes(got, t->out.host, t->out.bytes, "gaps");
    stage_same_bytes(got_lse, t->lse.host, t->lse.bytes, "around the log-sum-exps");
    free(got);
    free(got_lse);
}

static void merge_run(stage_bench *bench, uint32_t d, uint32_t heads, uint32_t splits)
{
    merge t = {.bench = bench, .queries = {2, 1, stage_tiny() ? 1 : 17}, .heads = heads, .d = d, .splits = splits};
    gear__shape shape = {.head_dim = d, .kv_heads = 1, .query_heads = heads};
    stage_variant_open(bench, &t.variant, &shape, 1, 1, 1ull << GEAR__KERNEL_MERGE, GEAR_ATTEND_PORTABLE);
    t.layer.variant = &t.variant;
    make_list(&t);
    size_t entries = (size_t)t.rows * splits;
    double *memory = calloc(entries * (d + 2) + t.rows * (d + 1), sizeof *memory);
    cr_assert_not_null(memory);
    t.max = memory, t.sum = t.max + entries, t.sums = t.sum + entries, t.want = t.sums + entries * d,
    t.want_lse = t.want + t.rows * d;
    make_partials(&t);
    for (int type = GEAR_F16; type <= GEAR_F32; type++) {
        check(&t, (gear_type)type, 0);
        check(&t, (gear_type)type, 1);
    }
    stage_same(bench, &t.partial, "partial");
    stage_same(bench, &t.softmax, "softmax");
    free(memory);
    stage_buffer *buffers[] = {&t.list, &t.partial, &t.softmax, &t.out, &t.lse};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        stage_buffer_free(buffers[i]);
    }
    gear__variant_close(&t.variant);
}

Test(attend_2_merge, equals_the_reference)
{
    static const uint32_t dims[] = {64, 80, 96, 128, 256}, splits[] = {1, 2, 7, 33};
    stage_bench bench;
    stage_open(&bench);
    for (uint32_t i = 0; i < (stage_tiny() ? 2u : 5u); i++) {
        for (uint32_t s = 0; s < (stage_tiny() ? 2u : 4u); s++) {
            merge_run(&bench, dims[i], 1 + (i + s) % 3, splits[s]);
        }
    }
    stage_close(&bench, "attend_2_merge");
}
