/* page.h: --report: one HTML page without outside references, from the documents of --json and of ci/bench_peers.py. */
#ifndef GEAR_BENCH_PAGE_H
#define GEAR_BENCH_PAGE_H

#include <jansson.h>
#include <stdio.h>

#include "../common/error.h"

/* Reads a document; one that is not of gear-bench or bench_peers is bad input. NULL on failure. */
json_t *page_read(const char *path, host_error *error);

/* Writes the page. Documents of one device name share figures, with series of their own; the first figure has every row of any
 * of them, side by side. */
bool page_write(json_t *const *documents, size_t count, FILE *file, host_error *error);

#endif
