/* broken.cl: does not compile; the error is on line 6 of this file. */
#include "step.clh"

__kernel void gear_k_broken(__global uint *data)
{
    data[0] = no_such_name;
}
