/* launches.h: the device time of each kernel that the library launches. A program that measures is linked so that the
 * library's enqueue calls come here first (--wrap); while a recording is on, every launch gets an event. The library knows
 * nothing of it. */
#ifndef GEAR_MEASURE_LAUNCHES_H
#define GEAR_MEASURE_LAUNCHES_H

#include <stddef.h>

#include "../common/error.h"

enum { MOST_STAGES = 24 };

typedef struct stage_time {
    char name[64]; /* of the kernel, without "gear_k_"; "fill", "copy" */
    unsigned launches;
    unsigned long long groups; /* work-groups of all of them */
    double ms;                 /* sum of the durations; of many rounds the least */
    double median;             /* ms; of many rounds */
} stage_time;

typedef struct stage_list {
    size_t count;
    stage_time items[MOST_STAGES]; /* in the order of their first launch */
} stage_list;

/* Starts a recording; the queue that is used must have profiling. */
void launches_begin(void);
/* Ends it, when the queue is idle: sums over all launches since launches_begin. */
bool launches_end(stage_list *out, host_error *error);

#endif
