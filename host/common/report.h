/* report.h: aligned text tables and JSON files. */
#ifndef HOST_REPORT_H
#define HOST_REPORT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "out_file.h"
#include "pick_device.h"

/* Rows of text cells; the first column is aligned left, the others right. */
typedef struct report_table {
    size_t columns, rows, room;
    char **cells; /* owned copies, row after row; the header is row 0 */
} report_table;

/* Adds a row of `columns` cells (the first call adds the header). False where memory is exhausted. */
bool table_add(report_table *table, size_t columns, const char *const *cells, host_error *error);
void table_print(const report_table *table, FILE *stream);
void table_free(report_table *table);

/* "1.2345" with so many decimals, or "-" for a NaN. */
void report_number(double value, int decimals, char *out, size_t size);
/* A JSON number, or null for a NaN or infinity. */
json_t *report_real(double value);
/* {"codes": ..., "scales": ..., ...}: what tokens occupy adds up to "total"; "allocated" has "scratch" and "unused" on top. */
json_t *report_bytes(const gear_bytes *bytes);

/* {"platform", "name", "vendor", "type", "version", "driver", "uuid"}; uuid: null where the driver tells none. */
json_t *report_device(const device *dev);

/* What this was built from: git describe --always --dirty, or the version where the build saw no repository. Static. */
const char *report_commit(void);
/* The time in UTC, "2026-01-31T12:34:56Z". */
void report_time(char *out, size_t size);

/* Bytes that compressed tokens occupy: all but window, scratch and unused. */
uint64_t report_compressed(const gear_bytes *bytes);

/* Reads a document, in which no member stands twice; the caller releases it. NULL on failure. */
json_t *report_read(const char *path, host_error *error);

/* Writes the document (NULL: it could not be built) and puts the file in its place, or discards it. */
bool report_write(json_t *root, out_file *file, host_error *error);

#endif
