/* csv.c: one line a result, for spreadsheets. */
#include "../common/report.h"
#include "result.h"

bool results_csv(const result *list, size_t count, const device *dev, const bandwidth *peaks, const char *path,
                 host_error *error)
{
    out_file out;
    if (!out_open(&out, path, error))
        return false;
    FILE *file = out.stream;
    fprintf(file,
            "device,verb,batch,kv_heads,queries_per_kv_head,tokens,head_dim,query_tokens,built,codec,variant,bits_per_value,"
            "device_us,device_median_us,kernels_us,wall_median_us,launches,bytes,gbps,percent_of_peak,peak_gbps,tokens_per_s,"
            "times_16bit\n");
    for (size_t i = 0; i < count; ++i) {
        const result *r = &list[i];
        const bench_shape *s = &r->shape;
        char words[64];
        shape_words(s, words, sizeof words);
        if (r->problem[0])
            continue;
        fprintf(file, "\"%s\",%s,%u,%u,%u,%u,%u,%u,%s,\"%s\",%s,%.4f,%.3f,%.3f,%.3f,%.3f,%u,%llu,%.2f,%.2f,%.2f,%.1f,%.3f\n",
                dev->name, r->verb == VERB_ATTEND ? "attend" : "append", s->batch, s->kv_heads, s->group, s->tokens,
                s->head_dim, s->queries, words, s->codec, r->variant, r->bits, 1e3 * r->time.device.best,
                1e3 * r->time.device.median, 1e3 * r->time.kernels.best, 1e3 * r->time.wall.median, result_launches(&r->time),
                (unsigned long long)r->moved, result_rate(r), 100 * result_rate(r) / r->peak,
                r->verb == VERB_ATTEND ? peaks->read : peaks->copy, result_tokens_per_second(r), r->of_16bit);
    }
    return out_commit(&out, error);
}
