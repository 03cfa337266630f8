/* input.c: loads and checks a triple of files, see input.h. */
#include "input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Moves an array's data to a device buffer and releases the host copy. */
static cl_mem upload(npy_array *array, const device *dev, host_error *error)
{
    cl_int code = CL_SUCCESS;
    cl_mem mem = clCreateBuffer(dev->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, array->bytes, array->data, &code);
    free(array->data);
    array->data = NULL;
    return cl_ok(code, "clCreateBuffer", error) ? mem : NULL;
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
    uint32_t half = input_first_half(in), share = in->query_heads / in->kv_heads;
    if (!half)
        return true;
    size_t count = (size_t)in->kv_heads * in->head_dim;
    float *mean = malloc(count * sizeof *mean);
    if (!mean)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    for (size_t i = 0; i < count; ++i) {
        size_t head = i / in->head_dim, channel = i % in->head_dim;
        double sum = 0;
        for (size_t h = head * share; h < (head + 1) * share; ++h)
            for (size_t t = 0; t < half; ++t) {
                double q = (double)in->q_value[(h * in->queries + t) * in->head_dim + channel];
                sum += q * q;
            }
        mean[i] = (float)(sum / ((double)half * share));
    }
    cl_int code = CL_SUCCESS;
    in->squares_mem = clCreateBuffer(dev->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, count * sizeof *mean, mean, &code);
    free(mean);
    return cl_ok(code, "clCreateBuffer", error);
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
    in->scale = scale != 0 ? scale : 1.0f / sqrtf((float)in->head_dim);
    if (!check_shapes(in, v, q, error))
        return false;
    in->k_mem = upload(&in->k, dev, error);
    in->v_mem = in->k_mem ? upload(&in->v, dev, error) : NULL;
    in->dense_mem = in->v_mem ? output(input_values(in), dev, error) : NULL;
    if (!in->dense_mem || !q)
        return in->dense_mem != NULL;
    in->q_mem = upload(&in->q, dev, error);
    in->out_mem = in->q_mem ? output(input_query_values(in), dev, error) : NULL;
    in->exact = in->out_mem ? malloc(input_query_values(in) * sizeof *in->exact) : NULL;
    if (!in->out_mem || !upload_squares(in, dev, error))
        return false;
    if (!in->exact || !exact_attention(in))
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    return true;
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
