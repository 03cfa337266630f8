/* test_bench_result.c: the document of gear-bench says what was measured, in units that its keys name; rows without a right
 * result have no numbers; the page is made from it. */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../host/common/report.h"
#include "../../host/gear-bench/page.h"
#include "../../host/gear-bench/result.h"

static const device some_device = {.platform_name = "platform",
                                   .name = "A <device>",
                                   .vendor = "v",
                                   .driver = "1",
                                   .version = "2",
                                   .uuid = "01234567-89ab-cdef-0123-456789abcdef",
                                   .type = CL_DEVICE_TYPE_GPU};
static const peer_setting some_peer = {.threads = 2, .wait_policy = "passive"};
static const bandwidth peaks = {.bytes = 1u << 30, .read = 1000, .copy = 800};

/* 2 ms for 1 GB: 500 GB/s. */
static result some_result(uint32_t tokens)
{
    result r = {.verb = VERB_ATTEND, .variant = "portable", .moved = 1000000000, .bits = 3, .peak = 1000, .new_tokens = 4};
    char line[] = "attend 4 8 4 99 128 1 --preset paper_2bit_l";
    host_error error = {0};
    cr_assert(shape_parse(line, "test", &r.shape, &error));
    r.shape.tokens = tokens;
    r.time.device = (spread){2, 2.5};
    r.time.kernels = r.time.wall = (spread){3, 4};
    r.time.stages.count = 2;
    r.time.stages.items[0] = (stage_time){"attend_1_partial", 1, 64, 1.0, 1.25};
    r.time.stages.items[1] = (stage_time){"attend_2_merge", 1, 128, 0.5, 0.5};
    r.stage_16bit[0] = 3;
    r.of_16bit = 4.5;
    r.openmp = (spread){(double)NAN, (double)NAN};
    return r;
}

static json_t *some_document(void)
{
    result list[3] = {some_result(1024), some_result(4096), some_result(16384)};
    snprintf(list[2].problem, sizeof list[2].problem, "wrong result: off");
    list[2].wrong = true;
    list[1].openmp = (spread){6, 7};
    json_t *document = results_json(list, 3, 2, &some_device, &peaks, &some_peer);
    cr_assert_not_null(document);
    return document;
}

static double at(const json_t *row, const char *object, const char *key)
{
    return json_number_value(json_object_get(object ? json_object_get(row, object) : row, key));
}

Test(bench_result, numbers_are_in_the_units_of_their_keys)
{
    json_t *document = some_document(), *row = json_array_get(json_object_get(document, "rows"), 0);
    cr_assert_float_eq(at(row, "device_us", "best"), 2000, 1e-6);
    cr_assert_float_eq(at(row, "device_us", "median"), 2500, 1e-6);
    cr_assert_float_eq(at(row, NULL, "gbps"), 500, 1e-6);
    cr_assert_float_eq(at(row, NULL, "percent"), 50, 1e-6);
    cr_assert_float_eq(at(row, NULL, "tokens_per_s"), 2000, 1e-6);
    cr_assert_float_eq(at(row, NULL, "times_16bit"), 4.5, 1e-6);
    cr_assert(json_is_null(json_object_get(row, "openmp_us")));
    cr_assert_float_eq(at(document, "bandwidth", "read_gbps"), 1000, 1e-6);
    cr_assert_str_eq(json_string_value(json_object_get(row, "codec")), "paper_2bit_l");
    json_t *stage = json_array_get(json_object_get(row, "stages"), 0);
    cr_assert_float_eq(at(stage, NULL, "us"), 1000, 1e-6);
    cr_assert_float_eq(at(stage, NULL, "median_us"), 1250, 1e-6);
    cr_assert_float_eq(at(stage, NULL, "gbps"), 1000, 1e-6);
    cr_assert_float_eq(at(stage, NULL, "tokens_per_s"), 4000, 1e-6);
    cr_assert_float_eq(at(stage, NULL, "us_16bit"), 3000, 1e-6);
    cr_assert_float_eq(at(stage, NULL, "times_16bit"), 3, 1e-6);
    cr_assert(json_is_null(json_object_get(json_array_get(json_object_get(row, "stages"), 1), "times_16bit")));
    json_decref(document);
}

/* What it takes to know that two documents are of one card, one call and one state of the source. */
Test(bench_result, the_document_says_where_when_and_from_what)
{
    json_t *document = some_document(), *openmp = json_object_get(document, "openmp");
    const char *now = json_string_value(json_object_get(document, "time"));
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(document, "device"), "uuid")), some_device.uuid);
    cr_assert_str_eq(json_string_value(json_object_get(document, "commit")), report_commit());
    cr_assert_gt(strlen(report_commit()), 0);
    cr_assert_not_null(now);
    cr_assert(strlen(now) == 20 && now[10] == 'T' && now[19] == 'Z', "%s", now);
    cr_assert_eq(strncmp(now, json_string_value(json_object_get(document, "date")), 10), 0);
    cr_assert_eq(json_integer_value(json_object_get(openmp, "threads")), 2);
    cr_assert_str_eq(json_string_value(json_object_get(openmp, "wait_policy")), "passive");
    cr_assert_eq(json_integer_value(json_object_get(document, "left_out")), 2);
    json_decref(document);
}

Test(bench_result, a_row_names_its_data_as_it_was_asked_for)
{
    static const char *const names[] = {"made", "real", "real:14"};
    result list[3] = {some_result(1024), some_result(1024), some_result(1024)};
    list[1].shape.real = list[2].shape.real = true;
    list[1].shape.layer = MIDDLE_LAYER;
    list[2].shape.layer = 14;
    list[1].layer = list[2].layer = 14;
    json_t *document = results_json(list, 3, 0, &some_device, &peaks, &some_peer);
    for (size_t i = 0; i < 3; ++i) {
        json_t *row = json_array_get(json_object_get(document, "rows"), i);
        cr_expect_str_eq(json_string_value(json_object_get(row, "data")), names[i]);
        cr_expect(i ? json_integer_value(json_object_get(row, "layer")) == 14 : json_is_null(json_object_get(row, "layer")));
    }
    json_decref(document);
}

Test(bench_result, a_title_says_all_that_the_shapes_file_said)
{
    char line[] = "append 4 8 4 4096 128 1 decode-block data=real:7 --rank 2 --window 16", title[512];
    result r = some_result(1);
    host_error error = {0};
    cr_assert(shape_parse(line, "test", &r.shape, &error), "%s", error.text);
    r.verb = VERB_APPEND;
    result_title(&r, title, sizeof title);
    cr_expect_str_eq(title, "append 4x8 4 4096 128/1 decode-block data=real:7 kivi-2 +L rank=2:2 decode-rank=2:2 window=16");
}

Test(bench_result, the_peer_is_named_only_where_it_ran)
{
    const result alone = some_result(1024);
    json_t *document = results_json(&alone, 1, 0, &some_device, &peaks, &some_peer);
    cr_assert(json_is_null(json_object_get(document, "openmp")));
    json_decref(document);
}

Test(bench_result, a_wrong_result_has_no_numbers)
{
    json_t *document = some_document(), *row = json_array_get(json_object_get(document, "rows"), 2);
    cr_assert_str_eq(json_string_value(json_object_get(row, "problem")), "wrong result: off");
    cr_assert(json_is_true(json_object_get(row, "wrong")));
    cr_assert_null(json_object_get(row, "device_us"));
    cr_assert_null(json_object_get(row, "gbps"));
    cr_assert_null(json_object_get(row, "stages"));
    json_decref(document);
}

/* What page_write writes. */
static char *page_of(json_t *const *documents, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    host_error error = {0};
    FILE *file = open_memstream(&text, &size);
    cr_assert_not_null(file);
    cr_assert(page_write(documents, count, file, &error), "%s", error.text);
    cr_assert_eq(fclose(file), 0);
    return text;
}

static size_t occurrences(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *c = text; (c = strstr(c, part)); c += strlen(part))
        ++n;
    return n;
}

Test(bench_page, stands_alone_and_escapes_names)
{
    json_t *documents[] = {some_document(), some_document()};
    char *text = page_of(documents, 2);
    cr_assert_null(strstr(text, "<device>"));
    cr_assert_not_null(strstr(text, "A &lt;device&gt;"));
    cr_assert_null(strstr(text, "http"));
    cr_assert_null(strstr(text, "nan"));
    cr_assert_not_null(strstr(text, "wrong result: off"));
    cr_assert_not_null(strstr(text, "against context length"));
    cr_assert_eq(occurrences(text, "<svg"), occurrences(text, "</svg>"));
    cr_assert_eq(occurrences(text, "<table"), 4);
    cr_assert_eq(occurrences(text, "<td>attend_1_partial</td><td>1</td><td>1000.0</td><td>1250.0</td>"), 4);
    cr_assert_eq(occurrences(text, "<td>4000</td><td>3000.0</td><td>3.00</td>"), 4);
    free(text);
    json_decref(documents[0]);
    json_decref(documents[1]);
}

Test(bench_page, documents_without_rows_make_a_page_too)
{
    json_t *document = json_pack("{ss s{ss} s[]}", "program", "gear-bench", "device", "name", "x", "rows");
    char *text = page_of(&document, 1);
    cr_assert_not_null(strstr(text, "</html>"));
    free(text);
    json_decref(document);
}

Test(bench_page, other_files_are_bad_input)
{
    host_error error = {0};
    cr_assert_null(page_read("no/such/file.json", &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
}

/* A document of attend rows that take `us`, one for each line of a shapes file. */
static json_t *document_of(const char *const *lines, size_t count, double us)
{
    result list[16];
    host_error error = {0};
    for (size_t i = 0; i < count; ++i) {
        char line[256];
        snprintf(line, sizeof line, "%s", lines[i]);
        list[i] = some_result(1);
        cr_assert(shape_parse(line, "test", &list[i].shape, &error), "%s", error.text);
        list[i].verb = list[i].shape.verbs;
        list[i].layer = list[i].shape.layer == MIDDLE_LAYER ? 7 : list[i].shape.layer;
        list[i].time.device = (spread){1e-3 * (us + (double)i), 1e-3 * (us + (double)i)};
    }
    json_t *document = results_json(list, count, 0, &some_device, &peaks, &some_peer);
    cr_assert_not_null(document);
    return document;
}

/* Rows that differ in one field of the shape only have names and numbers of their own. */
Test(bench_page, every_row_shows_its_own_numbers)
{
    static const char *const lines[] = {"attend 4 8 4 4096 128 2 --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 4 --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 1 window=7 --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 1 window=63 --preset paper_2bit_l",
                                        "append 4 8 4 4096 128 1 --preset paper_2bit_l",
                                        "append 4 8 4 4096 128 1 decode-block --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 2 --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 2 data=real --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 2 data=real:0 --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 2 data=real:14 --preset paper_2bit_l",
                                        "attend 4 8 4 4096 128 1 --rank 4",
                                        "attend 4 8 4 4096 128 1 --rank 2",
                                        "attend 4 8 4 4096 128 1 --rank 2 --iters 5",
                                        "attend 4 8 4 4096 128 1 --preset paper_2bit_l --window 32"};
    static const char *const names[] = {"kivi-2 +L rank=2:2 decode-rank=2:2 iters=5:5, 4 x 8",
                                        ", 2 queries",
                                        ", real data, layer 7<",
                                        ", real data, layer 0<",
                                        ", real data, layer 14<",
                                        ", 4 queries",
                                        " window=7<",
                                        " window=63<",
                                        " decode-block<"};
    json_t *document = document_of(lines, 14, 500);
    char *text = page_of(&document, 1);
    for (size_t i = 0; i < 9; ++i)
        cr_expect_not_null(strstr(text, names[i]), "%s", names[i]);
    cr_expect_eq(occurrences(text, ">paper_2bit_l window=32</text>"), 1, "of a point, against bits");
    for (int i = 0; i < 14; ++i) {
        char bar[32];
        snprintf(bar, sizeof bar, " %%, %d.0 us<", 500 + i);
        cr_expect_eq(occurrences(text, bar), 1, "%s", bar);
    }
    free(text);
    json_decref(document);
}

/* Side by side are the rows of all documents, and figures keep two runs of a device apart. */
Test(bench_page, two_runs_of_a_device_keep_their_own_rows_and_series)
{
    static const char *const mine[] = {"attend 4 8 4 1024 128 1 --preset paper_2bit_l",
                                       "attend 4 8 4 4096 128 1 --preset paper_2bit_l"};
    static const char *const other[] = {"attend 4 8 4 4096 128 1 --preset paper_2bit_l",
                                        "attend 4 8 4 8192 128 1 --preset paper_2bit_l"};
    json_t *documents[] = {document_of(mine, 2, 500), document_of(other, 2, 700)};
    char *text = page_of(documents, 2);
    for (int i = 0; i < 4; ++i) {
        static const int us[] = {500, 501, 700, 701};
        char bar[32];
        snprintf(bar, sizeof bar, " %%, %d.0 us<", us[i]);
        cr_expect_eq(occurrences(text, bar), 1, "%s", bar);
    }
    cr_expect_not_null(strstr(text, "<h2>run 1: A &lt;device&gt;, stages</h2>"));
    cr_expect_not_null(strstr(text, "<h2>run 2: A &lt;device&gt;, stages</h2>"));
    cr_expect_not_null(strstr(text, ">paper_2bit_l, 4 x 8, 4 a head, d128, run 1<"));
    cr_expect_not_null(strstr(text, ">paper_2bit_l, 4 x 8, 4 a head, d128, run 2<"));
    free(text);
    json_decref(documents[0]);
    json_decref(documents[1]);
}

/* Series are told apart by all that their rows say of a codec, however long. */
Test(bench_page, rows_that_differ_at_the_end_of_their_details_have_series_of_their_own)
{
    static const char codec[] = "--rank 4 --v-rank 2 --iters 5 --factor-bits 8 --outliers 0.015 --v-outliers 0.025 "
                                "--outlier-rule block --exact-first 4 --window 128 --recent";
    char lines[4][256];
    const char *const list[4] = {lines[0], lines[1], lines[2], lines[3]};
    for (unsigned i = 0; i < 4; ++i)
        snprintf(lines[i], sizeof lines[i], "attend 4 8 4 %u 128 1 %s %u", i % 2 ? 4096 : 1024, codec, i / 2 ? 48 : 32);
    json_t *documents[] = {document_of(list, 4, 500), document_of(list, 4, 700)};
    char *text = page_of(documents, 2);
    cr_expect_eq(occurrences(text, " recent=32, 4 x 8, 4 a head, d128, run 1<"), 1);
    cr_expect_eq(occurrences(text, " recent=48, 4 x 8, 4 a head, d128, run 1<"), 1);
    cr_expect_eq(occurrences(text, " recent=48, 4 x 8, 4 a head, d128, run 2<"), 1);
    free(text);
    json_decref(documents[0]);
    json_decref(documents[1]);
}

/* What results_csv writes. */
static char *csv_of(const result *list, size_t count)
{
    char path[] = "/tmp/gear_test_bench_XXXXXX";
    static char text[16384];
    host_error error = {0};
    out_file out = {0};
    int descriptor = mkstemp(path);
    cr_assert(descriptor >= 0);
    close(descriptor);
    cr_assert(out_open(&out, path, &error) && results_csv(list, count, &some_device, &out, &error), "%s", error.text);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    remove(path);
    return text;
}

/* The cell of a column, by the header; line 0 is the first below it. Empty: "". */
static const char *csv_cell(const char *text, unsigned line, const char *column)
{
    static char cell[256];
    char copy[16384], *save = NULL, *head;
    unsigned at = 0, found = 0;
    snprintf(copy, sizeof copy, "%s", text);
    head = strtok_r(copy, "\n", &save);
    char *row = strtok_r(NULL, "\n", &save);
    for (unsigned i = 0; row && i < line; ++i)
        row = strtok_r(NULL, "\n", &save);
    cr_assert_not_null(row, "line %u", line);
    for (char *name = strtok_r(head, ",", &save); name; name = strtok_r(NULL, ",", &save), ++at)
        found = !strcmp(name, column) ? at + 1 : found;
    cr_assert(found, "no column %s", column);
    for (unsigned i = 1; i < found; ++i) {
        row = strchr(row, ',');
        cr_assert_not_null(row);
        ++row;
    }
    snprintf(cell, sizeof cell, "%.*s", (int)strcspn(row, ","), row);
    return cell;
}

Test(bench_csv, has_every_time_and_the_stages)
{
    result list[2] = {some_result(1024), some_result(4096)};
    char line[] = "append 4 8 4 128 128 1 decode-block --preset paper_2bit_l";
    host_error error = {0};
    cr_assert(shape_parse(line, "test", &list[1].shape, &error));
    list[1].verb = VERB_APPEND;
    list[0].openmp = (spread){7, 8};
    list[1].step.device = (spread){0.25, 0.5};
    list[1].step.wall = (spread){0.75, 1};
    const char *text = csv_of(list, 2);
    cr_expect_str_eq(csv_cell(text, 0, "openmp_us"), "7000.000");
    cr_expect_str_eq(csv_cell(text, 0, "openmp_median_us"), "8000.000");
    cr_expect_str_eq(csv_cell(text, 0, "wall_us"), "3000.000");
    cr_expect_str_eq(csv_cell(text, 0, "wall_median_us"), "4000.000");
    cr_expect_str_eq(csv_cell(text, 0, "kernels_median_us"), "4000.000");
    cr_expect_str_eq(csv_cell(text, 0, "times_16bit"), "4.500");
    cr_expect_str_eq(csv_cell(text, 0, "step_device_us"), "");
    cr_expect_str_eq(csv_cell(text, 0, "stage"), "");
    cr_expect_str_eq(csv_cell(text, 1, "stage"), "attend_1_partial");
    cr_expect_str_eq(csv_cell(text, 1, "kernels_us"), "1000.000");
    cr_expect_str_eq(csv_cell(text, 1, "kernels_median_us"), "1250.000");
    cr_expect_str_eq(csv_cell(text, 1, "tokens_per_s"), "4000.0");
    cr_expect_str_eq(csv_cell(text, 1, "times_16bit"), "3.000");
    cr_expect_str_eq(csv_cell(text, 2, "times_16bit"), "");
    cr_expect_str_eq(csv_cell(text, 1, "gbps"), "1000.00");
    cr_expect_str_eq(csv_cell(text, 1, "device_us"), "");
    cr_expect_str_eq(csv_cell(text, 3, "step_device_us"), "250.000");
    cr_expect_str_eq(csv_cell(text, 3, "step_device_median_us"), "500.000");
    cr_expect_str_eq(csv_cell(text, 3, "step_wall_us"), "750.000");
}

Test(bench_csv, rows_without_a_result_say_why)
{
    result list[2] = {some_result(1024), some_result(4096)};
    snprintf(list[0].problem, sizeof list[0].problem, "\"nvidia\" does not serve it");
    const char *text = csv_of(list, 2);
    cr_expect_str_eq(csv_cell(text, 0, "problem"), "\"\"\"nvidia\"\" does not serve it\"");
    cr_expect_str_eq(csv_cell(text, 0, "tokens"), "1024");
    cr_expect_str_eq(csv_cell(text, 0, "device_us"), "");
    cr_expect_str_eq(csv_cell(text, 1, "device_us"), "2000.000");
    cr_expect_str_eq(csv_cell(text, 1, "problem"), "");
}
