/* append_2_fit.c: launcher of cl/append_2_fit.cl. */
#include "stage/launch_args.h"

gear_status gear__append_2_fit(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    return gear__run_rows(stream, round, GEAR__KERNEL_FIT, is_v, error);
}
