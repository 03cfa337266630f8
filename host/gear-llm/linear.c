/* linear.c: products of weights and activations, see linear.h. */
#include "linear.h"

#include <clblast_c.h>
#include <stdlib.h>

/* Float32 values of a matrix that are there at a time: 64 MiB. A larger matrix is done in parts of whole rows. */
#define PART_VALUES ((size_t)16 << 20)

/* Of a GPU's work-group: work-items that share rows, and how many such teams (cl/linear.cl). */
enum { LANES = 32, TEAMS = 4 };

struct linear {
    const device *dev;
    kernels *k;
    const weights *w;
    uint32_t tokens; /* most of one product */
    uint32_t few;    /* up to so many tokens the own kernel is the faster way */
    cl_mem part, temporary;
    size_t part_bytes, temporary_bytes;
};

/* Rows of a matrix that fit a part. */
static size_t part_rows(const matrix *w)
{
    size_t rows = PART_VALUES / w->columns;
    rows = rows < w->rows ? rows : w->rows;
    return rows ? rows : 1;
}

static bool temporary_size(const linear *l, const matrix *w, size_t rows, uint32_t tokens, size_t *bytes, host_error *error)
{
    cl_command_queue queue = l->dev->queue;
    CLBlastStatusCode code =
        CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, tokens, rows, w->columns, 0,
                                   w->columns, 0, w->columns, 0, w->rows, &queue, bytes);
    return code == CLBlastSuccess || fail(error, EXIT_DEVICE, "CLBlastSGemmTempBufferSize failed with code %d", (int)code);
}

static bool create_buffer(const linear *l, size_t bytes, cl_mem *mem, host_error *error)
{
    cl_int code;
    *mem = clCreateBuffer(l->dev->context, CL_MEM_READ_WRITE, bytes ? bytes : 4, NULL, &code);
    return cl_ok(code, "clCreateBuffer (scratch of matrix products)", error);
}

/* A product of one value each, within the scratch: CLBlast compiles its kernels at its first product. */
static bool compile_gemm(const linear *l, host_error *error)
{
    cl_command_queue queue = l->dev->queue;
    CLBlastStatusCode code =
        CLBlastSgemmWithTempBuffer(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, 1, 1, 1, 1.0f, l->part, 0, 1,
                                   l->part, 1, 1, 0.0f, l->part, 2, 1, &queue, NULL, l->temporary);
    return code == CLBlastSuccess || fail(error, EXIT_DEVICE, "CLBlastSgemm failed with code %d", (int)code);
}

/* The largest scratch that a matrix asks for. */
static bool reserve(linear *l, const matrix *w, uint32_t tokens, host_error *error)
{
    size_t rows = part_rows(w), bytes = 0;
    if (!temporary_size(l, w, rows, tokens, &bytes, error))
        return false;
    l->part_bytes = rows * w->columns * 4 > l->part_bytes ? rows * w->columns * 4 : l->part_bytes;
    l->temporary_bytes = bytes > l->temporary_bytes ? bytes : l->temporary_bytes;
    return true;
}

static bool create_scratch(linear *l, host_error *error)
{
    const weights *w = l->w;
    if (!reserve(l, &w->output, l->tokens, error))
        return false;
    for (uint32_t i = 0; i < w->count; ++i)
        for (int role = 0; role < MODEL_ROLES; ++role)
            if (w->layers[i].roles[role].rows > 1 && !reserve(l, &w->layers[i].roles[role], l->tokens, error))
                return false;
    return create_buffer(l, l->part_bytes, &l->part, error) && create_buffer(l, l->temporary_bytes, &l->temporary, error) &&
           compile_gemm(l, error);
}

/* Vectors that the own kernel multiplies at once. */
static uint32_t together_of(uint32_t tokens)
{
    return tokens > 4 ? 8 : tokens > 2 ? 4 : tokens;
}

static kernel_options rows_options(const linear *l, const gguf_type *type, uint32_t together)
{
    const uint32_t lanes = kernels_lanes(l->k, LANES), each = lanes > 1 && together > 2 ? 4 : 1;
    return (kernel_options){.weight_type = type, .tokens = together, .lanes = lanes, .rows = lanes > 1 ? TEAMS * each : 8};
}

/* All that linear_apply launches for a matrix of this type. */
static bool compile_type(const linear *l, const gguf_type *type, host_error *error)
{
    cl_kernel kernel;
    for (uint32_t together = 1; together <= together_of(l->tokens); together *= 2) {
        const kernel_options options = rows_options(l, type, together);
        if (!kernels_get(l->k, "linear", &options, &kernel, error))
            return false;
    }
    return !l->part || kernels_get(l->k, "dequantize", &(kernel_options){.weight_type = type}, &kernel, error);
}

static bool compile(const linear *l, host_error *error)
{
    const weights *w = l->w;
    if (!compile_type(l, &w->output.type, error))
        return false;
    for (uint32_t i = 0; i < w->count; ++i)
        for (int role = 0; role < MODEL_ROLES; ++role)
            if (w->layers[i].roles[role].rows > 1 && !compile_type(l, &w->layers[i].roles[role].type, error))
                return false;
    return true;
}

bool linear_create(const device *dev, kernels *k, const weights *w, uint32_t tokens, linear **out, host_error *error)
{
    linear *l = calloc(1, sizeof *l);
    if (!l)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    /* On a CPU the own kernel is the faster way for any number of tokens, as measured (docs/llm.md). On a GPU it reads the
     * matrix once for every 8 tokens, where the other way writes and reads it as float32. */
    *l = (linear){.dev = dev, .k = k, .w = w, .tokens = tokens};
    l->few = kernels_lanes(k, LANES) == 1 ? UINT32_MAX : 64;
    bool ok = (tokens <= l->few || create_scratch(l, error)) && compile(l, error);
    if (ok)
        *out = l;
    else
        linear_destroy(l);
    return ok;
}

void linear_destroy(linear *l)
{
    if (!l)
        return;
    if (l->part)
        clReleaseMemObject(l->part);
    if (l->temporary)
        clReleaseMemObject(l->temporary);
    free(l);
}

uint64_t linear_bytes(const linear *l)
{
    return l->part ? l->part_bytes + l->temporary_bytes : 0;
}

bool linear_apply_rows(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error)
{
    cl_kernel kernel;
    const uint32_t together = together_of(tokens);
    const kernel_options options = rows_options(l, &w->type, together);
    const uint32_t lanes = options.lanes, rows = options.rows;
    if (!kernels_get(l->k, "linear", &options, &kernel, error))
        return false;
    const size_t local = lanes > 1 ? (size_t)lanes * TEAMS : 1;
    const kernel_range range = {2, {(tokens + together - 1) / together * local, (w->rows + rows - 1) / rows, 1}, {local, 1, 1}};
    cl_ulong row_bytes = w->row_bytes;
    cl_uint units = w->columns / 32, add = accumulate;
    return KERNELS_RUN(l->k, kernel, &range, error, KERNEL_ARG(w->mem), KERNEL_ARG(row_bytes), KERNEL_ARG(w->rows),
                       KERNEL_ARG(units), KERNEL_ARG(x), KERNEL_ARG(tokens), KERNEL_ARG(y), KERNEL_ARG(w->rows),
                       KERNEL_ARG(add));
}

/* Rows first .. first + count - 1 as float32 in l->part. */
static bool dequantize(linear *l, const matrix *w, size_t first, size_t count, host_error *error)
{
    cl_kernel kernel;
    if (!kernels_get(l->k, "dequantize", &(kernel_options){.weight_type = &w->type}, &kernel, error))
        return false;
    cl_ulong row_bytes = w->row_bytes, first_row = first, eighths = (cl_ulong)count * (w->columns / 8);
    cl_uint units = w->columns / 32;
    const kernel_range range = {1, {((size_t)eighths + 63) / 64 * 64, 1, 1}, {64, 1, 1}};
    return KERNELS_RUN(l->k, kernel, &range, error, KERNEL_ARG(w->mem), KERNEL_ARG(row_bytes), KERNEL_ARG(first_row),
                       KERNEL_ARG(units), KERNEL_ARG(eighths), KERNEL_ARG(l->part));
}

bool linear_apply_gemm(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error)
{
    cl_command_queue queue = l->dev->queue;
    if (!l->part && !create_scratch(l, error))
        return false;
    for (size_t first = 0, rows = part_rows(w); first < w->rows; first += rows) {
        size_t count = w->rows - first < rows ? w->rows - first : rows;
        if (!dequantize(l, w, first, count, error))
            return false;
        CLBlastStatusCode code = CLBlastSgemmWithTempBuffer(
            CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, tokens, count, w->columns, 1.0f, x, 0, w->columns,
            l->part, 0, w->columns, accumulate ? 1.0f : 0.0f, y, first, w->rows, &queue, NULL, l->temporary);
        if (code != CLBlastSuccess)
            return fail(error, EXIT_DEVICE, "CLBlastSgemm failed with code %d", (int)code);
    }
    return true;
}

bool linear_apply(linear *l, const matrix *w, cl_mem x, uint32_t tokens, cl_mem y, bool accumulate, host_error *error)
{
    return tokens <= l->few ? linear_apply_rows(l, w, x, tokens, y, accumulate, error)
                            : linear_apply_gemm(l, w, x, tokens, y, accumulate, error);
}
