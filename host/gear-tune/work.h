/* work.h: what a device is measured on: shapes of one head_dim and one class of codecs, which share a record of the
 * database. */
#ifndef GEAR_TUNE_WORK_H
#define GEAR_TUNE_WORK_H

#include "../measure/verify.h"

enum { WORK_SHAPES = 8, WORK_GROUPS = 64 };

typedef struct work {
    uint32_t head_dim;
    char codecs[16]; /* the library's name of the class */
    bench_shape shapes[WORK_SHAPES];
    reference_output references[WORK_SHAPES]; /* made when it is first needed */
    size_t count;
} work;

typedef struct work_list {
    work *items; /* owned */
    size_t count;
} work_list;

/* The shapes that this kind of device is measured on: decoding with few and with many sequences, under one codec of each class,
 * or under `only`. head_dim 0: 64 and 128. */
bool work_default(gear_context *context, const device *dev, uint32_t head_dim, const recipe *only, work_list *out,
                  host_error *error);
void work_free(work_list *list);
/* Shapes of a file, of which those with `attend` count. */
bool work_of_shapes(gear_context *context, const shape_list *shapes, work_list *out, host_error *error);

#endif
