/* half.h: 16-bit floats on the host, by integer arithmetic only, so that every compiler and flag gives the same bits. */
#ifndef GEAR_MODEL_HALF_H
#define GEAR_MODEL_HALF_H

#include <stdint.h>

#define GEAR__HALF_MAX 0x7bffu /* 65504 */

/* Round to nearest even; beyond the range: infinity; NaN stays NaN. */
uint16_t gear__half_from_float(float value);
/* The same, but results beyond +-65504 become +-65504: for everything that a record stores. NaN becomes 0. */
uint16_t gear__half_saturate(float value);
float gear__float_from_half(uint16_t half);

/* bfloat16: the upper half of a float32; round to nearest even, NaN stays NaN. */
uint16_t gear__bf16_from_float(float value);
float gear__float_from_bf16(uint16_t value);

#endif
