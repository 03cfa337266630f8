/* golden_file.h: reads the files that gen.py writes: "GEARGLD1", then sections {name[8], element bytes, count, data padded to
 * 8 bytes}. */
#ifndef GOLDEN_FILE_H
#define GOLDEN_FILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct golden_section {
    char name[9];
    uint32_t element, count;
    const void *data;
} golden_section;

typedef struct golden_file {
    unsigned char *bytes;
    size_t size;
} golden_file;

/* Fails the running test when the file is not one of gen.py's. */
golden_file golden_open(const char *name);
void golden_close(golden_file *file);
/* The section at *cursor (0 at first), which moves on; 0 at the end. */
int golden_next(const golden_file *file, size_t *cursor, golden_section *section);
/* Finds a section from `cursor` up to the next "case". */
int golden_find(const golden_file *file, size_t cursor, const char *name, golden_section *section);

#endif
