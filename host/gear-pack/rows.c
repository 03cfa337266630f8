/* rows.c: measures a row on all inputs, see rows.h. */
#include "rows.h"

#include <math.h>
#include <stdlib.h>

void default_codecs(gear_codec_pair list[DEFAULT_ROWS])
{
    static const gear_backbone backbones[] = {GEAR_BACKBONE_TOKEN, GEAR_BACKBONE_KCVT, GEAR_BACKBONE_KIVI};
    gear_codec codec;
    gear_codec_init(&codec);
    codec.bits = 16;
    size_t n = 0;
    list[n++] = (gear_codec_pair){codec, codec};
    for (int b = 0; b < 3; ++b)
        for (uint32_t bits = 2; bits <= 4; ++bits)
            for (int parts = 0; parts < 3; ++parts) {
                gear_codec_init(&codec);
                codec.backbone = backbones[b];
                codec.bits = bits;
                codec.rank_prompt = parts > 0 ? 4 : 0;
                codec.rank_decode = parts > 0 ? 2 : 0;
                codec.outlier_fraction = parts > 1 ? 0.02f : 0.0f;
                list[n++] = (gear_codec_pair){codec, codec};
            }
}

void residuals_free(residual_list *list)
{
    for (size_t i = 0; i < list->count; ++i) {
        free(list->items[i].k);
        free(list->items[i].v);
    }
    free(list->items);
    *list = (residual_list){0};
}

/* A new entry with room for `inputs` values; NULL where memory is exhausted. */
static residual *add_residual(residual_list *list, const gear_codec_pair *codec, size_t inputs, host_error *error)
{
    residual *grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (grown)
        list->items = grown;
    double *k = malloc(inputs * sizeof *k), *v = malloc(inputs * sizeof *v);
    if (!grown || !k || !v) {
        free(k);
        free(v);
        fail(error, EXIT_DEVICE, "host memory exhausted");
        return NULL;
    }
    list->items[list->count] = (residual){*codec, k, v};
    return &list->items[list->count++];
}

/* The residuals of a codec, measured unless known. */
static const residual *find_residual(measurer *m, const gear_codec_pair *codec, const input *inputs, size_t count,
                                     residual_list *known, host_error *error)
{
    for (size_t i = 0; i < known->count; ++i)
        if (same_codec(&known->items[i].codec, codec))
            return &known->items[i];
    residual *r = add_residual(known, codec, count, error);
    for (size_t i = 0; r && i < count; ++i) {
        sample s;
        if (!measure_residual(m, codec, &inputs[i], &s, error))
            return NULL;
        r->k[i] = s.residual_k;
        r->v[i] = s.residual_v;
    }
    return r;
}

static double removed(double with, double without)
{
    return without > 0 ? 1 - with / without : (double)NAN;
}

static bool measure_energy(measurer *m, const gear_codec_pair *codec, const input *inputs, size_t count, residual_list *known,
                           row *out, host_error *error)
{
    out->energy_k = out->energy_v = (double)NAN;
    if (!codec->k.rank_prompt && !codec->v.rank_prompt)
        return true;
    gear_codec_pair base = *codec;
    base.k.rank_prompt = base.v.rank_prompt = base.k.rank_decode = base.v.rank_decode = 0;
    if (!find_residual(m, &base, inputs, count, known, error))
        return false;
    /* The second search cannot measure again; it only finds the first one's place after the list has grown. */
    const residual *with = find_residual(m, codec, inputs, count, known, error);
    const residual *without = find_residual(m, &base, inputs, count, known, error);
    if (!with || !without)
        return false;
    out->energy_k = out->energy_v = 0;
    for (size_t i = 0; i < count; ++i) {
        out->energy_k += removed(with->k[i], without->k[i]) / (double)count;
        out->energy_v += removed(with->v[i], without->v[i]) / (double)count;
    }
    return true;
}

static void add_bytes(gear_bytes *sum, const gear_bytes *b)
{
    sum->codes += b->codes;
    sum->scales += b->scales;
    sum->lowrank += b->lowrank;
    sum->outliers += b->outliers;
    sum->exact += b->exact;
    sum->window += b->window;
    sum->tables += b->tables;
    sum->scratch += b->scratch;
    sum->unused += b->unused;
    sum->total += b->total;
}

bool measure_row(measurer *m, const gear_codec_pair *codec, const input *inputs, size_t count, residual_list *known, row *out,
                 host_error *error)
{
    *out = (row){0};
    codec_name(codec, out->name, sizeof out->name);
    residual *left = add_residual(known, codec, count, error);
    if (!left)
        return false;
    double values = 0, values_all = 0, n = (double)count;
    for (size_t i = 0; i < count; ++i) {
        sample s;
        if (!measure(m, codec, &inputs[i], &s, error))
            return false;
        add_bytes(&out->bytes, &s.bytes);
        out->compressed += s.compressed;
        values += 2.0 * inputs[i].kv_heads * inputs[i].head_dim * (double)s.compressed;
        values_all += 2.0 * (double)input_values(&inputs[i]);
        out->rel_k += s.rel_k / n;
        out->rel_v += s.rel_v / n;
        out->rel_attention += s.rel_attention / n;
        out->append_ms += s.append_ms / n;
        out->attend_ms += s.attend_ms / n;
        left->k[i] = s.residual_k;
        left->v[i] = s.residual_v;
    }
    double bits = 8 * (double)report_compressed(&out->bytes);
    out->bits_per_value = values > 0 ? bits / values : (double)NAN;
    out->bits_all_tokens = (bits + 8 * (double)out->bytes.window) / values_all;
    return measure_energy(m, codec, inputs, count, known, out, error);
}

bool rows_print(const row *rows, size_t count, host_error *error)
{
    static const char *const header[] = {"codec",         "bits/value", "bits/value, all", "rel K",     "rel V",
                                         "rel attention", "energy K",   "energy V",        "append ms", "attend ms"};
    enum { COLUMNS = sizeof header / sizeof header[0] };
    report_table table = {0};
    bool ok = table_add(&table, COLUMNS, header, error);
    for (size_t r = 0; ok && r < count; ++r) {
        const row *a = &rows[r];
        const double value[] = {a->bits_per_value, a->bits_all_tokens, a->rel_k,     a->rel_v,    a->rel_attention,
                                a->energy_k,       a->energy_v,        a->append_ms, a->attend_ms};
        static const int decimals[] = {3, 3, 4, 4, 4, 3, 3, 2, 2};
        char text[COLUMNS - 1][32];
        const char *cells[COLUMNS] = {a->name};
        for (int c = 0; c + 1 < COLUMNS; ++c) {
            report_number(value[c], decimals[c], text[c], sizeof text[c]);
            cells[c + 1] = text[c];
        }
        ok = table_add(&table, COLUMNS, cells, error);
    }
    if (ok)
        table_print(&table, stdout);
    table_free(&table);
    return ok && stdout_ok(error);
}

static json_t *row_json(const row *r)
{
    return json_pack("{ss so so sI so so so so so so so so}", "name", r->name, "bits_per_value", report_real(r->bits_per_value),
                     "bits_per_value_all_tokens", report_real(r->bits_all_tokens), "compressed_tokens",
                     (json_int_t)r->compressed, "bytes", report_bytes(&r->bytes), "rel_k", report_real(r->rel_k), "rel_v",
                     report_real(r->rel_v), "rel_attention", report_real(r->rel_attention), "lowrank_energy_k",
                     report_real(r->energy_k), "lowrank_energy_v", report_real(r->energy_v), "append_ms",
                     report_real(r->append_ms), "attend_ms", report_real(r->attend_ms));
}

json_t *rows_json(const row *rows, size_t count, const device *dev)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; ++i)
        if (json_array_append_new(list, row_json(&rows[i]))) {
            json_decref(list);
            list = NULL;
        }
    return json_pack("{so so}", "device", report_device(dev), "rows", list);
}
