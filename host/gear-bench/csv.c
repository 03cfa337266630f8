/* csv.c: one line a result, and below it one for each of its stages, for spreadsheets. */
#include <math.h>

#include "result.h"

static const char header[] =
    "device,verb,batch,kv_heads,queries_per_kv_head,tokens,head_dim,query_tokens,built,codec,variant,bits_per_value,"
    "device_us,device_median_us,kernels_us,wall_median_us,launches,bytes,gbps,percent_of_peak,peak_gbps,tokens_per_s,"
    "times_16bit,kernels_median_us,wall_us,openmp_us,openmp_median_us,step_device_us,step_device_median_us,step_kernels_us,"
    "step_kernels_median_us,step_wall_us,step_wall_median_us,step_launches,details,stage,problem\n";

/* Columns from bits_per_value to step_launches; NaN leaves a cell empty. */
enum {
    BITS,
    DEVICE,
    DEVICE_MEDIAN,
    KERNELS,
    WALL_MEDIAN,
    LAUNCHES,
    BYTES,
    GBPS,
    PERCENT,
    PEAK,
    TOKENS,
    TIMES_16BIT,
    KERNELS_MEDIAN,
    WALL,
    OPENMP,
    OPENMP_MEDIAN,
    STEP_DEVICE,
    STEP_DEVICE_MEDIAN,
    STEP_KERNELS,
    STEP_KERNELS_MEDIAN,
    STEP_WALL,
    STEP_WALL_MEDIAN,
    STEP_LAUNCHES,
    NUM_VALUES
};

static const int decimals[NUM_VALUES] = {[BITS] = 4,           [DEVICE] = 3,
                                         [DEVICE_MEDIAN] = 3,  [KERNELS] = 3,
                                         [WALL_MEDIAN] = 3,    [GBPS] = 2,
                                         [PERCENT] = 2,        [PEAK] = 2,
                                         [TOKENS] = 1,         [TIMES_16BIT] = 3,
                                         [KERNELS_MEDIAN] = 3, [WALL] = 3,
                                         [OPENMP] = 3,         [OPENMP_MEDIAN] = 3,
                                         [STEP_DEVICE] = 3,    [STEP_DEVICE_MEDIAN] = 3,
                                         [STEP_KERNELS] = 3,   [STEP_KERNELS_MEDIAN] = 3,
                                         [STEP_WALL] = 3,      [STEP_WALL_MEDIAN] = 3};

static void clear(double *values)
{
    for (int i = 0; i < NUM_VALUES; ++i)
        values[i] = (double)NAN;
}

/* Milliseconds as microseconds. */
static void put_times(double *values, int best, int median, spread ms)
{
    values[best] = 1e3 * ms.best;
    values[median] = 1e3 * ms.median;
}

static void values_of(const result *r, double *values)
{
    const timing *t = &r->time, *step = &r->step;
    clear(values);
    values[BITS] = r->bits;
    put_times(values, DEVICE, DEVICE_MEDIAN, t->device);
    put_times(values, KERNELS, KERNELS_MEDIAN, t->kernels);
    put_times(values, WALL, WALL_MEDIAN, t->wall);
    values[LAUNCHES] = result_launches(t);
    values[BYTES] = (double)r->moved;
    values[GBPS] = result_rate(r);
    values[PERCENT] = 100 * result_rate(r) / r->peak;
    values[PEAK] = r->peak;
    values[TOKENS] = result_tokens_per_second(r);
    values[TIMES_16BIT] = r->of_16bit;
    put_times(values, OPENMP, OPENMP_MEDIAN, r->openmp);
    if (!r->shape.decode_block)
        return;
    put_times(values, STEP_DEVICE, STEP_DEVICE_MEDIAN, step->device);
    put_times(values, STEP_KERNELS, STEP_KERNELS_MEDIAN, step->kernels);
    put_times(values, STEP_WALL, STEP_WALL_MEDIAN, step->wall);
    values[STEP_LAUNCHES] = result_launches(step);
}

static void stage_values(const result *r, size_t index, double *values)
{
    const stage_time *s = &r->time.stages.items[index];
    const stage_numbers n = result_stage(r, index);
    clear(values);
    values[KERNELS] = 1e3 * s->ms;
    values[KERNELS_MEDIAN] = 1e3 * s->median;
    values[LAUNCHES] = s->launches;
    values[BYTES] = n.bytes;
    values[GBPS] = n.rate;
    values[PERCENT] = n.percent;
    values[PEAK] = r->peak;
    values[TOKENS] = n.tokens_per_s;
    values[TIMES_16BIT] = n.of_16bit;
}

static void write_text(const char *text, FILE *file)
{
    fputc('"', file);
    for (; *text; ++text) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void write_line(const device *dev, const result *r, const double *values, const char *stage, FILE *file)
{
    const bench_shape *s = &r->shape;
    char words[64];
    shape_words(s, words, sizeof words);
    write_text(dev->name, file);
    fprintf(file, ",%s,%u,%u,%u,%u,%u,%u,%s,", r->verb == VERB_ATTEND ? "attend" : "append", s->batch, s->kv_heads, s->group,
            s->tokens, s->head_dim, s->queries, words);
    write_text(s->codec, file);
    fprintf(file, ",%s", r->variant);
    for (int i = 0; i < NUM_VALUES; ++i)
        if (isfinite(values[i]))
            fprintf(file, ",%.*f", decimals[i], values[i]);
        else
            fputc(',', file);
    fprintf(file, ",%s,%s,", s->details, stage);
    if (r->problem[0])
        write_text(r->problem, file);
    fputc('\n', file);
}

bool results_csv(const result *list, size_t count, const device *dev, out_file *out, host_error *error)
{
    fputs(header, out->stream);
    for (size_t i = 0; i < count; ++i) {
        const result *r = &list[i];
        double values[NUM_VALUES];
        clear(values);
        if (!r->problem[0])
            values_of(r, values);
        write_line(dev, r, values, "", out->stream);
        for (size_t s = 0; !r->problem[0] && s < r->time.stages.count; ++s) {
            stage_values(r, s, values);
            write_line(dev, r, values, r->time.stages.items[s].name, out->stream);
        }
    }
    return out_commit(out, error);
}
