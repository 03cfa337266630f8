/* peer.h: times the C + OpenMP attention for a shape, on a machine whose OpenCL device is its CPU. */
#ifndef GEAR_BENCH_PEER_H
#define GEAR_BENCH_PEER_H

#include "../measure/shapes.h"

/* Best wall time of a call, checked against double precision before; NaN where the peer does not serve the shape: built without
 * OpenMP, too many rows, or more than 4 GiB of keys and values. */
bool peer_time(const bench_shape *shape, double seconds, unsigned rounds, double *best_ms, host_error *error);

#endif
