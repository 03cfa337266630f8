/* attend_kernel.h: the kernels that can compute attention, which of them a device and a shape allow, and how each tiles its
 * work. They read the same records and write the same partial results. */
#ifndef GEAR_STAGE_ATTEND_KERNEL_H
#define GEAR_STAGE_ATTEND_KERNEL_H

#include "stage/attend_tuning.h"

/* How one kernel divides attention into work-groups. */
typedef struct gear__attend_tile {
    gear_attend_kernel kernel; /* not AUTO */
    uint32_t rows;             /* query rows of one KV head that a work-group serves */
    uint32_t work_items;       /* of a work-group */
    uint32_t groups_per_unit;  /* work-groups that fill a compute unit */
    uint32_t least_items;      /* of a work-group where many follow one another: a kernel of its own if it is fewer */
    uint32_t least_per_unit;   /* such work-groups that fill a compute unit */
    /* For calls with more query rows than `rows`, of kernels of its own: rows and work-items of a work-group, work-groups that
     * fill a compute unit. 0: there is none. */
    uint32_t wide_rows, wide_items, wide_per_unit;
    uint32_t tiles;          /* tiles that a work-group takes at a time: more splits than that would leave some idle */
    uint32_t registers;      /* NVIDIA: most of a work-item, so that so many work-groups fit; 0: the compiler decides */
    uint32_t wide_registers; /* the same with wide_rows */
    int paired;              /* NVIDIA: no more than 4 query rows; their rounding takes the place of the other 4 */
    int direct; /* NVIDIA: codes are read from global memory, because blocks are too large to pass through local memory */
    const char *source; /* where the numbers come from */
} gear__attend_tile;

/* Query rows of a row tile of the kernels that merge: bounds the number of their counters. */
#define GEAR__ATTEND_LEAST_ROWS 8u
/* Most query rows that the work-groups filling a compute unit serve together: bounds the scratch of the splits. */
#define GEAR__ATTEND_ROWS_PER_UNIT 128u

/* "portable", ...; NULL behind the last. */
const char *gear__attend_name(gear_attend_kernel kernel);

/* Why the kernel cannot run, or NULL when it can. kernel: not AUTO. */
const char *gear__attend_why_not(gear_attend_kernel kernel, const gear__caps *caps, const gear__shape *shape);

/* `wanted`, or for AUTO the fastest kernel that can run, unless the tuning database prefers one before it. */
gear_attend_kernel gear__attend_choose(gear_attend_kernel wanted, const gear__caps *caps, const gear__shape *shape);

/* Whether the kernel joins the splits and writes the output itself; else attend_2_merge has to follow. */
int gear__attend_merges(gear_attend_kernel kernel);

/* Channels of V that share a scale, as the kernels count them: head_dim where a token has one scale or none. */
uint32_t gear__attend_v_group(const gear__shape *shape);

/* The tiling for at most max_rows query rows of one KV head in a call. kernel: one that can run (gear__attend_why_not).
 * wanted: NULL, or what is asked for. A field of 0 is the tuning database's to fill; one that the kernel cannot take is not
 * taken. */
gear__attend_tile gear__attend_tile_of(gear_attend_kernel kernel, const gear__caps *caps, const gear__shape *shape,
                                       uint32_t max_rows, const gear_attend_tuning *wanted);

/* Refuses fields of `wanted` that `tile`, which gear__attend_tile_of made of it, could not take. */
gear_status gear__attend_tuning_check(const gear__attend_tile *tile, const gear__caps *caps, const gear_attend_tuning *wanted,
                                      const char *where, gear_error *error);

#endif
