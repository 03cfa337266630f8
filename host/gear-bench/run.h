/* run.h: measures one verb of one shape: build, check, time, check again. */
#ifndef GEAR_BENCH_RUN_H
#define GEAR_BENCH_RUN_H

#include "result.h"

typedef struct bench {
    const device *dev;
    gear_context *context;
    generator data;
    clocks clocks;
    bandwidth peaks;
    gear_attend_kernel kernel;
} bench;

/* Fills *r; a shape that fails in any way has r->problem set. */
void run_shape(bench *b, const bench_shape *shape, unsigned verb, result *r);

#endif
