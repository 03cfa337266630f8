/* result.c: tables and JSON of the results, see result.h. */
#include "result.h"

#include <math.h>
#include <string.h>

#include "../common/report.h"

enum { CELL = 256 }; /* of a table, in bytes */

double result_rate(const result *r)
{
    return (double)r->moved / (r->time.device.best * 1e6);
}

double result_tokens_per_second(const result *r)
{
    return r->new_tokens / (r->time.device.best * 1e-3);
}

unsigned result_launches(const timing *t)
{
    unsigned sum = 0;
    for (size_t i = 0; i < t->stages.count; ++i)
        sum += t->stages.items[i].launches;
    return sum;
}

static const char *verb_name(const result *r)
{
    return r->verb == VERB_ATTEND ? "attend" : "append";
}

/* The codec's name and its details. */
static void put_codec(const bench_shape *s, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s", s->codec, s->details[0] ? " " : "", s->details);
}

void result_title(const result *r, char *out, size_t size)
{
    const bench_shape *s = &r->shape;
    char words[64], codec[CELL];
    shape_words(s, words, sizeof words);
    put_codec(s, codec, sizeof codec);
    snprintf(out, size, "%s %ux%u %u %u %u/%u %s %s", verb_name(r), s->batch, s->kv_heads, s->group, s->tokens, s->head_dim,
             s->queries, words, codec);
}

bool results_header(FILE *stream, const device *dev, const bandwidth *peaks, host_error *error)
{
    fprintf(stream,
            "%s on %s, driver %s\nread %.1f GB/s, copy %.1f GB/s over %.0f MiB; times in microseconds on the device, best of "
            "many\n",
            dev->name, dev->platform_name, dev->driver, peaks->read, peaks->copy, (double)peaks->bytes / 1048576);
    return stdout_ok(error);
}

enum { COLUMNS = 19 };

static bool add_row(report_table *table, const result *r, host_error *error)
{
    const bench_shape *s = &r->shape;
    char text[COLUMNS][CELL], codec[CELL];
    const char *cells[COLUMNS];
    const double value[] = {r->bits,
                            1e3 * r->time.device.best,
                            1e3 * r->time.device.median,
                            1e3 * r->time.kernels.best,
                            1e3 * r->time.wall.median,
                            result_launches(&r->time),
                            (double)r->moved * 1e-6,
                            result_rate(r),
                            100 * result_rate(r) / r->peak,
                            result_tokens_per_second(r),
                            r->of_16bit,
                            r->openmp.best / r->time.wall.best};
    static const int decimals[] = {3, 1, 1, 1, 1, 0, 2, 1, 1, 0, 2, 2};
    snprintf(text[0], sizeof text[0], "%s", verb_name(r));
    snprintf(text[1], sizeof text[1], "%ux%u", s->batch, s->kv_heads);
    snprintf(text[2], sizeof text[2], "%u", s->group);
    snprintf(text[3], sizeof text[3], "%u", s->tokens);
    snprintf(text[4], sizeof text[4], "%u/%u", s->head_dim, s->queries);
    shape_words(s, text[5], sizeof text[5]);
    put_codec(s, codec, sizeof codec);
    snprintf(text[6], sizeof text[6], "%.*s%s%s", CELL - 48, codec, r->verb == VERB_ATTEND ? " " : "",
             r->verb == VERB_ATTEND ? r->variant : "");
    for (int i = 7; i < COLUMNS; ++i)
        report_number(r->problem[0] ? (double)NAN : value[i - 7], decimals[i - 7], text[i], sizeof text[i]);
    for (int i = 0; i < COLUMNS; ++i)
        cells[i] = text[i];
    return table_add(table, COLUMNS, cells, error);
}

/* A step beside the row of the block that it does not complete. */
static void print_step(const result *r)
{
    const timing *t = &r->step;
    printf("    a step without a block, append and attend: %u launches, %.1f us (median %.1f), kernels %.1f us, wall %.1f us\n",
           result_launches(t), 1e3 * t->device.best, 1e3 * t->device.median, 1e3 * t->kernels.best, 1e3 * t->wall.median);
}

stage_numbers result_stage(const result *r, size_t index)
{
    const stage_time *s = &r->time.stages.items[index];
    const uint64_t bytes = stage_bytes(r, s->name);
    stage_numbers n = {.bytes = bytes ? (double)bytes : (double)NAN,
                       .tokens_per_s = r->new_tokens / (s->ms * 1e-3),
                       .ms_16bit = r->stage_16bit[index] > 0 ? r->stage_16bit[index] : (double)NAN};
    n.rate = n.bytes / (s->ms * 1e6);
    n.percent = 100 * n.rate / r->peak;
    n.of_16bit = n.ms_16bit / s->ms;
    return n;
}

enum { STAGE_COLUMNS = 10 };

static bool print_stages(const result *r, host_error *error)
{
    static const char *const header[STAGE_COLUMNS] = {"    stage", "launches", "us",       "median",      "MB",
                                                      "GB/s",      "% peak",   "tokens/s", "us, 16 bits", "x 16 bits"};
    static const int decimals[] = {0, 1, 1, 2, 1, 1, 0, 1, 2};
    report_table table = {0};
    bool ok = table_add(&table, STAGE_COLUMNS, header, error);
    for (size_t i = 0; ok && i < r->time.stages.count; ++i) {
        const stage_time *s = &r->time.stages.items[i];
        const stage_numbers n = result_stage(r, i);
        const double value[] = {s->launches, 1e3 * s->ms,    1e3 * s->median,  n.bytes * 1e-6, n.rate,
                                n.percent,   n.tokens_per_s, 1e3 * n.ms_16bit, n.of_16bit};
        char text[STAGE_COLUMNS][96];
        const char *cells[STAGE_COLUMNS];
        snprintf(text[0], sizeof text[0], "    %s", s->name);
        for (int c = 1; c < STAGE_COLUMNS; ++c)
            report_number(value[c - 1], decimals[c - 1], text[c], sizeof text[c]);
        for (int c = 0; c < STAGE_COLUMNS; ++c)
            cells[c] = text[c];
        ok = table_add(&table, STAGE_COLUMNS, cells, error);
    }
    if (ok)
        table_print(&table, stdout);
    table_free(&table);
    return ok;
}

bool results_print(const result *list, size_t count, bool stages, host_error *error)
{
    static const char *const header[COLUMNS] = {
        "verb",    "batch x heads", "per head", "tokens", "dim/queries", "built",  "codec",    "bits",      "us",      "median",
        "kernels", "wall median",   "launches", "MB",     "GB/s",        "% peak", "tokens/s", "x 16 bits", "x OpenMP"};
    report_table table = {0};
    bool ok = table_add(&table, COLUMNS, header, error);
    for (size_t i = 0; ok && i < count; ++i)
        ok = add_row(&table, &list[i], error);
    if (ok)
        table_print(&table, stdout);
    table_free(&table);
    for (size_t i = 0; ok && i < count; ++i) {
        const result *r = &list[i];
        char title[RESULT_TITLE];
        if (!r->problem[0] && !stages && !r->shape.decode_block)
            continue;
        result_title(r, title, sizeof title);
        printf("%s: %s\n", title, r->problem[0] ? r->problem : stages ? "sums of the launches of one verb" : "decode steps");
        if (!r->problem[0] && r->shape.decode_block)
            print_step(r);
        if (!r->problem[0] && stages)
            ok = print_stages(r, error);
    }
    return ok && stdout_ok(error);
}

static json_t *spread_json(const spread *s)
{
    return json_pack("{so so}", "best", report_real(1e3 * s->best), "median", report_real(1e3 * s->median));
}

/* Of a decode-block row; null elsewhere. */
static json_t *step_json(const result *r)
{
    const timing *t = &r->step;
    return r->shape.decode_block
               ? json_pack("{so so so sI}", "device_us", spread_json(&t->device), "kernels_us", spread_json(&t->kernels),
                           "wall_us", spread_json(&t->wall), "launches", (json_int_t)result_launches(t))
               : json_null();
}

static json_t *stages_json(const result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < r->time.stages.count; ++i) {
        const stage_time *s = &r->time.stages.items[i];
        const stage_numbers n = result_stage(r, i);
        json_t *stage =
            json_pack("{ss sI so so so so so so so so}", "name", s->name, "launches", (json_int_t)s->launches, "us",
                      report_real(1e3 * s->ms), "median_us", report_real(1e3 * s->median), "bytes",
                      isfinite(n.bytes) ? json_integer((json_int_t)n.bytes) : json_null(), "gbps", report_real(n.rate),
                      "percent", report_real(n.percent), "tokens_per_s", report_real(n.tokens_per_s), "us_16bit",
                      report_real(1e3 * n.ms_16bit), "times_16bit", report_real(n.of_16bit));
        if (json_array_append_new(list, stage)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* What the row is about; numbers come where there are any. */
static json_t *shape_json(const result *r)
{
    const bench_shape *s = &r->shape;
    char data[32];
    shape_data(s, data, sizeof data);
    return json_pack("{ss sI sI sI sI sI sI sb sb sb sb sI ss so ss ss? ss ss ss}", "verb", verb_name(r), "batch",
                     (json_int_t)s->batch, "kv_heads", (json_int_t)s->kv_heads, "queries_per_kv_head", (json_int_t)s->group,
                     "tokens", (json_int_t)s->tokens, "head_dim", (json_int_t)s->head_dim, "query_tokens",
                     (json_int_t)s->queries, "decode", s->decode, "shuffled", s->shuffled, "ragged", s->ragged, "decode_block",
                     s->decode_block, "window", (json_int_t)s->window_fill, "data", data, "layer",
                     s->real ? json_integer((json_int_t)r->layer) : json_null(), "codec", s->codec, "preset", s->recipe.preset,
                     "details", s->details, "variant", r->variant, "variant_reason", r->variant_reason);
}

static json_t *result_json(const result *r)
{
    json_t *row = shape_json(r);
    if (!row)
        return NULL;
    json_t *more =
        r->problem[0]
            ? json_pack("{ss sb}", "problem", r->problem, "wrong", r->wrong)
            : json_pack("{so so so sI sI sI so so so so so so so so sI sI so s{sI sI sb so so}}", "device_us",
                        spread_json(&r->time.device), "kernels_us", spread_json(&r->time.kernels), "wall_us",
                        spread_json(&r->time.wall), "rounds", (json_int_t)r->time.rounds, "verbs_per_round",
                        (json_int_t)r->time.per_round, "launches", (json_int_t)result_launches(&r->time), "step", step_json(r),
                        "gbps", report_real(result_rate(r)), "percent", report_real(100 * result_rate(r) / r->peak),
                        "tokens_per_s", report_real(result_tokens_per_second(r)), "times_16bit", report_real(r->of_16bit),
                        "openmp_us", report_real(1e3 * r->openmp.best), "openmp_median_us", report_real(1e3 * r->openmp.median),
                        "bits_per_value", report_real(r->bits), "bytes_moved", (json_int_t)r->moved, "tokens_held",
                        (json_int_t)r->tokens, "bytes", report_bytes(&r->bytes), "check", "heads", (json_int_t)r->check.sampled,
                        "of", (json_int_t)r->check.of, "all_sequences_equal", r->check.all_equal, "worst",
                        report_real(r->check.worst), "bound", report_real(r->check.bound));
    bool ok = more && !json_object_update(row, more) && (r->problem[0] || !json_object_set_new(row, "stages", stages_json(r)));
    json_decref(more);
    if (ok)
        return row;
    json_decref(row);
    return NULL;
}

/* Null where no row has a time of the peer. */
static json_t *peer_json(const result *list, size_t count, const peer_setting *peer)
{
    for (size_t i = 0; i < count; ++i)
        if (isfinite(list[i].openmp.best))
            return json_pack("{si ss?}", "threads", peer->threads, "wait_policy", peer->wait_policy);
    return json_null();
}

json_t *results_json(const result *list, size_t count, size_t left_out, const device *dev, const bandwidth *peaks,
                     const peer_setting *peer)
{
    char now[32], date[11];
    json_t *rows = json_array();
    report_time(now, sizeof now);
    snprintf(date, sizeof date, "%.10s", now);
    for (size_t i = 0; rows && i < count; ++i)
        if (json_array_append_new(rows, result_json(&list[i]))) {
            json_decref(rows);
            rows = NULL;
        }
    return json_pack("{ss ss ss ss ss so so s{so so sI} sI so}", "program", "gear-bench", "version", gear_version(), "commit",
                     report_commit(), "date", date, "time", now, "device", report_device(dev), "openmp",
                     peer_json(list, count, peer), "bandwidth", "read_gbps", report_real(peaks->read), "copy_gbps",
                     report_real(peaks->copy), "bytes", (json_int_t)peaks->bytes, "left_out", (json_int_t)left_out, "rows",
                     rows);
}
