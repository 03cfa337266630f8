/* out_file.h: a file that a program writes is there whole or not at all: until it is complete it has a temporary name beside
 * the path, and what was at the path stays. Devices and pipes are written directly. */
#ifndef HOST_OUT_FILE_H
#define HOST_OUT_FILE_H

#include <stdio.h>

#include "error.h"

/* All zero: none. */
typedef struct out_file {
    FILE *stream;    /* to write to; NULL: none */
    char *path;      /* owned: where it is to be, symbolic links resolved */
    char *temporary; /* owned: what it is called until then; NULL: written directly */
} out_file;

/* Before the work starts, so that a wrong path fails at once. */
bool out_open(out_file *file, const char *path, host_error *error);
/* Closes it and puts it in its place; what could not be written is a failure, and leaves the old file. */
bool out_commit(out_file *file, host_error *error);
/* Closes and removes it; nothing for none. */
void out_discard(out_file *file);

#endif
