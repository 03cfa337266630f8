/* test_tune_database.c: gear-tune changes one device's part of the tuning database and not a byte of the rest, writes what it
 * can read, and refuses what the library could not embed. */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../host/gear-tune/database.h"
#include "open_cl.h"

static const char sample[] = "/* Some text,\n"
                             " * TUNED(CPU, ANY, ANY, 1, 1, 1) is in a comment */\n"
                             "CLASS(CPU)\n"
                             "TUNED(CPU, ANY, ANY, 4, 1, 4)\n"
                             "\n"
                             "DEVICE(\"Card A\", \"driver 1\")\n"
                             "  TUNED( PORTABLE ,64,PLAIN , 2, 64, 8 ) \n"
                             "/* about the next */\n"
                             "TUNED(NVIDIA, 128, ANY, 8, 96, 4)\n"
                             "\n"
                             "/* about B */\n"
                             "DEVICE(\"Card B\", \"driver 2\")\n"
                             "PREFER(PORTABLE, ANY, MIXED)\n"
                             "VENDOR(NVIDIA, GPU)\n"
                             "TUNED(NVIDIA, ANY, ANY, 8, 96, 4)\n";

/* The text of a database as it would be written. The caller frees it. */
static char *text_of(const database *d)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    for (size_t i = 0; i < d->count; ++i)
        fprintf(stream, "%s\n", d->lines[i].text);
    fclose(stream);
    return text;
}

static database parsed(const char *text)
{
    database d;
    host_error error = {0};
    cr_assert(database_parse(text, "test", &d, &error), "%s", error.text);
    return d;
}

static void same_text(const database *d, const char *want)
{
    char *got = text_of(d);
    cr_assert_str_eq(got, want);
    free(got);
}

/* `sample` with the lines from `from` up to `to` replaced. */
static char *sample_with(const char *from, const char *to, const char *replacement)
{
    static char text[sizeof sample + 512];
    const char *a = strstr(sample, from), *b = to ? strstr(a, to) : a + strlen(a);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(a - sample), sample, replacement, b);
    return text;
}

static database_record tuned(const char *kernel, const char *head_dim, const char *codecs, uint32_t rows)
{
    database_record r = {.kind = DATABASE_TUNED, .tuning = {rows, 64, 3}};
    strcpy(r.kernel, kernel);
    strcpy(r.head_dim, head_dim);
    strcpy(r.codecs, codecs);
    return r;
}

static void update(database *d, const char *device, const database_record *records, size_t count)
{
    host_error error = {0};
    cr_assert(database_update(d, device, "driver 9", records, count, &error), "%s", error.text);
}

Test(tune_database, what_was_read_is_written)
{
    database d = parsed(sample);
    same_text(&d, sample);
    cr_assert_eq(d.count, 15);
    cr_assert_eq(d.lines[1].kind, DATABASE_TEXT);
    cr_assert_eq(d.lines[5].kind, DATABASE_DEVICE);
    cr_assert_str_eq(d.lines[5].name, "Card A");
    const database_record *r = &d.lines[6].record;
    cr_assert(r->kind == DATABASE_TUNED && !strcmp(r->kernel, "PORTABLE") && !strcmp(r->head_dim, "64"));
    cr_assert(!strcmp(r->codecs, "PLAIN") && r->tuning.rows == 2 && r->tuning.work_items == 64 &&
              r->tuning.groups_per_unit == 8);
    cr_assert_eq(d.lines[12].kind, DATABASE_PREFER);
    database_free(&d);
}

Test(tune_database, the_librarys_own_file_is_one)
{
    database d;
    host_error error = {0};
    cr_assert(database_read(GEAR_TEST_ROOT "/src/stage/attend_tuning.def", &d, &error), "%s", error.text);
    size_t records = 0;
    for (size_t i = 0; i < d.count; ++i)
        records += d.lines[i].kind >= DATABASE_TUNED;
    cr_assert_geq(records, 7);
    char *before = text_of(&d);
    const database_record record = tuned("CPU", "64", "PLAIN", 4);
    update(&d, "a device that is not there", &record, 1);
    char *after = text_of(&d);
    cr_assert_eq(strncmp(after, before, strlen(before)), 0);
    cr_assert_str_eq(after + strlen(before), "\nDEVICE(\"a device that is not there\", \"driver 9\")\n"
                                             "TUNED(CPU, 64, PLAIN, 4, 64, 3)\n");
    free(before);
    free(after);
    database_free(&d);
}

Test(tune_database, a_record_is_replaced_where_it_stands)
{
    database d = parsed(sample);
    const database_record record = tuned("PORTABLE", "64", "PLAIN", 8);
    update(&d, "Card A", &record, 1);
    same_text(&d, sample_with("DEVICE(\"Card A\"", "/* about the next",
                              "DEVICE(\"Card A\", \"driver 9\")\nTUNED(PORTABLE, 64, PLAIN, 8, 64, 3)\n"));
    update(&d, "Card A", &record, 1); /* and again changes nothing */
    same_text(&d, sample_with("DEVICE(\"Card A\"", "/* about the next",
                              "DEVICE(\"Card A\", \"driver 9\")\nTUNED(PORTABLE, 64, PLAIN, 8, 64, 3)\n"));
    database_free(&d);
}

Test(tune_database, a_new_record_comes_behind_the_last_of_its_device)
{
    database d = parsed(sample);
    const database_record records[] = {tuned("NVIDIA", "64", "ANY", 8), tuned("PORTABLE", "128", "PLAIN", 1)};
    update(&d, "Card A", records, 2);
    same_text(&d,
              sample_with("DEVICE(\"Card A\"", "\n/* about B",
                          "DEVICE(\"Card A\", \"driver 9\")\n  TUNED( PORTABLE ,64,PLAIN , 2, 64, 8 ) \n/* about the next */\n"
                          "TUNED(NVIDIA, 128, ANY, 8, 96, 4)\nTUNED(NVIDIA, 64, ANY, 8, 64, 3)\n"
                          "TUNED(PORTABLE, 128, PLAIN, 1, 64, 3)\n"));
    database_free(&d);
}

/* Of PREFER the kernel is no key: there is one choice. */
Test(tune_database, a_preference_replaces_another)
{
    database d = parsed(sample);
    database_record record = tuned("CPU", "ANY", "MIXED", 0);
    record.kind = DATABASE_PREFER;
    update(&d, "Card B", &record, 1);
    same_text(&d, sample_with("DEVICE(\"Card B\"", "VENDOR", "DEVICE(\"Card B\", \"driver 9\")\nPREFER(CPU, ANY, MIXED)\n"));
    database_free(&d);
}

/* Quotes and backslashes in a name; and an empty file. */
Test(tune_database, any_name_comes_back)
{
    static const char name[] = "A \"fast\" \\ card, (TM) \xc2\xb5";
    database d = {0}, again;
    host_error error = {0};
    update(&d, name, NULL, 0);
    same_text(&d, "DEVICE(\"A \\\"fast\\\" \\\\ card, (TM) \xc2\xb5\", \"driver 9\")\n");
    char *text = text_of(&d);
    again = parsed(text);
    cr_assert_str_eq(again.lines[0].name, name);
    update(&again, name, NULL, 0);
    same_text(&again, text);
    cr_assert_not(database_update(&again, "two\nlines", "x", NULL, 0, &error));
    same_text(&again, text);
    free(text);
    database_free(&again);
    database_free(&d);
}

Test(tune_database, files)
{
    const char *directory = test_directory();
    char path[600];
    host_error error = {0};
    database d = parsed(sample), again;
    snprintf(path, sizeof path, "%s/x.def", directory);
    cr_assert(database_read(path, &again, &error), "%s", error.text); /* none yet */
    cr_assert_eq(again.count, 0);
    cr_assert(database_writable(path, &error), "%s", error.text);
    cr_assert_neq(access(path, F_OK), 0); /* it leaves nothing */
    cr_assert(database_write(&d, path, &error), "%s", error.text);
    cr_assert(database_write(&d, path, &error), "%s", error.text);
    cr_assert(database_read(path, &again, &error), "%s", error.text);
    same_text(&again, sample);
    database_free(&again);
    database_free(&d);
    host_error nowhere = {0};
    cr_assert_not(database_writable("/nonexistent/x.def", &nowhere));
    cr_assert_not(database_write(&again, "/nonexistent/x.def", &nowhere));
    cr_assert(nowhere.exit_code == EXIT_INPUT && strstr(nowhere.text, "/nonexistent/x.def: cannot write: "));
    cr_assert(database_read(directory, &again, &error) == false && error.exit_code == EXIT_INPUT);
    database_free(&again);
    remove(path);
}

Test(tune_database, other_lines_are_refused_with_their_number)
{
    static const char *const lines[] = {"TUNED(CPU, 64, PLAIN, 1, 1)",
                                        "TUNED(CPU, 64, PLAIN, 1, 1, x)",
                                        "TUNED(CPU, 64, PLAIN, 1, 1, 2) x",
                                        "TUNED(CPU, 64, PLAIN, 1, 1, 2, 3)",
                                        "TUNED(CPU, 64, PLAIN, 1, 1, 99999999)",
                                        "TUNED CPU",
                                        "PREFER(CPU, 64)",
                                        "PREFER(CPU, 64, PLAIN, 1, 2, 3)",
                                        "DEVICE(Card, \"x\")",
                                        "DEVICE(\"Card\")",
                                        "DEVICE(\"Card, \"x\")",
                                        "DEVICE(\"Card\\q\", \"x",
                                        "CLASS()",
                                        "VENDOR(NVIDIA)",
                                        "OTHER(CPU)",
                                        "#include \"x\"",
                                        "/* a */ TUNED(CPU, 64, PLAIN, 1, 1, 2)",
                                        "/* no end"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; ++i) {
        char text[256];
        database d;
        host_error error = {0};
        snprintf(text, sizeof text, "CLASS(CPU)\n%s\n", lines[i]);
        cr_assert_not(database_parse(text, "FILE", &d, &error), "%s", lines[i]);
        cr_assert_eq(error.exit_code, EXIT_INPUT);
        cr_assert_eq(strncmp(error.text, "FILE:", 5), 0, "%s", error.text);
        database_free(&d);
    }
    database d;
    host_error error = {0};
    cr_assert_not(database_parse("\nTUNED(CPU, 64, PLAIN, 1, 1, 2)\n", "FILE", &d, &error));
    cr_assert_eq(strncmp(error.text, "FILE:2: ", 8), 0, "%s", error.text);
    database_free(&d);
}
