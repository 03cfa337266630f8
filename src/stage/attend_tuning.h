/* attend_tuning.h: the tuning database: what was found best for an attend kernel on a device, and sound values by class for
 * every other device. src/stage/attend_tuning.def has the values. */
#ifndef GEAR_STAGE_ATTEND_TUNING_H
#define GEAR_STAGE_ATTEND_TUNING_H

#include "device/caps.h"
#include "model/shape.h"

/* Codecs that load a kernel alike, by what takes most of it. */
typedef enum gear__codec_class {
    GEAR__CODEC_ANY,      /* only in records */
    GEAR__CODEC_EXACT,    /* K and V of 16 bits */
    GEAR__CODEC_PLAIN,    /* codes and scales alone */
    GEAR__CODEC_LOWRANK,  /* and low rank */
    GEAR__CODEC_OUTLIERS, /* and outliers, with low rank or without */
    GEAR__CODEC_MIXED,    /* the mixed backbone on one side at least */
    GEAR__CODEC_ROTATED   /* and V rotated */
} gear__codec_class;

gear__codec_class gear__codec_class_of(const gear__shape *shape);
/* "EXACT", ... as in the database; NULL behind the last. */
const char *gear__codec_class_name(gear__codec_class codecs);

typedef enum gear__device_class { GEAR__CLASS_CPU, GEAR__CLASS_GPU } gear__device_class; /* GPU: whatever is no CPU */

typedef enum gear__vendor { GEAR__VENDOR_OTHER, GEAR__VENDOR_NVIDIA, GEAR__VENDOR_AMD, GEAR__VENDOR_INTEL } gear__vendor;

/* In the order of precedence. The first three begin a scope. */
typedef enum gear__tuning_kind {
    GEAR__TUNING_CLASS,
    GEAR__TUNING_VENDOR,
    GEAR__TUNING_DEVICE,
    GEAR__TUNING_TUNED,
    GEAR__TUNING_PREFER
} gear__tuning_kind;

/* One line of the database. */
typedef struct gear__tuning_row {
    gear__tuning_kind kind;
    /* Of a scope. */
    const char *source; /* "tuned for NAME", "default of class CPU" */
    const char *device; /* of a DEVICE: its name */
    gear__device_class device_class;
    gear__vendor vendor;
    /* Of a record. */
    gear_attend_kernel kernel;
    uint32_t head_dim; /* 0: any */
    gear__codec_class codecs;
    gear_attend_tuning tuning; /* of TUNED */
} gear__tuning_row;

typedef struct gear__tuning_table {
    const gear__tuning_row *rows;
    size_t count;
} gear__tuning_table;

extern const gear__tuning_table gear__tuning_builtin;

/* What a lookup found: a record, and where its scope comes from. */
typedef struct gear__tuning_found {
    const gear__tuning_row *record; /* NULL: none */
    const char *source;
} gear__tuning_found;

/* The values for a kernel. The built-in table has some for every kernel on every device that can run it. */
gear__tuning_found gear__tuning_find(const gear__tuning_table *table, gear_attend_kernel kernel, const gear__caps *caps,
                                     const gear__shape *shape);
/* The kernel that AUTO should take; mostly the database has no opinion. */
gear__tuning_found gear__tuning_preferred(const gear__tuning_table *table, const gear__caps *caps, const gear__shape *shape);

#endif
