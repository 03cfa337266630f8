/* decode_block.h: decode steps of a shape with the word decode-block: the one that completes a block in every sequence, and one
 * that completes none, with the attention that follows it. The world's tokens are staged (world_stage_all). Both calls and what
 * makes ready for them are for clocks_time; making ready waits for the device. */
#ifndef GEAR_MEASURE_DECODE_BLOCK_H
#define GEAR_MEASURE_DECODE_BLOCK_H

#include "attend.h"

/* user: a world. */
bool decode_block_ready(void *user, host_error *error);
bool decode_block_append(void *user, cl_command_queue queue, cl_event *signal, host_error *error);

/* user: an attend_run that has its buffers. The lists of both verbs are on the device, as in the middle of a loop. */
bool decode_step_ready(void *user, host_error *error);
bool decode_step(void *user, cl_command_queue queue, cl_event *signal, host_error *error);

#endif
