/* step.cl: x = x * FACTOR + addend, so that the order of launches shows in the result. */
#include "step.clh"
#  include "step.clh"

#ifndef FACTOR
#  error "FACTOR is missing"
#endif

__kernel void gear_k_step(__global uint *data, const uint addend)
{
    const size_t i = get_global_id(0);
    data[i] = step_of(data[i], FACTOR, addend);
}
