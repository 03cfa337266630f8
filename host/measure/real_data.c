/* real_data.c: see real_data.h. The kernel and place_of are the same arithmetic. */
#include "real_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/half.h"
#include "../common/npy.h"

static const char source[] =
    "kernel void tile(global ushort *out, global const ushort *values, uint heads, uint first, uint layer, uint model_heads,\n"
    "                 uint model_tokens, uint model_dim)\n"
    "{\n"
    "    uint channel = get_global_id(0), row = get_global_id(1), part = get_global_id(2), head = part % heads;\n"
    "    uint dim = get_global_size(0), tokens = get_global_size(1), parts = (dim + model_dim - 1) / model_dim;\n"
    "    uint from = (head * parts + channel / model_dim) % model_heads;\n"
    "    size_t place = (((size_t)layer * model_heads + from) * model_tokens + (first + row) % model_tokens) * model_dim\n"
    "                   + channel % model_dim;\n"
    "    out[((size_t)part * tokens + row) * dim + channel] = values[place];\n"
    "}\n";

/* Of a value in values[]. */
static size_t place_of(const real_data *r, uint32_t layer, uint32_t head, uint32_t token, uint32_t channel, uint32_t head_dim)
{
    uint32_t parts = (head_dim + r->dim - 1) / r->dim, from = (head * parts + channel / r->dim) % r->heads;
    return (((size_t)layer * r->heads + from) * r->tokens + token % r->tokens) * r->dim + channel % r->dim;
}

float real_data_value(const real_data *r, bool is_v, uint32_t layer, uint32_t head, uint32_t token, uint32_t channel,
                      uint32_t head_dim)
{
    return half_to_float(r->values[is_v][place_of(r, layer, head, token, channel, head_dim)]);
}

static size_t layer_values(const real_data *r)
{
    return (size_t)r->heads * r->tokens * r->dim;
}

/* Appends one side of a layer; the first file says what all are like. */
static bool read_side(real_data *r, bool is_v, const char *path, host_error *error)
{
    npy_array a = {0};
    if (!npy_read(path, 3, &a, error))
        return false;
    if (!r->heads) {
        r->heads = (uint32_t)a.shape[0];
        r->tokens = (uint32_t)a.shape[1];
        r->dim = (uint32_t)a.shape[2];
    }
    size_t values = layer_values(r), bytes = values * sizeof(uint16_t);
    bool ok = (a.type == NPY_F16 && values && a.shape[0] == r->heads && a.shape[1] == r->tokens && a.shape[2] == r->dim) ||
              fail(error, EXIT_INPUT, "%s: not float16 [%u][%u][%u] as the first file", path, r->heads, r->tokens, r->dim);
    uint16_t *grown = ok ? realloc(r->values[is_v], (r->layers + 1) * bytes) : NULL;
    if (grown) {
        r->values[is_v] = grown;
        memcpy(grown + r->layers * values, a.data, bytes);
    } else if (ok) {
        ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    }
    npy_free(&a);
    return ok;
}

bool real_data_read(real_data *r, const char *folder, host_error *error)
{
    size_t size = strlen(folder) + 32;
    char *path = malloc(size);
    bool ok = path || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t number = 0; ok && number < REAL_LAYERS; ++number) {
        snprintf(path, size, "%s/L%02u_k_post.npy", folder, number);
        if (access(path, F_OK))
            continue;
        ok = read_side(r, false, path, error);
        snprintf(path, size, "%s/L%02u_v.npy", folder, number);
        ok = ok && read_side(r, true, path, error);
        if (ok)
            r->numbers[r->layers++] = number;
    }
    free(path);
    return ok && (r->layers || fail(error, EXIT_INPUT, "%s: no L00_k_post.npy to L99_k_post.npy in it", folder));
}

bool real_data_find(const real_data *r, uint32_t number, uint32_t *layer, host_error *error)
{
    char known[5 * REAL_LAYERS] = "";
    size_t length = 0;
    if (!r->layers)
        return fail(error, EXIT_INPUT, "a shape with data=real, and no real data: gear-bench --data names its folder");
    *layer = r->layers / 2;
    if (number == MIDDLE_LAYER)
        return true;
    for (*layer = 0; *layer < r->layers; ++*layer) {
        if (r->numbers[*layer] == number)
            return true;
        length += (size_t)snprintf(known + length, sizeof known - length, "%s%u", length ? ", " : "", r->numbers[*layer]);
    }
    return fail(error, EXIT_INPUT, "data=real:%u: the folder of --data has layers %s", number, known);
}

bool real_data_open(real_data *r, const device *dev, host_error *error)
{
    cl_int code = CL_SUCCESS;
    const char *text = source;
    for (int side = 0; side < 2; ++side) {
        r->mem[side] = clCreateBuffer(dev->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                                      r->layers * layer_values(r) * sizeof(uint16_t), r->values[side], &code);
        if (!cl_ok(code, "clCreateBuffer", error))
            return false;
    }
    r->program = clCreateProgramWithSource(dev->context, 1, &text, NULL, &code);
    if (!cl_ok(code, "clCreateProgramWithSource", error) ||
        !cl_ok(clBuildProgram(r->program, 1, &dev->id, "", NULL, NULL), "clBuildProgram", error))
        return false;
    r->kernel = clCreateKernel(r->program, "tile", &code);
    return cl_ok(code, "clCreateKernel", error);
}

void real_data_close(real_data *r)
{
    for (int side = 0; side < 2; ++side) {
        free(r->values[side]);
        if (r->mem[side])
            clReleaseMemObject(r->mem[side]);
    }
    if (r->kernel)
        clReleaseKernel(r->kernel);
    if (r->program)
        clReleaseProgram(r->program);
    *r = (real_data){0};
}

bool real_data_fill(const real_data *r, cl_command_queue queue, cl_mem mem, bool is_v, uint32_t layer, uint32_t sequences,
                    uint32_t heads, uint32_t first, uint32_t tokens, uint32_t head_dim, host_error *error)
{
    const cl_uint words[] = {heads, first, layer, r->heads, r->tokens, r->dim};
    const size_t global[] = {head_dim, tokens, (size_t)sequences * heads};
    bool ok = cl_ok(clSetKernelArg(r->kernel, 0, sizeof mem, &mem), "clSetKernelArg", error) &&
              cl_ok(clSetKernelArg(r->kernel, 1, sizeof r->mem[is_v], &r->mem[is_v]), "clSetKernelArg", error);
    for (cl_uint i = 0; ok && i < sizeof words / sizeof *words; ++i)
        ok = cl_ok(clSetKernelArg(r->kernel, i + 2, sizeof words[i], &words[i]), "clSetKernelArg", error);
    return ok && cl_ok(clEnqueueNDRangeKernel(queue, r->kernel, 3, NULL, global, NULL, 0, NULL, NULL), "clEnqueueNDRangeKernel",
                       error);
}
