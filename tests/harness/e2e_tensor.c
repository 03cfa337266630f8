/* e2e_tensor.c: see the header. */
#include "e2e_tensor.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/half.h"

#define CANARY 0xff
#define PAD    48u /* elements before and behind */

static size_t element_of(gear_type type)
{
    return type == GEAR_F32 ? 4 : 2;
}

void e2e_tensor_open(e2e_rig *rig, e2e_tensor *t, gear_type type, e2e_layout layout, uint32_t heads, uint32_t dim,
                     uint32_t num_seqs, const uint32_t *tokens)
{
    size_t total = 0, longest = 0, elements;
    cl_int code;
    memset(t, 0, sizeof *t);
    cr_assert_leq(num_seqs, E2E_MAX_SEQS);
    for (uint32_t i = 0; i < num_seqs; i++) {
        t->tokens[i] = tokens[i];
        total += tokens[i];
        longest = tokens[i] > longest ? tokens[i] : longest;
    }
    t->heads = heads;
    t->dim = dim;
    t->num_seqs = num_seqs;
    t->view.type = type;
    switch (layout) {
    case E2E_HEADS:
        t->view.stride_token = dim;
        t->view.stride_head = total * dim > dim ? total * dim : dim;
        elements = heads * t->view.stride_head;
        break;
    case E2E_STRIDED:
        t->view.stride_token = dim + 3;
        t->view.stride_head = longest * (dim + 3) + 5 > dim ? longest * (dim + 3) + 5 : dim;
        t->view.stride_seq = heads * t->view.stride_head + 7;
        elements = num_seqs * t->view.stride_seq;
        break;
    default:
        t->view.stride_head = dim;
        t->view.stride_token = (size_t)heads * dim;
        elements = total * t->view.stride_token;
        break;
    }
    t->view.offset = (layout == E2E_PACKED ? PAD : PAD - 1) * element_of(type);
    t->bytes = (elements + 2 * PAD) * element_of(type);
    t->image = malloc(t->bytes);
    cr_assert_not_null(t->image);
    memset(t->image, CANARY, t->bytes);
    t->view.mem = clCreateBuffer(rig->cl.context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, t->bytes, t->image, &code);
    cr_assert_eq(code, CL_SUCCESS, "clCreateBuffer: %d", code);
}

void e2e_tensor_close(e2e_tensor *t)
{
    free(t->image);
    (void)clReleaseMemObject(t->view.mem);
    memset(t, 0, sizeof *t);
}

static size_t byte_of(const e2e_tensor *t, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    size_t before = 0;
    for (uint32_t i = 0; i < seq; i++) {
        before += t->tokens[i];
    }
    size_t first = t->view.stride_seq ? seq * t->view.stride_seq : before * t->view.stride_token;
    return t->view.offset +
           (first + head * t->view.stride_head + token * t->view.stride_token + channel) * element_of(t->view.type);
}

void e2e_put(e2e_tensor *t, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel, float value)
{
    unsigned char *at = t->image + byte_of(t, seq, head, token, channel);
    if (t->view.type == GEAR_F32) {
        memcpy(at, &value, 4);
    } else {
        uint16_t bits = t->view.type == GEAR_F16 ? gear__half_from_float(value) : gear__bf16_from_float(value);
        memcpy(at, &bits, 2);
    }
}

float e2e_get(const e2e_tensor *t, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    const unsigned char *at = t->image + byte_of(t, seq, head, token, channel);
    uint16_t bits;
    float value;
    if (t->view.type == GEAR_F32) {
        memcpy(&value, at, 4);
        return value;
    }
    memcpy(&bits, at, 2);
    return t->view.type == GEAR_F16 ? gear__float_from_half(bits) : gear__float_from_bf16(bits);
}

void e2e_upload(e2e_rig *rig, e2e_tensor *t)
{
    cl_int code = clEnqueueWriteBuffer(rig->cl.queue, t->view.mem, CL_TRUE, 0, t->bytes, t->image, 0, NULL, NULL);
    cr_assert_eq(code, CL_SUCCESS, "clEnqueueWriteBuffer: %d", code);
}

void e2e_download(e2e_rig *rig, e2e_tensor *t, const char *what)
{
    unsigned char *values = calloc(t->bytes, 1);
    cl_int code = clEnqueueReadBuffer(rig->cl.queue, t->view.mem, CL_TRUE, 0, t->bytes, t->image, 0, NULL, NULL);
    cr_assert_eq(code, CL_SUCCESS, "clEnqueueReadBuffer: %d", code);
    cr_assert_not_null(values);
    for (uint32_t s = 0; s < t->num_seqs; s++) {
        for (uint32_t h = 0; h < t->heads; h++) {
            for (uint32_t n = 0; n < t->tokens[s]; n++) {
                memset(values + byte_of(t, s, h, n, 0), 1, t->dim * element_of(t->view.type));
            }
        }
    }
    for (size_t i = 0; i < t->bytes; i++) {
        if (!values[i] && t->image[i] != CANARY) {
            cr_assert_fail("%s: byte %zu of %zu, outside the values, has changed", what, i, t->bytes);
        }
    }
    free(values);
}

void e2e_fill(e2e_rig *rig, e2e_tensor *t, e2e_maker make, const void *user, const uint32_t *first)
{
    for (uint32_t s = 0; s < t->num_seqs; s++) {
        for (uint32_t h = 0; h < t->heads; h++) {
            for (uint32_t n = 0; n < t->tokens[s]; n++) {
                for (uint32_t c = 0; c < t->dim; c++) {
                    e2e_put(t, s, h, n, c, make(user, s, h, n + (first ? first[s] : 0), c));
                }
            }
        }
    }
    e2e_upload(rig, t);
}

float e2e_noise(uint32_t seed, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t x = seed * 0x9e3779b9u + 1u;
    const uint32_t part[4] = {a, b, c, d};
    for (int i = 0; i < 4; i++) {
        x = (x ^ part[i]) * 0x85ebca6bu;
        x ^= x >> 15;
        x *= 0xc2b2ae35u;
        x ^= x >> 13;
    }
    return (float)(x >> 8) * 0x1p-23f - 1.0f;
}

float e2e_key(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    uint32_t seed = *(const uint32_t *)user;
    float mean = channel % 7 == 3 ? 3.0f : channel % 11 == 5 ? -1.5f : 0.0f;
    return mean + e2e_noise(seed, seq, head, token, channel) + e2e_noise(seed + 1, seq, head, token, channel);
}

float e2e_value(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    uint32_t seed = *(const uint32_t *)user;
    float x = e2e_noise(seed + 2, seq, head, token, channel);
    return e2e_noise(seed + 3, seq, head, token, channel) > 0.98f ? 5 * x : x;
}

float e2e_query(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    return e2e_noise(*(const uint32_t *)user + 4, seq, head, token, channel);
}

float e2e_round(gear_type type, float x)
{
    return type == GEAR_F32   ? x
           : type == GEAR_F16 ? gear__float_from_half(gear__half_from_float(x))
                              : gear__float_from_bf16(gear__bf16_from_float(x));
}

double e2e_half_ulp(gear_type type, double x)
{
    int digits = type == GEAR_F32 ? 24 : type == GEAR_F16 ? 11 : 8, least = type == GEAR_F16 ? -14 : -126, exponent;
    (void)frexp(x, &exponent);
    exponent = x == 0 || exponent - 1 < least ? least + 1 : exponent;
    return ldexp(1, exponent - digits - 1);
}
