/* append_3_quantize.c: launcher of cl/append_3_quantize.cl. */
#include "stage/launch_args.h"

gear_status gear__append_3_quantize(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    return gear__run_rows(stream, round, GEAR__KERNEL_QUANTIZE, is_v, error);
}
