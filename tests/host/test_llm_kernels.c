/* test_llm_kernels.c: the kernels of gear-llm against scalar C: every weight type bit for bit, products within the rounding of
 * their sums. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/common/query_squares.h"
#include "../../host/gear-llm/gguf_blocks.h"
#include "../../host/gear-llm/linear.h"

/* Rows that fill no work-group, columns of two superblocks. */
enum { ROWS = 21, COLUMNS = 512, MOST_TOKENS = 11 };

static const gguf_type types[] = {GGUF_F32, GGUF_F16, GGUF_BF16, GGUF_Q4_0, GGUF_Q4_1, GGUF_Q8_0, GGUF_Q4_K, GGUF_Q6_K};
enum { NUM_TYPES = sizeof types / sizeof *types };

static device dev;
static kernels *k;
static host_error error;
static uint32_t state = 1;

static void setup(void)
{
    cr_assert(open_device(getenv("GEAR_TEST_DEVICE"), &dev, &error), "%s", error.text);
    cr_assert(kernels_create(&dev, &k, &error), "%s", error.text);
}

static void teardown(void)
{
    kernels_destroy(k);
    close_device(&dev);
}

TestSuite(llm_kernels, .init = setup, .fini = teardown);

/* From here on kernels are those of a GPU, which the device runs too: more than one work-item a row. */
static void take_for_gpu(void)
{
    kernels_destroy(k);
    dev.type = CL_DEVICE_TYPE_GPU;
    cr_assert(kernels_create(&dev, &k, &error), "%s", error.text);
}

static uint32_t next_random(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* In -1 .. 1. */
static float next_value(void)
{
    return (float)next_random() / 8388608.0f - 1.0f;
}

static void random_values(float *out, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        out[i] = next_value();
}

/* One of a few 16-bit floats: 0.5, -0.25, 0.1, 1, -0.05, 0.01. */
static void put_half(unsigned char *at)
{
    static const uint16_t halves[] = {0x3800, 0xb400, 0x2e66, 0x3c00, 0xaa66, 0x211f};
    memcpy(at, &halves[next_random() % 6], 2);
}

/* Random codes under sane scales. */
static void random_row(gguf_type type, unsigned char *row, size_t bytes)
{
    const gguf_block *block = gguf_block_of((uint32_t)type);
    for (size_t i = 0; i < bytes; ++i)
        row[i] = (unsigned char)next_random();
    for (unsigned char *b = row; b < row + bytes; b += block->bytes) {
        float value = next_value();
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        switch (type) {
        case GGUF_F32: memcpy(b, &value, sizeof value); break;
        case GGUF_BF16: memcpy(b, (const unsigned char *)&bits + 2, 2); break;
        case GGUF_Q6_K: put_half(b + 208); break;
        case GGUF_Q4_1:
        case GGUF_Q4_K: put_half(b + 2); /* fall through */
        default: put_half(b); break;
        }
    }
}

static cl_mem upload(const void *data, size_t bytes)
{
    cl_int code;
    cl_mem mem = clCreateBuffer(dev.context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS);
    cr_assert_eq(clEnqueueWriteBuffer(dev.queue, mem, CL_TRUE, 0, bytes, data, 0, NULL, NULL), CL_SUCCESS);
    return mem;
}

static void download(cl_mem mem, void *out, size_t bytes)
{
    cr_assert_eq(clEnqueueReadBuffer(dev.queue, mem, CL_TRUE, 0, bytes, out, 0, NULL, NULL), CL_SUCCESS);
    clReleaseMemObject(mem);
}

static cl_kernel get(const char *stem, const kernel_options *options)
{
    cl_kernel kernel = NULL;
    cr_assert(kernels_get(k, stem, options, &kernel, &error), "%s", error.text);
    return kernel;
}

/* A random matrix on the device, and what it holds. The caller frees *values. */
static matrix random_matrix(gguf_type type, float **values)
{
    const gguf_block *block = gguf_block_of((uint32_t)type);
    matrix w = {.type = type, .rows = ROWS, .columns = COLUMNS, .row_bytes = COLUMNS / block->values * block->bytes};
    unsigned char *rows = malloc(ROWS * w.row_bytes);
    *values = malloc(sizeof(float) * ROWS * COLUMNS);
    random_row(type, rows, ROWS * w.row_bytes);
    gguf_dequantize(type, rows, (size_t)ROWS * COLUMNS, *values);
    w.mem = upload(rows, ROWS * w.row_bytes);
    free(rows);
    return w;
}

Test(llm_kernels, dequantize_is_exact)
{
    for (int i = 0; i < NUM_TYPES; ++i) {
        static float out[ROWS * COLUMNS];
        float *values;
        matrix w = random_matrix(types[i], &values);
        cl_kernel kernel = get("dequantize", &(kernel_options){.weight_type = &w.type});
        cl_mem to = upload(out, sizeof out);
        /* all rows but the first, in the place of the first */
        cl_ulong row_bytes = w.row_bytes, first = 1, count = (ROWS - 1) * COLUMNS / 8;
        cl_uint units = COLUMNS / 32;
        const kernel_range range = {1, {((size_t)count + 63) / 64 * 64}, {64}};
        cr_assert(KERNELS_RUN(k, kernel, &range, &error, KERNEL_ARG(w.mem), KERNEL_ARG(row_bytes), KERNEL_ARG(first),
                              KERNEL_ARG(units), KERNEL_ARG(count), KERNEL_ARG(to)));
        download(to, out, sizeof out);
        cr_assert_arr_eq(out, values + COLUMNS, sizeof(float) * (ROWS - 1) * COLUMNS, "%s",
                         gguf_block_of((uint32_t)types[i])->name);
        clReleaseMemObject(w.mem);
        free(values);
    }
}

Test(llm_kernels, embed_takes_rows)
{
    static const cl_uint ids[] = {20, 0, 7, 7};
    for (int i = 0; i < NUM_TYPES; ++i) {
        static float out[4 * COLUMNS];
        float *values;
        matrix w = random_matrix(types[i], &values);
        cl_kernel kernel = get("embed", &(kernel_options){.weight_type = &w.type});
        cl_mem to = upload(out, sizeof out), from = upload(ids, sizeof ids);
        cl_ulong row_bytes = w.row_bytes;
        cl_uint units = COLUMNS / 32;
        const kernel_range range = {2, {COLUMNS / 8, 4}, {4, 1}};
        cr_assert(KERNELS_RUN(k, kernel, &range, &error, KERNEL_ARG(w.mem), KERNEL_ARG(row_bytes), KERNEL_ARG(from),
                              KERNEL_ARG(units), KERNEL_ARG(to)));
        download(to, out, sizeof out);
        for (int t = 0; t < 4; ++t)
            for (int c = 0; c < COLUMNS; ++c)
                cr_assert_float_eq(out[t * COLUMNS + c], values[ids[t] * COLUMNS + (cl_uint)c], 1e-6f);
        clReleaseMemObject(from);
        clReleaseMemObject(w.mem);
        free(values);
    }
}

typedef bool product(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error);

static void check_product(product *apply, linear *l, const matrix *w, const float *values, uint32_t tokens, bool accumulate)
{
    static float x[MOST_TOKENS * COLUMNS], y[(MOST_TOKENS + 1) * ROWS], before[(MOST_TOKENS + 1) * ROWS];
    random_values(x, sizeof x / sizeof *x);
    random_values(before, sizeof before / sizeof *before);
    cl_mem in = upload(x, sizeof x), out = upload(before, sizeof before);
    cr_assert(apply(l, w, in, tokens, out, accumulate, &error), "%s", error.text);
    download(out, y, sizeof y);
    clReleaseMemObject(in);
    for (uint32_t t = 0; t < tokens; ++t)
        for (uint32_t n = 0; n < ROWS; ++n) {
            double sum = accumulate ? (double)before[t * ROWS + n] : 0, size = 1;
            for (uint32_t c = 0; c < COLUMNS; ++c) {
                double term = (double)values[n * COLUMNS + c] * (double)x[t * COLUMNS + c];
                sum += term;
                size += fabs(term);
            }
            cr_assert_float_eq((double)y[t * ROWS + n], sum, 1e-6 * size, "type %d, %u tokens: token %u, row %u", (int)w->type,
                               tokens, t, n);
        }
    cr_assert_arr_eq(y + tokens * ROWS, before + tokens * ROWS, sizeof(float) * ROWS, "written beyond the last token");
}

/* A model of this one matrix, for the scratch. */
static linear *make_linear(const matrix *w)
{
    static weights all;
    linear *l = NULL;
    all = (weights){.output = *w};
    cr_assert(linear_create(&dev, k, &all, MOST_TOKENS, &l, &error), "%s", error.text);
    return l;
}

static void check_rows_times_vectors(void)
{
    for (int i = 0; i < NUM_TYPES; ++i) {
        float *values;
        matrix w = random_matrix(types[i], &values);
        linear *l = make_linear(&w);
        static const uint32_t tokens[] = {1, 2, 3, 4, 5, 8, MOST_TOKENS};
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; ++t)
            check_product(linear_apply_rows, l, &w, values, tokens[t], t & 1);
        linear_destroy(l);
        clReleaseMemObject(w.mem);
        free(values);
    }
}

Test(llm_kernels, rows_times_vectors)
{
    check_rows_times_vectors();
    take_for_gpu();
    check_rows_times_vectors();
}

Test(llm_kernels, clblast_multiplies_parts)
{
    float *values;
    matrix w = random_matrix(GGUF_Q4_1, &values);
    linear *l = make_linear(&w);
    check_product(linear_apply_gemm, l, &w, values, MOST_TOKENS, false);
    check_product(linear_apply_gemm, l, &w, values, 3, true);
    linear_destroy(l);
    clReleaseMemObject(w.mem);
    free(values);
}

static void check_rms_norm_of_listed_rows(void)
{
    enum { WIDTH = 96, COUNT = 5 };
    static const cl_uint rows[] = {3, 1};
    float x[COUNT * WIDTH], w[WIDTH], out[COUNT * WIDTH];
    random_values(x, COUNT * WIDTH);
    random_values(w, WIDTH);
    const cl_uint lanes = kernels_lanes(k, 64), width = WIDTH;
    const cl_float eps = 1e-5f;
    for (cl_uint listed = 0; listed < 2; ++listed) {
        const size_t count = listed ? 2 : COUNT;
        cl_kernel kernel = get("rms_norm", &(kernel_options){.lanes = lanes});
        cl_mem in = upload(x, sizeof x), scale = upload(w, sizeof w), list = upload(rows, sizeof rows);
        cl_mem to = upload(out, sizeof out);
        const kernel_range range = {1, {count * lanes}, {lanes}};
        cr_assert(KERNELS_RUN(k, kernel, &range, &error, KERNEL_ARG(in), KERNEL_ARG(scale), KERNEL_ARG(list),
                              KERNEL_ARG(listed), KERNEL_ARG(width), KERNEL_ARG(eps), KERNEL_ARG(to)));
        download(to, out, sizeof out);
        for (size_t i = 0; i < count; ++i) {
            const float *from = x + (listed ? rows[i] : i) * WIDTH;
            double squares = 0;
            for (int c = 0; c < WIDTH; ++c)
                squares += (double)from[c] * (double)from[c];
            for (int c = 0; c < WIDTH; ++c)
                cr_assert_float_eq((double)out[i * WIDTH + (size_t)c],
                                   (double)from[c] * (double)w[c] / sqrt(squares / WIDTH + 1e-5), 1e-5);
        }
        clReleaseMemObject(in);
        clReleaseMemObject(scale);
        clReleaseMemObject(list);
    }
}

Test(llm_kernels, rms_norm_of_listed_rows)
{
    check_rms_norm_of_listed_rows();
    take_for_gpu();
    check_rms_norm_of_listed_rows();
}

Test(llm_kernels, rope_turns_pairs)
{
    enum { HEADS = 3, DIM = 64, PAIRS = DIM / 2, COUNT = 2, POSITIONS = 4 };
    static const cl_uint positions[COUNT] = {3, 1};
    float x[COUNT * HEADS * DIM], out[COUNT * HEADS * DIM], table[POSITIONS * DIM];
    random_values(x, sizeof x / sizeof *x);
    random_values(table, sizeof table / sizeof *table);
    cl_mem data = upload(x, sizeof x), turns = upload(table, sizeof table), at = upload(positions, sizeof positions);
    const kernel_range range = {3, {PAIRS, HEADS, COUNT}, {PAIRS, 1, 1}};
    cl_kernel kernel = get("rope", &(kernel_options){0});
    cr_assert(KERNELS_RUN(k, kernel, &range, &error, KERNEL_ARG(data), KERNEL_ARG(turns), KERNEL_ARG(at)));
    download(data, out, sizeof out);
    for (int row = 0; row < COUNT; ++row)
        for (int h = 0; h < HEADS; ++h)
            for (int i = 0; i < PAIRS; ++i) {
                const float *turn = table + positions[row] * DIM + 2 * i, *a = x + (row * HEADS + h) * DIM + i;
                const float *b = a + PAIRS, *got = out + (a - x);
                cr_assert_float_eq(got[0], a[0] * turn[0] - b[0] * turn[1], 1e-6f);
                cr_assert_float_eq(got[PAIRS], b[0] * turn[0] + a[0] * turn[1], 1e-6f);
            }
    clReleaseMemObject(turns);
    clReleaseMemObject(at);
}

Test(llm_kernels, swiglu_elementwise)
{
    enum { COUNT = 104 };
    float gate[COUNT + 8], up[COUNT + 8], out[COUNT + 8];
    random_values(gate, COUNT + 8);
    random_values(up, COUNT + 8);
    gate[0] = 100;
    gate[1] = -100;
    cl_mem g = upload(gate, sizeof gate), u = upload(up, sizeof up);
    cl_ulong count = COUNT / 8;
    const kernel_range range = {1, {64}, {64}};
    cl_kernel kernel = get("swiglu", &(kernel_options){0});
    cr_assert(KERNELS_RUN(k, kernel, &range, &error, KERNEL_ARG(g), KERNEL_ARG(u), KERNEL_ARG(count)));
    download(g, out, sizeof out);
    for (int i = 0; i < COUNT; ++i)
        cr_assert_float_eq((double)out[i], (double)gate[i] / (1 + exp(-(double)gate[i])) * (double)up[i], 1e-5);
    for (int i = COUNT; i < COUNT + 8; ++i)
        cr_assert_eq(out[i], gate[i]);
    clReleaseMemObject(u);
}

static void check_top1_takes_the_first_of_equals(void)
{
    enum { COUNT = 1000, LINES = 4 };
    static float x[LINES * COUNT];
    static const cl_uint expected[LINES] = {0, 999, 300, 77};
    cl_uint best[LINES] = {0};
    memset(x, 0, sizeof x);
    x[1 * COUNT + 999] = 1;
    x[2 * COUNT + 300] = x[2 * COUNT + 301] = x[2 * COUNT + 900] = 5;
    for (int i = 0; i < COUNT; ++i)
        x[3 * COUNT + i] = i == 77 || i == 78 ? -1.0f : -2.0f;
    const cl_uint lanes = kernels_lanes(k, 256), count = COUNT;
    cl_mem in = upload(x, sizeof x), out = upload(best, sizeof best);
    const kernel_range range = {1, {(size_t)LINES * lanes}, {lanes}};
    cl_kernel kernel = get("top1", &(kernel_options){.lanes = lanes});
    cr_assert(KERNELS_RUN(k, kernel, &range, &error, KERNEL_ARG(in), KERNEL_ARG(count), KERNEL_ARG(out)));
    download(out, best, sizeof best);
    cr_assert_arr_eq(best, expected, sizeof best);
    clReleaseMemObject(in);
}

Test(llm_kernels, top1_takes_the_first_of_equals)
{
    check_top1_takes_the_first_of_equals();
    take_for_gpu();
    check_top1_takes_the_first_of_equals();
}

Test(llm_kernels, query_squares_are_means)
{
    enum { KV = 2, GROUP = 3, DIM = 64, COUNT = 7, SEQUENCES = 2 };
    static const cl_uint first[] = {0, 2, COUNT};
    float q[COUNT * KV * GROUP * DIM], out[SEQUENCES * KV * DIM];
    random_values(q, sizeof q / sizeof *q);
    cl_mem in = upload(q, sizeof q), starts = upload(first, sizeof first), to = upload(out, sizeof out);
    const cl_uint group = GROUP;
    const kernel_range range = {3, {DIM, KV, SEQUENCES}, {DIM, 1, 1}};
    cl_kernel kernel = get("query_squares", &(kernel_options){0});
    cr_assert(KERNELS_RUN(k, kernel, &range, &error, KERNEL_ARG(in), KERNEL_ARG(starts), KERNEL_ARG(group), KERNEL_ARG(to)));
    download(to, out, sizeof out);
    for (int s = 0; s < SEQUENCES; ++s) {
        float expected[KV * DIM];
        const query_rows rows = {.q = q + (size_t)first[s] * KV * GROUP * DIM,
                                 .stride_head = DIM,
                                 .stride_token = (size_t)KV * GROUP * DIM,
                                 .tokens = first[s + 1] - first[s],
                                 .heads = KV * GROUP,
                                 .kv_heads = KV,
                                 .head_dim = DIM};
        query_squares(&rows, expected);
        for (int i = 0; i < KV * DIM; ++i)
            cr_assert_float_eq(out[s * KV * DIM + i], expected[i], 1e-5f);
    }
    clReleaseMemObject(in);
    clReleaseMemObject(starts);
}
