/* half.h: 16-bit floats on the host, where the compiler may know none. */
#ifndef HOST_HALF_H
#define HOST_HALF_H

#include <stdint.h>

/* The value of an IEEE 754 binary16, exactly. */
float half_to_float(uint16_t half);
/* The value of a bfloat16, the upper half of a float32. */
float bfloat_to_float(uint16_t bfloat);

#endif
