/* clock.h: times a verb, warm: on the device's clock from the end of a blocking kernel to the end of the last of many verbs
 * that are queued behind it, by the events of its kernels, and on the wall with a wait for each. */
#ifndef GEAR_MEASURE_CLOCK_H
#define GEAR_MEASURE_CLOCK_H

#include "../common/pick_device.h"
#include "launches.h"
#include "spread.h"

/* Enqueues one verb. signal: NULL, or receives the event of its end. */
typedef bool verb_call(void *user, cl_command_queue queue, cl_event *signal, host_error *error);
/* Makes ready for one verb, outside the time; may be NULL. Enqueues nothing and waits for nothing, unless one_a_round. */
typedef bool verb_ready(void *user, host_error *error);

typedef struct timing {
    unsigned rounds, per_round; /* of the device clock */
    spread device;              /* per verb, gaps between its launches counted */
    spread kernels;             /* sum of the durations of its launches */
    spread wall;                /* one verb and the wait for it, on a queue without profiling */
    stage_list stages;          /* the launches of the best verb of `kernels`; times of many, each stage by itself */
} timing;

typedef struct clocks {
    const device *dev;
    cl_command_queue profiled;
    cl_program program;
    cl_kernel blocker;
    cl_mem sink;
    double ms_per_turn; /* of the blocker */
    double seconds;     /* how long each of the three clocks runs */
    unsigned rounds;    /* 0: as many as fit `seconds`, at least 5 */
    bool device_only;   /* leaves out the other two clocks */
    bool one_a_round;   /* for verbs whose `ready` uses the device */
} clocks;

bool clocks_open(clocks *c, const device *dev, double seconds, unsigned rounds, host_error *error);
void clocks_close(clocks *c);

bool clocks_time(clocks *c, verb_call *call, verb_ready *ready, void *user, timing *out, host_error *error);

#endif
