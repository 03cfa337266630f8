/* test_half.c: model/half.h over every half, and over floats around every rounding boundary. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "model/half.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The value of a half by its definition. */
static double defined(uint32_t half)
{
    int exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    double magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
                       : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                                      : ldexp(mantissa, -24);
    return half & 0x8000 ? -magnitude : magnitude;
}

Test(half, every_half_decodes_and_comes_back)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        float value = gear__float_from_half((uint16_t)h);
        double want = defined(h);
        if (isnan(want)) {
            cr_assert(isnan(value));
            cr_assert((gear__half_from_float(value) & 0x7fff) > 0x7c00, "%04x", h);
            continue;
        }
        cr_assert(bits_of(value) == bits_of((float)want), "%04x decodes to %g", h, (double)value);
        cr_assert_eq(gear__half_from_float(value), h, "%04x comes back as %04x", h, gear__half_from_float(value));
    }
}

Test(half, rounds_to_nearest_even_between_neighbours)
{
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double low = defined(h), high = h + 1 == 0x7c00 ? 65536 : defined(h + 1);
        float middle = (float)((low + high) / 2); /* exact */
        uint16_t even = (uint16_t)(h & 1 ? h + 1 : h);
        for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
            float s = sign ? -1.0f : 1.0f;
            cr_assert_eq(gear__half_from_float(s * middle), sign | even, "tie above %04x", h);
            cr_assert_eq(gear__half_from_float(s * nextafterf(middle, 0)), sign | h, "below the tie above %04x", h);
            cr_assert_eq(gear__half_from_float(s * nextafterf(middle, INFINITY)), sign | (h + 1), "over the tie above %04x", h);
        }
    }
}

Test(half, saturates)
{
    const float large[] = {65520.0f, 1e30f, INFINITY};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(gear__half_from_float(large[i]), 0x7c00);
        cr_assert_eq(gear__half_saturate(large[i]), 0x7bff);
        cr_assert_eq(gear__half_saturate(-large[i]), 0xfbff);
    }
    cr_assert_eq(gear__half_saturate(NAN), 0);
    cr_assert_eq(gear__half_saturate(65519.0f), 0x7bff);
    cr_assert_eq(gear__half_saturate(-1.5f), 0xbe00);
}

Test(half, bfloat16)
{
    for (uint32_t b = 0; b < 0x10000; b++) {
        float value = gear__float_from_bf16((uint16_t)b);
        cr_assert_eq(bits_of(value), b << 16);
        uint16_t back = gear__bf16_from_float(value);
        cr_assert(isnan(value) ? (back & 0x7fff) > 0x7f80 : back == b, "%04x comes back as %04x", b, back);
    }
    cr_assert_eq(gear__bf16_from_float(1.00390625f), 0x3f80); /* 1 + 2^-8: a tie, to even */
    cr_assert_eq(gear__bf16_from_float(1.01171875f), 0x3f82); /* 1 + 3 x 2^-8 */
    cr_assert_eq(gear__bf16_from_float(3.4e38f), 0x7f80);
}
