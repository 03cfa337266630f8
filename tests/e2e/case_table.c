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
