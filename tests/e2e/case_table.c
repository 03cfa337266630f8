/* case_table.c: reads cases.tsv. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"

uint32_t case_read(const char *path, uint32_t set, e2e_case *cases)
{
    static const char *const names[] = {
#define CASE_NAME(name) #name,
        CASE_COLUMNS(CASE_NAME)
#undef CASE_NAME
    };
    const size_t columns = sizeof names / sizeof *names;
    char line[1024];
    uint32_t count = 0, row = 0;
    int has_names = 0;
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "cannot read %s", path);
    while (fgets(line, sizeof line, file)) {
        uint32_t values[sizeof names / sizeof *names];
        char *word = strtok(line, "\t\n");
        if (line[0] == '#') {
            continue;
        }
        for (size_t i = 0; i < columns; i++, word = strtok(NULL, "\t\n")) {
            cr_assert_not_null(word, "%s: row %u has %zu columns", path, row, i);
            values[i] = (uint32_t)strtoul(word, NULL, 10);
            cr_assert(has_names || !strcmp(word, names[i]), "%s: column %zu is %s, not %s", path, i, word, names[i]);
        }
        if (has_names && values[0] == set) {
            cr_assert_lt(count, CASE_MAX);
            memset(&cases[count], 0, sizeof *cases);
            memcpy(&cases[count], values, sizeof values);
            cases[count++].row = row;
        }
        has_names = 1;
        row++;
    }
    (void)fclose(file);
    return count;
}

uint32_t case_values(const char *path, const char *name, uint32_t *values, uint32_t most)
{
    const size_t length = strlen(name);
    char line[1024];
    uint32_t count = 0;
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "cannot read %s", path);
    while (!count && fgets(line, sizeof line, file)) {
        const char *at = line + 4; /* "#   NAME   VALUE VALUE   what they mean" */
        if (strncmp(line, "#   ", 4) || strncmp(at, name, length) || at[length] != ' ') {
            continue;
        }
        for (at += length; *at == ' '; at++) {
        }
        for (char *end; count < most && *at >= '0' && *at <= '9'; at = end + (*end == ' ')) {
            values[count++] = (uint32_t)strtoul(at, &end, 10);
        }
    }
    (void)fclose(file);
    cr_assert_gt(count, 0, "%s does not list the values of %s", path, name);
    return count;
}
