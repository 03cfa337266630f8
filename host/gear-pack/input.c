/* input.c: loads and checks a triple of files, see input.h. */
#include "input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../common/query_squares.h"
#include "exact.h"

size_t input_values(const input *in)
{
    return in->kv_heads * (size_t)in->tokens * in->head_dim;
}

size_t input_query_values(const input *in)
{
    return (size_t)in->query_heads * in->queries * in->head_dim;
}

uint32_t input_first_half(const input *in)
{
    return in->queries / 2;
}

/* Reads one file as [heads, tokens, channels] of finite values. */
static bool read_tensor(const char *path, npy_array *array, float **value, host_error *error)
{
    if (!npy_read(path, 3, array, error))
        return false;
    for (int i = 0; i < 3; ++i)
        if (array->shape[i] > INT32_MAX)
            return fail(error, EXIT_INPUT, "%s: a dimension of %zu is too large", path, array->shape[i]);
    *value = malloc(array->count * sizeof **value);
    if (!*value)
        return fail(error, EXIT_DEVICE, "%s: host memory exhausted", path);
    size_t bad = npy_to_float(array, *value);
    if (bad == array->count)
        return true;
    size_t channel = bad % array->shape[2], row = bad / array->shape[2];
    return fail(error, EXIT_INPUT, "%s: the value at [%zu, %zu, %zu] is not finite", path, row / array->shape[1],
                row % array->shape[1], channel);
}

static bool check_shapes(const input *in, const char *v, const char *q, host_error *error)
{
    if (memcmp(in->v.shape, in->k.shape, 3 * sizeof in->k.shape[0]) != 0)
        return fail(error, EXIT_INPUT, "%s: shape (%zu, %zu, %zu) differs from that of K, (%zu, %zu, %zu)", v, in->v.shape[0],
                    in->v.shape[1], in->v.shape[2], in->k.shape[0], in->k.shape[1], in->k.shape[2]);
    if (!q)
        return true;
    if (in->q.shape[2] != in->head_dim)
        return fail(error, EXIT_INPUT, "%s: %zu channels; K has %u", q, in->q.shape[2], in->head_dim);
    if (in->q.shape[0] % in->kv_heads)
        return fail(error, EXIT_INPUT, "%s: %zu query heads are no multiple of K's %u heads", q, in->q.shape[0], in->kv_heads);
    if (in->q.shape[1] > in->tokens)
        return fail(error, EXIT_INPUT, "%s: %zu queries, more than K's %llu tokens", q, in->q.shape[1],
                    (unsigned long long)in->tokens);
    return true;
}

static cl_mem upload(void *data, size_t bytes, const device *dev, host_error *error)
{
    cl_int code = CL_SUCCESS;
    cl_mem mem = clCreateBuffer(dev->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes, data, &code);
    return cl_ok(code, "clCreateBuffer", error) ? mem : NULL;
}

/* Moves an array's data to a device buffer and releases the host copy; an array without data is the values themselves. */
static cl_mem upload_array(npy_array *array, float *value, const device *dev, host_error *error)
{
    cl_mem mem = upload(array->data ? array->data : value, array->bytes, dev, error);
    free(array->data);
    array->data = NULL;
    return mem;
}

static cl_mem output(size_t values, const device *dev, host_error *error)
{
    cl_int code = CL_SUCCESS;
    cl_mem mem = clCreateBuffer(dev->context, CL_MEM_READ_WRITE, values * sizeof(float), NULL, &code);
    return cl_ok(code, "clCreateBuffer", error) ? mem : NULL;
}

/* Fills in->squares_mem: what a caller of gear_append_weighted would gather over its prompt. */
static bool upload_squares(input *in, const device *dev, host_error *error)
{
    const query_rows first_half = {.q = in->q_value,
                                   .stride_head = (size_t)in->queries * in->head_dim,
                                   .stride_token = in->head_dim,
                                   .tokens = input_first_half(in),
                                   .heads = in->query_heads,
                                   .kv_heads = in->kv_heads,
                                   .head_dim = in->head_dim};
    if (!first_half.tokens)
        return true;
    size_t count = (size_t)in->kv_heads * in->head_dim;
    float *mean = malloc(count * sizeof *mean);
    if (!mean)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    query_squares(&first_half, mean);
    in->squares_mem = upload(mean, count * sizeof *mean, dev, error);
    free(mean);
    return in->squares_mem != NULL;
}

bool input_exact(input *in, host_error *error)
{
    if (in->exact)
        return true;
    in->exact = malloc(input_query_values(in) * sizeof *in->exact);
    return (in->exact && exact_attention(in)) || fail(error, EXIT_DEVICE, "host memory exhausted");
}

/* Uploads the values. */
static bool prepare(input *in, const device *dev, host_error *error)
{
    in->scale = in->scale != 0 ? in->scale : 1.0f / sqrtf((float)in->head_dim);
    in->k_mem = upload_array(&in->k, in->k_value, dev, error);
    in->v_mem = in->k_mem ? upload_array(&in->v, in->v_value, dev, error) : NULL;
    in->dense_mem = in->v_mem ? output(input_values(in), dev, error) : NULL;
    if (!in->dense_mem || !in->queries)
        return in->dense_mem != NULL;
    in->q_mem = upload_array(&in->q, in->q_value, dev, error);
    in->out_mem = in->q_mem ? output(input_query_values(in), dev, error) : NULL;
    return in->out_mem != NULL;
}

bool input_load(input *in, const char *k, const char *v, const char *q, float scale, const device *dev, host_error *error)
{
    if (!read_tensor(k, &in->k, &in->k_value, error) || !read_tensor(v, &in->v, &in->v_value, error) ||
        (q && !read_tensor(q, &in->q, &in->q_value, error)))
        return false;
    in->kv_heads = (uint32_t)in->k.shape[0];
    in->tokens = in->k.shape[1];
    in->head_dim = (uint32_t)in->k.shape[2];
    in->query_heads = q ? (uint32_t)in->q.shape[0] : in->kv_heads;
    in->queries = q ? (uint32_t)in->q.shape[1] : 0;
    in->scale = scale;
    return check_shapes(in, v, q, error) && prepare(in, dev, error) && (!in->queries || input_exact(in, error)) &&
           (!q || upload_squares(in, dev, error));
}

static void describe(npy_array *array, size_t values)
{
    *array = (npy_array){.type = NPY_F32, .count = values, .bytes = values * sizeof(float)};
}

bool input_adopt(input *in, float *squares, const device *dev, host_error *error)
{
    describe(&in->k, input_values(in));
    describe(&in->v, input_values(in));
    describe(&in->q, input_query_values(in));
    in->squares_mem = upload(squares, (size_t)in->kv_heads * in->head_dim * sizeof *squares, dev, error);
    return in->squares_mem && prepare(in, dev, error);
}

static void release(cl_mem mem)
{
    if (mem)
        clReleaseMemObject(mem);
}

void input_free(input *in)
{
    npy_free(&in->k);
    npy_free(&in->v);
    npy_free(&in->q);
    free(in->k_value);
    free(in->v_value);
    free(in->q_value);
    free(in->exact);
    release(in->k_mem);
    release(in->v_mem);
    release(in->q_mem);
    release(in->squares_mem);
    release(in->dense_mem);
    release(in->out_mem);
    memset(in, 0, sizeof *in);
}
