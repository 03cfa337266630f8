/* attend.h: gear_attend on the sequences of a filled world: checked against double precision before it is timed, and against
 * itself after. */
#ifndef GEAR_MEASURE_ATTEND_H
#define GEAR_MEASURE_ATTEND_H

#include "clock.h"
#include "verify.h"

typedef struct attend_run {
    world *w;
    cl_mem q, out;   /* halves [sequence][query head][query][head_dim] */
    uint16_t *first; /* what the first call wrote */
    verdict check;   /* of it */
} attend_run;

/* Queries, and a place for what attend writes. w: open, and alive until attend_close. */
bool attend_prepare(attend_run *a, world *w, host_error *error);
/* One attend; user: an attend_run that has its buffers. For clocks_time. */
bool attend_call(void *user, cl_command_queue queue, cl_event *signal, host_error *error);

/* Fills the world, calls attend once and checks what it wrote against *e, which is made where it is not yet; it serves every
 * world of that shape on that device. w: open, and alive until attend_close. */
bool attend_open(attend_run *a, world *w, reference_output *e, host_error *error);
bool attend_time(attend_run *a, clocks *c, timing *out, host_error *error);
/* What attend_open made, also where it failed. */
void attend_close(attend_run *a);

/* Bytes of a call that are no record: queries and output. */
uint64_t attend_tensor_bytes(const bench_shape *shape);

#endif
