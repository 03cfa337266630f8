/* options.h: the only producer of OpenCL build options. Integers only, one canonical text: the order of the calls. The text is
 * part of every program cache key, so equal settings must make equal calls in the same order. */
#ifndef GEAR_DEVICE_OPTIONS_H
#define GEAR_DEVICE_OPTIONS_H

#include <stddef.h>

#define GEAR__OPTIONS_BYTES 3072u

typedef struct gear__options {
    char text[GEAR__OPTIONS_BYTES]; /* always NUL-terminated */
    size_t length;
    /* set once something did not fit or a name was not an identifier; gear__program_kernel refuses such options */
    int overflow;
} gear__options;

/* Starts over with what every kernel needs: OpenCL C 1.2, and no option that relaxes arithmetic. */
void gear__options_begin(gear__options *options);
/* Limits the registers of a work-item, for NVIDIA's compiler alone; before the first gear__options_int. */
void gear__options_registers(gear__options *options, unsigned most);
/* Appends " -D NAME=value". */
void gear__options_int(gear__options *options, const char *name, long value);

#endif
