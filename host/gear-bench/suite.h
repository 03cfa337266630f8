/* suite.h: all shapes of a file, each with its 16-bit row and, on CPU devices, the C + OpenMP peer. */
#ifndef GEAR_BENCH_SUITE_H
#define GEAR_BENCH_SUITE_H

#include "run.h"

typedef struct suite_options {
    bool no_baseline;
    float stop_after; /* seconds; 0: never */
    float seconds;    /* of the peer's clock */
    unsigned rounds;
} suite_options;

typedef struct result_list {
    result *items; /* room for four of each shape */
    size_t count;
    size_t missing;  /* rows without a result */
    size_t left_out; /* verbs of shapes, asked for and not measured: time was up */
} result_list;

/* Measures what the shapes ask for and tells of each on stderr as it comes. */
void suite_run(bench *b, const suite_options *o, const shape_list *shapes, result_list *list);

#endif
