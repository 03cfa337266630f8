/* database.h: the tuning database as a text file (src/stage/attend_tuning.def): reads it, replaces or adds what one device was
 * measured to be best with, and keeps every other line as it is. docs/tuning.md has the format. */
#ifndef GEAR_TUNE_DATABASE_H
#define GEAR_TUNE_DATABASE_H

#include <stdio.h>

#include "line.h"

/* Zeroed: an empty one. */
typedef struct database {
    database_line *lines;
    size_t count, room;
} database;

/* Parses a text; `where` begins its messages. False for a line that is none of the format's. */
bool database_parse(const char *text, const char *where, database *out, host_error *error);
/* Reads a file. One that does not exist is an empty database. */
bool database_read(const char *path, database *out, host_error *error);
void database_free(database *d);

/* Makes the device's scope say that it was measured with `measured_with`, and has the records: one of the same kernel (TUNED),
 * head_dim and codecs is replaced where it stands, others come behind the last. A device that is not there comes last. */
bool database_update(database *d, const char *device, const char *measured_with, const database_record *records, size_t count,
                     host_error *error);

/* The lines of one device; nothing where it is not there. */
void database_print(const database *d, const char *device, FILE *stream);
/* Whether database_write can: asked before the work starts. */
bool database_writable(const char *path, host_error *error);
/* Replaces the file in one step. */
bool database_write(const database *d, const char *path, host_error *error);

#endif
