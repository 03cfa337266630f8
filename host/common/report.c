/* report.c: tables and JSON, see report.h. */
#define _POSIX_C_SOURCE 200809L
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool table_add(report_table *table, size_t columns, const char *const *cells, host_error *error)
{
    if (table->rows == table->room) {
        size_t room = table->room ? 2 * table->room : 16;
        char **grown = realloc(table->cells, room * columns * sizeof *grown);
        if (!grown)
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        table->cells = grown;
        table->room = room;
    }
    table->columns = columns;
    char **row = table->cells + table->rows * columns;
    for (size_t i = 0; i < columns; ++i) {
        row[i] = strdup(cells[i]);
        if (!row[i]) {
            while (i-- > 0)
                free(row[i]);
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        }
    }
    ++table->rows;
    return true;
}

static int column_width(const report_table *table, size_t column)
{
    size_t width = 0;
    for (size_t r = 0; r < table->rows; ++r) {
        size_t length = strlen(table->cells[r * table->columns + column]);
        width = length > width ? length : width;
    }
    return (int)width;
}

void table_print(const report_table *table, FILE *stream)
{
    for (size_t r = 0; r < table->rows; ++r)
        for (size_t c = 0; c < table->columns; ++c) {
            const char *cell = table->cells[r * table->columns + c];
            fprintf(stream, c ? "  %*s" : "%-*s", column_width(table, c), cell);
            if (c + 1 == table->columns)
                fputc('\n', stream);
        }
}

void table_free(report_table *table)
{
    for (size_t i = 0; i < table->rows * table->columns; ++i)
        free(table->cells[i]);
    free(table->cells);
    *table = (report_table){0};
}

void report_number(double value, int decimals, char *out, size_t size)
{
    if (isfinite(value))
        snprintf(out, size, "%.*f", decimals, value);
    else
        snprintf(out, size, "-");
}

json_t *report_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

uint64_t report_compressed(const gear_bytes *b)
{
    return b->codes + b->scales + b->lowrank + b->outliers + b->exact + b->tables;
}

json_t *report_bytes(const gear_bytes *b)
{
    uint64_t total = report_compressed(b) + b->window;
    return json_pack("{sI sI sI sI sI sI sI sI sI sI sI}", "codes", (json_int_t)b->codes, "scales", (json_int_t)b->scales,
                     "lowrank", (json_int_t)b->lowrank, "outliers", (json_int_t)b->outliers, "exact", (json_int_t)b->exact,
                     "tables", (json_int_t)b->tables, "window", (json_int_t)b->window, "total", (json_int_t)total, "scratch",
                     (json_int_t)b->scratch, "unused", (json_int_t)b->unused, "allocated",
                     (json_int_t)(total + b->scratch + b->unused));
}

/* Drivers may name things in any encoding; JSON is UTF-8. */
static json_t *text(const char *bytes)
{
    json_t *string = json_string(bytes);
    return string ? string : json_string("unreadable");
}

json_t *report_device(const device *dev)
{
    return json_pack("{so so so ss so so ss?}", "platform", text(dev->platform_name), "name", text(dev->name), "vendor",
                     text(dev->vendor), "type", device_kind(dev->type), "version", text(dev->version), "driver",
                     text(dev->driver), "uuid", dev->uuid[0] ? dev->uuid : NULL);
}

void report_time(char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm utc;
    if (!gmtime_r(&now, &utc) || !strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &utc))
        snprintf(out, size, "unknown");
}

json_t *report_read(const char *path, host_error *error)
{
    json_error_t where;
    json_t *root = NULL;
    FILE *file = fopen(path, "r");
    if (!file) {
        fail(error, EXIT_INPUT, "%s: %s", path, strerror(errno));
        return NULL;
    }
    errno = 0;
    root = json_loadf(file, JSON_REJECT_DUPLICATES, &where);
    if (!root && ferror(file))
        fail(error, EXIT_INPUT, "%s: cannot read: %s", path, strerror(errno));
    else if (!root)
        fail(error, EXIT_INPUT, "%s: line %d: %s", path, where.line, where.text);
    (void)fclose(file);
    return root;
}

bool report_write(json_t *root, out_file *file, host_error *error)
{
    bool ok = root ? true : fail(error, EXIT_DEVICE, "host memory exhausted");
    errno = 0;
    if (ok && (json_dumpf(root, file->stream, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) || fputc('\n', file->stream) == EOF))
        ok = fail(error, EXIT_DEVICE, "%s: cannot write: %s", file->path, strerror(errno));
    if (ok)
        return out_commit(file, error);
    out_discard(file);
    return false;
}
