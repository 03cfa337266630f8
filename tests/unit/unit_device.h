/* unit_device.h: a gear__device on the tests' own kernels, and a log that keeps what it was told. */
#ifndef UNIT_DEVICE_H
#define UNIT_DEVICE_H

#include "device/device.h"
#include "device/options.h"
#include "open_cl.h"

typedef struct unit_log {
    char text[16384];
    size_t length;
    int warnings;
} unit_log;

void unit_log_write(void *user, gear_log_level level, const char *text);

/* Descriptor with counting allocator, tests/unit/kernels and, when not NULL, the log and cache directory. */
gear_context_desc unit_desc(const test_cl *cl, unit_log *log, const char *cache_dir);
/* Options for step.cl. */
gear__options unit_step(long factor);

#endif
