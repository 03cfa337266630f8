/* page.c: see page.h. */
#include "page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../common/report.h"
#include "plot.h"

enum { NAME_SIZE = 448, CODEC_SIZE = 240, SHAPE_SIZE = 112, RUN_SIZE = 32 }; /* of a row, its codec and shape, its run */

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_peer(const json_t *document)
{
    return !strcmp(string(document, "program"), "bench_peers");
}

static const char *device_name(const json_t *document)
{
    return string(json_object_get(document, "device"), "name");
}

/* Best device time of a row, of a peer's too. */
static double row_us(const json_t *row)
{
    const json_t *times = json_object_get(row, "device_us");
    return times ? number(times, "best") : number(row, "us");
}

static bool is_attend(const json_t *row)
{
    const char *verb = string(row, "verb");
    return !verb[0] || !strcmp(verb, "attend");
}

/* Built in one go, without a window: what compares between context lengths. */
static bool is_plain(const json_t *row)
{
    return !json_is_true(json_object_get(row, "decode")) && !json_is_true(json_object_get(row, "shuffled")) &&
           !json_is_true(json_object_get(row, "ragged")) && !(number(row, "window") > 0);
}

static const char *codec_of(const json_t *row)
{
    const char *codec = string(row, "codec");
    return codec[0] ? codec : "best 16-bit peer";
}

static void geometry(const json_t *row, bool tokens, char *out, size_t size)
{
    char length[32] = "", queries[32] = "", layer[32] = "";
    const bool real = !strncmp(string(row, "data"), "real", 4);
    if (tokens)
        snprintf(length, sizeof length, ", %.0f tokens", number(row, "tokens"));
    if (number(row, "query_tokens") > 1)
        snprintf(queries, sizeof queries, ", %.0f queries", number(row, "query_tokens"));
    if (real && isfinite(number(row, "layer"))) /* older documents do not say which */
        snprintf(layer, sizeof layer, ", layer %.0f", number(row, "layer"));
    snprintf(out, size, "%.0f x %.0f, %.0f%s%s d%.0f%s%s%s", number(row, "batch"), number(row, "kv_heads"),
             number(row, "queries_per_kv_head"), length, tokens ? "," : " a head,", number(row, "head_dim"), queries,
             real ? ", real data" : "", layer);
}

/* The codec's name, and what it leaves out. */
static void put_codec(const json_t *row, char *out, size_t size)
{
    const char *details = string(row, "details");
    snprintf(out, size, "%s%s%s", codec_of(row), details[0] ? " " : "", details);
}

/* Everything that tells one row from another: equal names are the same measurement. */
static void row_name(const json_t *row, char *out, size_t size)
{
    char codec[CODEC_SIZE], shape[SHAPE_SIZE], window[32] = "";
    put_codec(row, codec, sizeof codec);
    geometry(row, true, shape, sizeof shape);
    if (json_is_true(json_object_get(row, "decode_block")))
        snprintf(window, sizeof window, " decode-block");
    else if (number(row, "window") > 0)
        snprintf(window, sizeof window, " window=%.0f", number(row, "window"));
    snprintf(out, size, "%s %s, %s%s%s%s%s", is_attend(row) ? "attend" : "append", codec, shape,
             json_is_true(json_object_get(row, "decode")) ? " decode" : "",
             json_is_true(json_object_get(row, "shuffled")) ? " shuffled" : "",
             json_is_true(json_object_get(row, "ragged")) ? " ragged" : "", window);
}

/* How many rows before rows[index] have its name: a shapes file may ask for the same twice. */
static size_t rows_before(const json_t *rows, size_t index, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < index; ++i) {
        char other[NAME_SIZE];
        row_name(json_array_get(rows, i), other, sizeof other);
        n += !strcmp(name, other);
    }
    return n;
}

/* The row of that name that `nth` others of the name come before, or NULL. */
static const json_t *find_row(const json_t *document, const char *name, size_t nth)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        char other[NAME_SIZE];
        row_name(row, other, sizeof other);
        if (!strcmp(name, other) && !nth--)
            return row;
    }
    return NULL;
}

json_t *page_read(const char *path, host_error *error)
{
    json_t *document = report_read(path, error);
    if (!document)
        return NULL;
    if ((!strcmp(string(document, "program"), "gear-bench") || is_peer(document)) &&
        json_is_array(json_object_get(document, "rows")) && json_is_object(json_object_get(document, "device")))
        return document;
    json_decref(document);
    fail(error, EXIT_INPUT, "%s: not a document of gear-bench --json or of bench_peers.py", path);
    return NULL;
}

static void write_device(const json_t *document, size_t index, FILE *file)
{
    const json_t *measured_on = json_object_get(document, "device"), *memory = json_object_get(document, "bandwidth");
    fprintf(file, "<p><span style=\"color:%s\">&#9632;</span> run %zu: ", plot_color(index), index + 1);
    plot_text(device_name(document), file);
    if (is_peer(document)) {
        fputs(", PyTorch ", file);
        plot_text(string(document, "torch"), file);
    } else {
        fputs(", ", file);
        plot_text(string(measured_on, "platform"), file);
        fputs(", driver ", file);
        plot_text(string(measured_on, "driver"), file);
        fprintf(file, ": read %.1f GB/s, copy %.1f GB/s", number(memory, "read_gbps"), number(memory, "copy_gbps"));
    }
    fputs(", ", file);
    plot_text(string(document, "date"), file);
    if (number(document, "left_out") > 0)
        fprintf(file, ", %.0f verbs left out", number(document, "left_out"));
    fputs("</p>\n", file);
}

/* The bars of one row in every run. */
static void write_bars(json_t *const *documents, size_t count, const char *name, size_t nth, plot_bars *bars)
{
    char shown[256];
    plot_bars_row(bars, name);
    for (size_t d = 0; d < count; ++d) {
        if (is_peer(documents[d]))
            continue;
        const json_t *row = find_row(documents[d], name, nth);
        double percent = row ? number(row, "percent") : (double)NAN;
        if (isfinite(percent))
            snprintf(shown, sizeof shown, "%.1f %%, %.1f us", percent, row_us(row));
        else
            snprintf(shown, sizeof shown, "%s", row && string(row, "problem")[0] ? "no result" : "-");
        plot_bars_bar(bars, (unsigned)d, percent, shown);
    }
}

/* Visits each row that any run has, once, in the order of the runs; bars NULL: counts them only. */
static unsigned each_row(json_t *const *documents, size_t count, plot_bars *bars)
{
    unsigned rows = 0;
    for (size_t d = 0; d < count; ++d) {
        const json_t *list = is_peer(documents[d]) ? NULL : json_object_get(documents[d], "rows");
        for (size_t i = 0; i < json_array_size(list); ++i) {
            char name[NAME_SIZE];
            row_name(json_array_get(list, i), name, sizeof name);
            size_t nth = rows_before(list, i, name);
            bool seen = false;
            for (size_t before = 0; before < d; ++before)
                seen = seen || (!is_peer(documents[before]) && find_row(documents[before], name, nth));
            rows += !seen;
            if (bars && !seen)
                write_bars(documents, count, name, nth, bars);
        }
    }
    return rows;
}

/* Per cent of each device's own bandwidth, side by side. */
static void write_side_by_side(json_t *const *documents, size_t count, FILE *file)
{
    unsigned runs = 0, rows = each_row(documents, count, NULL);
    plot_bars bars;
    for (size_t d = 0; d < count; ++d)
        runs += !is_peer(documents[d]);
    if (!runs)
        return;
    plot_bars_begin(&bars, "Per cent of the device's own bandwidth (line: all of it)", 110, 100, rows, runs, file);
    each_row(documents, count, &bars);
    plot_bars_end(&bars);
}

/* Whether figures show documents[i] beside documents[first]. */
static bool same_device(json_t *const *documents, size_t first, size_t i)
{
    return !strcmp(device_name(documents[i]), device_name(documents[first]));
}

/* Calls `visit` for each row with a time of each document of the same device as documents[first]. run: what the names of its
 * series end with; not empty where another document of the device is of the same program. */
typedef void row_visit(const json_t *row, const char *run, plot *p);

static void visit_device(json_t *const *documents, size_t count, size_t first, row_visit *visit, plot *p)
{
    for (size_t d = first; d < count; ++d) {
        char run[RUN_SIZE] = "";
        size_t i;
        json_t *row;
        if (!same_device(documents, first, d))
            continue;
        for (size_t other = first; other < count; ++other)
            if (other != d && same_device(documents, first, other) && is_peer(documents[other]) == is_peer(documents[d]))
                snprintf(run, sizeof run, ", run %zu", d + 1);
        json_array_foreach(json_object_get(documents[d], "rows"), i, row) if (row_us(row) > 0) visit(row, run, p);
    }
}

static void by_context(const json_t *row, const char *run, plot *p)
{
    char name[PLOT_TEXT], codec[CODEC_SIZE], shape[SHAPE_SIZE];
    _Static_assert(PLOT_TEXT >= CODEC_SIZE + SHAPE_SIZE + RUN_SIZE, "a series is named in full");
    if (!is_attend(row) || !is_plain(row))
        return;
    put_codec(row, codec, sizeof codec);
    geometry(row, false, shape, sizeof shape);
    snprintf(name, sizeof name, "%s, %s%s", codec, shape, run);
    plot_add(plot_find(p, name), number(row, "tokens"), row_us(row), "", "");
}

/* One line for each geometry through its codecs. */
static void by_bits(const json_t *row, const char *run, plot *p)
{
    char name[PLOT_TEXT], shape[SHAPE_SIZE];
    if (!is_attend(row) || !is_plain(row))
        return;
    geometry(row, true, shape, sizeof shape);
    snprintf(name, sizeof name, "%s%s", shape, run);
    plot_add(plot_find(p, name), number(row, "bits_per_value"), row_us(row), codec_of(row), string(row, "details"));
}

static void by_stage(const json_t *row, const char *run, plot *p)
{
    size_t i;
    json_t *stage;
    json_array_foreach(json_object_get(row, "stages"), i, stage)
    {
        char name[PLOT_TEXT];
        snprintf(name, sizeof name, "%.60s%s", string(stage, "name"), run);
        plot_series *s = number(stage, "bytes") > 0 ? plot_find(p, name) : NULL;
        plot_add(s, number(stage, "bytes") / 1e6, number(stage, "gbps"), "", "");
    }
}

/* Leaves only series of at least `least` points. */
static void prune(plot *p, size_t least)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; ++i)
        if (p->series[i].count >= least)
            p->series[kept++] = p->series[i];
    p->count = kept;
}

static void write_figures(json_t *const *documents, size_t count, size_t first, plot *p, FILE *file)
{
    const char *name = device_name(documents[first]);
    const json_t *memory = json_object_get(documents[first], "bandwidth");
    *p = (plot){.x_name = "tokens", .y_name = "us on the device", .log_x = true, .log_y = true, .joined = true};
    snprintf(p->title, sizeof p->title, "%.100s: attend against context length", name);
    visit_device(documents, count, first, by_context, p);
    prune(p, 2);
    plot_write(p, file);
    *p = (plot){.x_name = "bits a value", .y_name = "us on the device", .log_x = true};
    snprintf(p->title, sizeof p->title, "%.100s: attend against bits", name);
    visit_device(documents, count, first, by_bits, p);
    prune(p, 3);
    plot_write(p, file);
    *p = (plot){.x_name = "MB that a stage must move", .y_name = "GB/s", .log_x = true, .log_y = true};
    snprintf(p->title, sizeof p->title, "%.100s: every stage under the roof", name);
    if (memory) {
        p->num_limits = 2;
        p->limit[0] = number(memory, "read_gbps");
        p->limit[1] = number(memory, "copy_gbps");
        p->limit_name[0] = "read";
        p->limit_name[1] = "copy";
    }
    visit_device(documents, count, first, by_stage, p);
    plot_write(p, file);
}

static void write_cell(double value, int decimals, FILE *file)
{
    if (isfinite(value))
        fprintf(file, "<td>%.*f</td>", decimals, value);
    else
        fputs("<td>-</td>", file);
}

static void write_table(const json_t *document, size_t index, FILE *file)
{
    size_t i;
    json_t *row;
    fprintf(file, "<h2>run %zu: ", index + 1);
    plot_text(device_name(document), file);
    fputs(is_peer(document) ? ", PyTorch</h2>\n" : "</h2>\n", file);
    fputs("<table><tr><th>row</th><th>kernel</th><th>bits</th><th>us</th><th>median</th><th>kernels</th><th>wall "
          "median</th><th>MB</th>"
          "<th>GB/s</th><th>%</th><th>tokens/s</th><th>x 16 bits</th></tr>\n",
          file);
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        char name[NAME_SIZE];
        row_name(row, name, sizeof name);
        fputs("<tr><td>", file);
        plot_text(name, file);
        fputs("</td><td>", file);
        plot_text(string(row, is_peer(document) ? "backend" : "variant"), file);
        fputs("</td>", file);
        if (string(row, "problem")[0]) {
            fputs("<td colspan=\"10\">", file);
            plot_text(string(row, "problem"), file);
            fputs("</td></tr>\n", file);
            continue;
        }
        write_cell(number(row, "bits_per_value"), 3, file);
        write_cell(row_us(row), 1, file);
        write_cell(number(json_object_get(row, "device_us"), "median"), 1, file);
        write_cell(number(json_object_get(row, "kernels_us"), "best"), 1, file);
        write_cell(number(json_object_get(row, "wall_us"), "median"), 1, file);
        write_cell(number(row, "bytes_moved") / 1e6, 2, file);
        write_cell(number(row, "gbps"), 1, file);
        write_cell(number(row, "percent"), 1, file);
        write_cell(number(row, "tokens_per_s"), 0, file);
        write_cell(number(row, "times_16bit"), 2, file);
        fputs("</tr>\n", file);
    }
    fputs("</table>\n", file);
}

static void write_stage(const char *row, const json_t *stage, FILE *file)
{
    fputs("<tr><td>", file);
    plot_text(row, file);
    fputs("</td><td>", file);
    plot_text(string(stage, "name"), file);
    fputs("</td>", file);
    write_cell(number(stage, "launches"), 0, file);
    write_cell(number(stage, "us"), 1, file);
    write_cell(number(stage, "median_us"), 1, file);
    write_cell(number(stage, "bytes") / 1e6, 2, file);
    write_cell(number(stage, "gbps"), 1, file);
    write_cell(number(stage, "percent"), 1, file);
    write_cell(number(stage, "tokens_per_s"), 0, file);
    write_cell(number(stage, "us_16bit"), 1, file);
    write_cell(number(stage, "times_16bit"), 2, file);
    fputs("</tr>\n", file);
}

/* The stages of every row of a run. */
static void write_stages(const json_t *document, size_t index, FILE *file)
{
    size_t i, k;
    json_t *row, *stage;
    if (is_peer(document))
        return;
    fprintf(file, "<h2>run %zu: ", index + 1);
    plot_text(device_name(document), file);
    fputs(", stages</h2>\n<table><tr><th>row</th><th>stage</th><th>launches</th><th>us</th><th>median</th><th>MB</th>"
          "<th>GB/s</th><th>%</th><th>tokens/s</th><th>us, 16 bits</th><th>x 16 bits</th></tr>\n",
          file);
    json_array_foreach(json_object_get(document, "rows"), i, row)
    {
        char name[NAME_SIZE];
        row_name(row, name, sizeof name);
        json_array_foreach(json_object_get(row, "stages"), k, stage) write_stage(name, stage, file);
    }
    fputs("</table>\n", file);
}

static void write_all(json_t *const *documents, size_t count, plot *p, FILE *file)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>gear-bench</title><style>\n"
          "body{font:14px sans-serif;max-width:1100px;margin:2em auto;color:#222}figure{margin:1.5em 0}\n"
          "svg text{font:11px sans-serif;fill:#222}svg .title{font:bold 14px sans-serif}.grid{stroke:#ddd;fill:none}\n"
          ".limit{stroke:#222;stroke-dasharray:5 3;fill:none}table{border-collapse:collapse;font-size:12px}\n"
          "td,th{padding:2px 8px;border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}\n"
          "</style></head><body>\n<h1>gear-bench</h1>\n",
          file);
    for (size_t d = 0; d < count; ++d)
        write_device(documents[d], d, file);
    write_side_by_side(documents, count, file);
    for (size_t d = 0; d < count; ++d) {
        bool first = true;
        for (size_t before = 0; before < d; ++before)
            first = first && !same_device(documents, before, d);
        if (first)
            write_figures(documents, count, d, p, file);
    }
    for (size_t d = 0; d < count; ++d)
        write_table(documents[d], d, file);
    for (size_t d = 0; d < count; ++d)
        write_stages(documents[d], d, file);
    fputs("</body></html>\n", file);
}

bool page_write(json_t *const *documents, size_t count, FILE *file, host_error *error)
{
    plot *p = malloc(sizeof *p);
    if (!p)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    write_all(documents, count, p, file);
    free(p);
    return true;
}
