/* data.c: see data.h. The kernel and data_value are the same arithmetic: a sum of twelve bytes of a hash, all of it exact. */
#include "data.h"

#include <math.h>
#include <string.h>

static const char source[] =
    "uint mix(uint x)\n"
    "{\n"
    "    x ^= x >> 16; x *= 0x7feb352du; x ^= x >> 15; x *= 0x846ca68bu; return x ^ (x >> 16);\n"
    "}\n"
    "uint bytes(uint x)\n"
    "{\n"
    "    return (x & 255u) + ((x >> 8) & 255u) + ((x >> 16) & 255u) + (x >> 24);\n"
    "}\n"
    "kernel void make(global half *out, uint kind, uint heads, uint first, uint tokens, uint dim)\n"
    "{\n"
    "    uint channel = get_global_id(0), row = get_global_id(1), part = get_global_id(2), head = part % heads;\n"
    "    uint lane = mix(mix(mix(kind) + head) + channel), at = mix(lane + first + row);\n"
    "    uint sum = bytes(at) + bytes(mix(at + 1u)) + bytes(mix(at + 2u));\n"
    "    float value = (float)((int)sum - 1530) * (mix(lane) % 16u ? 0x1p-8f : 0x1p-6f);\n"
    "    vstore_half(value, ((size_t)part * tokens + row) * dim + channel, out);\n"
    "}\n";

static uint32_t mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

static uint32_t bytes(uint32_t x)
{
    return (x & 255u) + ((x >> 8) & 255u) + ((x >> 16) & 255u) + (x >> 24);
}

float data_value(data_kind kind, uint32_t head, uint32_t token, uint32_t channel)
{
    uint32_t lane = mix(mix(mix((uint32_t)kind) + head) + channel), at = mix(lane + token);
    uint32_t sum = bytes(at) + bytes(mix(at + 1u)) + bytes(mix(at + 2u));
    return (float)((int32_t)sum - 1530) * (mix(lane) % 16u ? 0x1p-8f : 0x1p-6f);
}

float data_from_half(uint16_t half)
{
    int exponent = (half >> 10) & 31, mantissa = half & 1023;
    float value = exponent == 31  ? (mantissa ? NAN : INFINITY)
                  : exponent == 0 ? ldexpf((float)mantissa, -24)
                                  : ldexpf((float)(mantissa + 1024), exponent - 25);
    return half & 0x8000 ? -value : value;
}

uint16_t data_to_half(float value)
{
    int exponent = 0;
    float fraction = frexpf(fabsf(value), &exponent); /* 0.5 .. 1 */
    if (!(fraction > 0))
        return 0;
    unsigned mantissa = (unsigned)(fraction * 2048.0f) - 1024u; /* values are multiples of 1/256, so none is subnormal */
    return (uint16_t)((value < 0 ? 0x8000u : 0u) | (unsigned)(exponent + 14) << 10 | mantissa);
}

bool generator_open(generator *g, const device *dev, host_error *error)
{
    cl_int code = CL_SUCCESS;
    const char *text = source;
    *g = (generator){0};
    g->program = clCreateProgramWithSource(dev->context, 1, &text, NULL, &code);
    if (!cl_ok(code, "clCreateProgramWithSource", error) ||
        !cl_ok(clBuildProgram(g->program, 1, &dev->id, "", NULL, NULL), "clBuildProgram", error))
        return false;
    g->kernel = clCreateKernel(g->program, "make", &code);
    return cl_ok(code, "clCreateKernel", error);
}

void generator_close(generator *g)
{
    if (g->kernel)
        clReleaseKernel(g->kernel);
    if (g->program)
        clReleaseProgram(g->program);
    real_data_close(&g->real);
    *g = (generator){0};
}

bool generate(generator *g, cl_command_queue queue, cl_mem mem, data_kind kind, uint32_t sequences, uint32_t heads,
              uint32_t first, uint32_t tokens, uint32_t head_dim, host_error *error)
{
    const cl_uint words[] = {(cl_uint)kind, heads, first, tokens, head_dim};
    const size_t global[] = {head_dim, tokens, (size_t)sequences * heads};
    bool ok = cl_ok(clSetKernelArg(g->kernel, 0, sizeof mem, &mem), "clSetKernelArg", error);
    for (cl_uint i = 0; ok && i < 5; ++i)
        ok = cl_ok(clSetKernelArg(g->kernel, i + 1, sizeof words[i], &words[i]), "clSetKernelArg", error);
    return ok && cl_ok(clEnqueueNDRangeKernel(queue, g->kernel, 3, NULL, global, NULL, 0, NULL, NULL), "clEnqueueNDRangeKernel",
                       error);
}
