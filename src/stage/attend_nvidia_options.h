/* attend_nvidia_options.h: the options of attend_1_partial_nvidia. */
#ifndef GEAR_STAGE_ATTEND_NVIDIA_OPTIONS_H
#define GEAR_STAGE_ATTEND_NVIDIA_OPTIONS_H

#include "device/program.h"
#include "stage/attend_kernel.h"

/* Adds them to `options`. is_wide: with wide_rows of the tile. work_items: of a work-group, a multiple of 32. */
void gear__attend_nvidia_options(gear__options *options, const gear__shape *shape, const gear__attend_tile *tile, int is_wide,
                                 uint32_t work_items);

#endif
