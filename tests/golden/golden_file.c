/* golden_file.c: see golden_file.h. */
#include "golden_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

golden_file golden_open(const char *name)
{
    char path[1024];
    golden_file file = {0};
    snprintf(path, sizeof path, "%s/tests/data/golden/%s", GEAR_TEST_ROOT, name);
    FILE *in = fopen(path, "rb");
    cr_assert(in, "%s does not open", path);
    cr_assert(!fseek(in, 0, SEEK_END));
    file.size = (size_t)ftell(in);
    rewind(in);
    file.bytes = malloc(file.size);
    cr_assert(file.bytes && fread(file.bytes, 1, file.size, in) == file.size, "%s does not read", path);
    fclose(in);
    cr_assert(file.size >= 8 && !memcmp(file.bytes, "GEARGLD1", 8), "%s is not a golden file", path);
    return file;
}

void golden_close(golden_file *file)
{
    free(file->bytes);
    file->bytes = NULL;
}

int golden_next(const golden_file *file, size_t *cursor, golden_section *section)
{
    size_t at = *cursor ? *cursor : 8;
    if (at == file->size) {
        return 0;
    }
    cr_assert(at + 16 <= file->size, "section header cut off");
    memset(section, 0, sizeof *section);
    memcpy(section->name, file->bytes + at, 8);
    memcpy(&section->element, file->bytes + at + 8, 4);
    memcpy(&section->count, file->bytes + at + 12, 4);
    section->data = file->bytes + at + 16;
    *cursor = at + 16 + ((size_t)section->element * section->count + 7) / 8 * 8;
    cr_assert(*cursor <= file->size, "section %s cut off", section->name);
    return 1;
}

int golden_find(const golden_file *file, size_t cursor, const char *name, golden_section *section)
{
    while (golden_next(file, &cursor, section) && strcmp(section->name, "case")) {
        if (!strcmp(section->name, name)) {
            return 1;
        }
    }
    return 0;
}
