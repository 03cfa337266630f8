/* weights.c: uploads the tensors, see weights.h. */
#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_blocks.h"

typedef struct uploader {
    const device *dev;
    kernels *k;
    const model *m;
    uint32_t tensors; /* uploaded so far */
    weights *out;
} uploader;

static bool create_buffer(uploader *u, size_t bytes, const char *name, cl_mem *mem, host_error *error)
{
    cl_int code;
    *mem = clCreateBuffer(u->dev->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code != CL_SUCCESS)
        return fail(error, EXIT_DEVICE, "no room on the device for the %zu bytes of %s (OpenCL code %d)", bytes, name,
                    (int)code);
    u->out->bytes += bytes;
    return true;
}

static bool write_buffer(const uploader *u, cl_mem mem, size_t bytes, const void *data, host_error *error)
{
    return cl_ok(clEnqueueWriteBuffer(u->dev->queue, mem, CL_TRUE, 0, bytes, data, 0, NULL, NULL), "clEnqueueWriteBuffer",
                 error);
}

/* Row 2i + h of a head in the file is row h head_dim / 2 + i of the head. NULL where memory is exhausted. */
static unsigned char *deinterleave(const gguf_tensor *t, size_t row_bytes, uint32_t head_dim)
{
    unsigned char *rows = malloc(t->bytes);
    for (uint64_t r = 0; rows && r < t->shape[1]; ++r) {
        uint64_t in_head = r % head_dim, half_of = in_head / (head_dim / 2), i = in_head % (head_dim / 2);
        uint64_t from = r - in_head + 2 * i + half_of;
        memcpy(rows + r * row_bytes, (const unsigned char *)t->data + from * row_bytes, row_bytes);
    }
    return rows;
}

static bool upload(uploader *u, const gguf_tensor *t, bool interleaved, matrix *out, host_error *error)
{
    if (!interleaved)
        return write_buffer(u, out->mem, t->bytes, t->data, error);
    unsigned char *rows = deinterleave(t, out->row_bytes, u->m->head_dim);
    bool ok = rows ? write_buffer(u, out->mem, t->bytes, rows, error) : fail(error, EXIT_DEVICE, "host memory exhausted");
    free(rows);
    return ok;
}

/* Activations keep their size through a layer when weights have a deviation of 1 / sqrt(columns). */
static bool synthesize(const uploader *u, const matrix *w, host_error *error)
{
    cl_kernel kernel;
    if (!kernels_get(u->k, "synthesize", &(kernel_options){.weight_type = &w->type}, &kernel, error))
        return false;
    cl_ulong units = (cl_ulong)w->columns / 32 * w->rows;
    cl_uint seed = u->m->seed * 65536u + u->tensors;
    cl_float scale = 1.0f / sqrtf((float)w->columns);
    const kernel_range range = {1, {(size_t)(units + 63) / 64 * 64}, {64}};
    return KERNELS_RUN(u->k, kernel, &range, error, KERNEL_ARG(w->mem), KERNEL_ARG(units), KERNEL_ARG(seed), KERNEL_ARG(scale));
}

static bool add_matrix(uploader *u, const gguf_tensor *t, bool interleaved, matrix *out, host_error *error)
{
    const gguf_block *block = gguf_block_of((uint32_t)t->type);
    *out = (matrix){.type = t->type, .rows = (uint32_t)t->shape[1], .columns = (uint32_t)t->shape[0]};
    out->row_bytes = (size_t)out->columns / block->values * block->bytes;
    ++u->tensors;
    if (!create_buffer(u, t->bytes, t->name, &out->mem, error))
        return false;
    return t->data ? upload(u, t, interleaved, out, error) : synthesize(u, out, error);
}

/* Norms as float32; those of a synthetic model are 1. */
static bool add_vector(uploader *u, const gguf_tensor *t, matrix *out, host_error *error)
{
    size_t count = (size_t)t->shape[0];
    *out = (matrix){.type = GGUF_F32, .rows = 1, .columns = (uint32_t)count, .row_bytes = 4 * count};
    float *values = malloc(out->row_bytes);
    if (!values)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    if (t->data)
        gguf_dequantize(t->type, t->data, count, values);
    for (size_t i = 0; !t->data && i < count; ++i)
        values[i] = 1.0f;
    ++u->tensors;
    bool ok =
        create_buffer(u, out->row_bytes, t->name, &out->mem, error) && write_buffer(u, out->mem, out->row_bytes, values, error);
    free(values);
    return ok;
}

static bool add_layer(uploader *u, const model_layer *from, layer_weights *out, host_error *error)
{
    for (int role = 0; role < MODEL_ROLES; ++role) {
        const gguf_tensor *t = from->tensors[role];
        bool vector = role == MODEL_ATTENTION_NORM || role == MODEL_FEED_NORM;
        if (!(vector ? add_vector(u, t, &out->roles[role], error)
                     : add_matrix(u, t, role == MODEL_Q || role == MODEL_K, &out->roles[role], error)))
            return false;
    }
    return true;
}

static bool add_all(uploader *u, host_error *error)
{
    const model *m = u->m;
    weights *w = u->out;
    if (!add_matrix(u, m->embedding, false, &w->embedding, error) || !add_vector(u, m->output_norm, &w->output_norm, error))
        return false;
    w->output = w->embedding;
    if (m->output != m->embedding && !add_matrix(u, m->output, false, &w->output, error))
        return false;
    for (uint32_t i = 0; i < m->layers; ++i)
        if (!add_layer(u, &m->layer[i], &w->layers[i], error))
            return false;
    return cl_ok(clFinish(u->dev->queue), "clFinish", error);
}

bool weights_create(const device *dev, kernels *k, const model *m, weights *out, host_error *error)
{
    weights w = {.layers = calloc(m->layers, sizeof *w.layers), .count = m->layers};
    if (!w.layers)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    uploader u = {dev, k, m, 0, &w};
    bool ok = add_all(&u, error);
    if (ok)
        *out = w;
    else
        weights_free(&w);
    return ok;
}

static void release(cl_mem mem)
{
    if (mem)
        clReleaseMemObject(mem);
}

void weights_free(weights *w)
{
    for (uint32_t i = 0; i < w->count; ++i)
        for (int role = 0; role < MODEL_ROLES; ++role)
            release(w->layers[i].roles[role].mem);
    if (w->output.mem != w->embedding.mem)
        release(w->output.mem);
    release(w->embedding.mem);
    release(w->output_norm.mem);
    free(w->layers);
    *w = (weights){0};
}
