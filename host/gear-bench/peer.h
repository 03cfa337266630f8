/* peer.h: times the C + OpenMP attention for a shape, on a machine whose OpenCL device is its CPU. */
#ifndef GEAR_BENCH_PEER_H
#define GEAR_BENCH_PEER_H

#include "../measure/clock.h"
#include "../measure/shapes.h"

/* Wall time of a call, checked against double precision before; NaN where the peer does not serve the shape: built without
 * OpenMP, too many rows, or more than 4 GiB of keys and values. Times whose median is far above the best are taken again, and
 * after a few such tries are a failure: something else has the cores. */
bool peer_time(const bench_shape *shape, double seconds, unsigned rounds, spread *ms, host_error *error);

#endif
