/* upload: writes words that travel as kernel arguments into a table. The host enqueues it instead of a buffer write, because
 * arguments are copied at enqueue time: no host memory has to outlive the call, and nothing waits. Twelve vectors and not one
 * structure: an index into an argument would put it into scratch memory. Range: 64 work-items, the first twelve write 16 words
 * each. */
#include "layout.h"

#define GEAR_PUT(n, component)                                                                                                 \
  if (first + n < count) {                                                                                                     \
    table[offset + first + n] = component;                                                                                     \
  }

__kernel void gear_k_upload(__global uint *table, uint offset, uint count, uint16 w0, uint16 w1, uint16 w2, uint16 w3,
                            uint16 w4, uint16 w5, uint16 w6, uint16 w7, uint16 w8, uint16 w9, uint16 w10, uint16 w11)
{
    const uint i = (uint)get_global_id(0), first = 16u * i;
    if (i >= GEAR__UPLOAD_WORDS / 16u) {
        return;
    }
    uint16 w = i == 0u ? w0 : i == 1u ? w1 : i == 2u ? w2 : i == 3u ? w3 : i == 4u ? w4 : i == 5u ? w5 : w6;
    w = i < 7u ? w : i == 7u ? w7 : i == 8u ? w8 : i == 9u ? w9 : i == 10u ? w10 : w11;
    GEAR_PUT(0u, w.s0)
    GEAR_PUT(1u, w.s1)
    GEAR_PUT(2u, w.s2)
    GEAR_PUT(3u, w.s3)
    GEAR_PUT(4u, w.s4)
    GEAR_PUT(5u, w.s5)
    GEAR_PUT(6u, w.s6)
    GEAR_PUT(7u, w.s7)
    GEAR_PUT(8u, w.s8)
    GEAR_PUT(9u, w.s9)
    GEAR_PUT(10u, w.sa)
    GEAR_PUT(11u, w.sb)
    GEAR_PUT(12u, w.sc)
    GEAR_PUT(13u, w.sd)
    GEAR_PUT(14u, w.se)
    GEAR_PUT(15u, w.sf)
}
