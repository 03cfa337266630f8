/* gguf_blocks.c: see gguf_blocks.h. The layouts are those of ggml: 4-bit and 8-bit blocks of 32 values with a 16-bit scale, and
 * blocks of 256 values whose groups have scales of their own within the scale of the block. */
#include "gguf_blocks.h"

#include <string.h>

#include "half.h"

#define QK 32  /* values in a block of Q4_0, Q4_1, Q8_0 */
#define QS 256 /* values in a block of Q4_K, Q6_K */

static const struct {
    gguf_type type;
    gguf_block block;
} blocks[] = {
    {GGUF_F32, {"F32", 1, 4}},
    {GGUF_F16, {"F16", 1, 2}},
    {GGUF_Q4_0, {"Q4_0", QK, 2 + QK / 2}},
    {GGUF_Q4_1, {"Q4_1", QK, 4 + QK / 2}},
    {GGUF_Q8_0, {"Q8_0", QK, 2 + QK}},
    {GGUF_Q4_K, {"Q4_K", QS, 4 + 12 + QS / 2}},
    {GGUF_Q6_K, {"Q6_K", QS, QS / 2 + QS / 4 + QS / 16 + 2}},
    {GGUF_BF16, {"BF16", 1, 2}},
};

const gguf_block *gguf_block_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i)
        if ((uint32_t)blocks[i].type == type)
            return &blocks[i].block;
    return NULL;
}

const char *gguf_type_name(uint32_t type)
{
    /* Numbers that are free are those of types that the format has dropped. */
    static const char *const names[] = {
        "F32",    "F16",   "Q4_0",  "Q4_1",   NULL,    NULL,    "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
        "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
        "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
        "BF16",   NULL,    NULL,    NULL,     "TQ1_0", "TQ2_0", NULL,      NULL,     NULL,      "MXFP4",
    };
    return type < sizeof names / sizeof *names ? names[type] : NULL;
}

static uint16_t load_u16(const unsigned char *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static float load_half(const unsigned char *at)
{
    return half_to_float(load_u16(at));
}

static void f32(const unsigned char *at, float *out)
{
    memcpy(out, at, 4);
}

static void f16(const unsigned char *at, float *out)
{
    *out = load_half(at);
}

static void bf16(const unsigned char *at, float *out)
{
    *out = bfloat_to_float(load_u16(at));
}

/* Scale, 16 bytes: value i and value i + 16 in the low and the high half of byte i, less 8. */
static void q4_0(const unsigned char *at, float *out)
{
    float scale = load_half(at);
    for (int i = 0; i < QK / 2; ++i) {
        out[i] = (float)((at[2 + i] & 15) - 8) * scale;
        out[i + QK / 2] = (float)((at[2 + i] >> 4) - 8) * scale;
    }
}

/* Scale, minimum, and bytes as in Q4_0. */
static void q4_1(const unsigned char *at, float *out)
{
    float scale = load_half(at), minimum = load_half(at + 2);
    for (int i = 0; i < QK / 2; ++i) {
        out[i] = (float)(at[4 + i] & 15) * scale + minimum;
        out[i + QK / 2] = (float)(at[4 + i] >> 4) * scale + minimum;
    }
}

/* Scale and 32 signed bytes. */
static void q8_0(const unsigned char *at, float *out)
{
    float scale = load_half(at);
    for (int i = 0; i < QK; ++i)
        out[i] = (float)(int8_t)at[2 + i] * scale;
}

/* Scale and minimum of group j of 8, six bits each, packed in 12 bytes: those of groups 0 to 3 in the low six bits of bytes
 * 0 to 7; of groups 4 to 7 the low four bits in bytes 8 to 11, the upper two in the top of bytes 0 to 7. */
static void q4_k_group(const unsigned char *packed, int j, unsigned *scale, unsigned *minimum)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *minimum = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15u) | (packed[j - 4] >> 6) << 4;
        *minimum = (unsigned)(packed[j + 4] >> 4) | (packed[j] >> 6) << 4;
    }
}

/* Scale of scales, scale of minima, the packed 12 bytes, 128 bytes: groups 2k and 2k + 1 of 32 values in the low and the high
 * halves of bytes 32k to 32k + 31. */
static void q4_k(const unsigned char *at, float *out)
{
    float scales = load_half(at), minima = load_half(at + 2);
    for (int j = 0; j < 8; ++j) {
        unsigned scale, minimum;
        q4_k_group(at + 4, j, &scale, &minimum);
        float step = scales * (float)scale, low = minima * (float)minimum;
        const unsigned char *codes = at + 16 + j / 2 * 32;
        for (int i = 0; i < 32; ++i)
            out[32 * j + i] = step * (float)(codes[i] >> 4 * (j & 1) & 15) - low;
    }
}

/* 128 bytes of low four bits, 64 of upper two, 16 signed scales of 16 values each, their scale. Each half of 128 values: value
 * 32 g + i has its low bits in byte 32 (g & 1) + i, in the upper half of it for g of 2 and 3, and its upper bits in bits 2g and
 * 2g + 1 of byte i; less 32. */
static void q6_k(const unsigned char *at, float *out)
{
    const unsigned char *low = at, *high = at + QS / 2, *scales = high + QS / 4;
    float scale = load_half(scales + QS / 16);
    for (int v = 0; v < QS; ++v) {
        int half = v / 128, g = v / 32 & 3, i = v & 31;
        int code = (low[64 * half + 32 * (g & 1) + i] >> 4 * (g >> 1) & 15) | (high[32 * half + i] >> 2 * g & 3) << 4;
        out[v] = scale * (float)(int8_t)scales[v / 16] * (float)(code - 32);
    }
}

void gguf_dequantize(gguf_type type, const void *row, size_t count, float *out)
{
    const gguf_block *block = gguf_block_of((uint32_t)type);
    const unsigned char *at = row;
    for (size_t i = 0; i < count; i += block->values, at += block->bytes)
        switch (type) {
        case GGUF_F32: f32(at, out + i); break;
        case GGUF_F16: f16(at, out + i); break;
        case GGUF_BF16: bf16(at, out + i); break;
        case GGUF_Q4_0: q4_0(at, out + i); break;
        case GGUF_Q4_1: q4_1(at, out + i); break;
        case GGUF_Q8_0: q8_0(at, out + i); break;
        case GGUF_Q4_K: q4_k(at, out + i); break;
        case GGUF_Q6_K: q6_k(at, out + i); break;
        }
}
