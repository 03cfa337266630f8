/* rows.c: measures a row on all inputs, see rows.h. The list of recipes is in recipes.c, printing in show.c. */
#include "rows.h"

#include <math.h>
#include <stdlib.h>

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
static residual *add_residual(residual_list *list, const recipe *r, size_t inputs, host_error *error)
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
    list->items[list->count] = (residual){*r, k, v};
    return &list->items[list->count++];
}

/* The residuals of a recipe, measured unless known. */
static const residual *find_residual(measurer *m, const recipe *r, const input *inputs, size_t count, residual_list *known,
                                     host_error *error)
{
    for (size_t i = 0; i < known->count; ++i)
        if (recipe_same(&known->items[i].recipe, r))
            return &known->items[i];
    residual *left = add_residual(known, r, count, error);
    for (size_t i = 0; left && i < count; ++i) {
        sample s;
        if (!measure_residual(m, r, &inputs[i], &s, error))
            return NULL;
        left->k[i] = s.residual_k;
        left->v[i] = s.residual_v;
    }
    return left;
}

static double removed(double with, double without)
{
    return without > 0 ? 1 - with / without : (double)NAN;
}

static bool measure_energy(measurer *m, const recipe *r, const input *inputs, size_t count, residual_list *known, row *out,
                           host_error *error)
{
    out->energy_k = out->energy_v = (double)NAN;
    if (!r->codecs.k.rank_prompt && !r->codecs.v.rank_prompt)
        return true;
    recipe base = *r;
    base.codecs.k.rank_prompt = base.codecs.v.rank_prompt = base.codecs.k.rank_decode = base.codecs.v.rank_decode = 0;
    if (!find_residual(m, &base, inputs, count, known, error))
        return false;
    /* The second search cannot measure again; it only finds the first one's place after the list has grown. */
    const residual *with = find_residual(m, r, inputs, count, known, error);
    const residual *without = find_residual(m, &base, inputs, count, known, error);
    if (!with || !without)
        return false;
    /* A side without L has none to measure. */
    out->energy_k = r->codecs.k.rank_prompt ? 0 : (double)NAN;
    out->energy_v = r->codecs.v.rank_prompt ? 0 : (double)NAN;
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

/* What a row sums up over the inputs, beside its means. */
typedef struct totals {
    double values, values_all; /* compressed, and all */
} totals;

/* One input's share of a row: of `count` inputs. */
static void add_sample(row *out, totals *sum, const sample *s, const input *in, size_t count)
{
    const double n = (double)count;
    add_bytes(&out->bytes, &s->bytes);
    out->replaced.nan_values += s->replaced.nan_values;
    out->replaced.inf_values += s->replaced.inf_values;
    out->compressed += s->compressed;
    sum->values += 2.0 * in->kv_heads * in->head_dim * (double)s->compressed;
    sum->values_all += 2.0 * (double)input_values(in);
    out->rel_k += s->rel_k / n;
    out->rel_v += s->rel_v / n;
    out->rel_attention += s->rel_attention / n;
    out->rel_attention_all += s->rel_attention_all / n;
    out->append_ms += s->append_ms / n;
    out->attend_ms += s->attend_ms / n;
}

static void finish(row *out, const totals *sum)
{
    double bits = 8 * (double)report_compressed(&out->bytes);
    out->bits_per_value = sum->values > 0 ? bits / sum->values : (double)NAN;
    out->bits_all_tokens = (bits + 8 * (double)out->bytes.window) / sum->values_all;
}

bool measure_row(measurer *m, const recipe *r, const input *inputs, size_t count, residual_list *known, row *out,
                 host_error *error)
{
    *out = (row){0};
    recipe_name(r, out->name, sizeof out->name);
    out->preset = r->preset;
    out->ordered = recipe_ordered(r);
    residual *left = add_residual(known, r, count, error);
    if (!left)
        return false;
    totals sum = {0};
    for (size_t i = 0; i < count; ++i) {
        sample s;
        if (!measure(m, r, &inputs[i], &s, error))
            return false;
        add_sample(out, &sum, &s, &inputs[i], count);
        left->k[i] = s.residual_k;
        left->v[i] = s.residual_v;
    }
    finish(out, &sum);
    return measure_energy(m, r, inputs, count, known, out, error);
}

bool measure_file_row(measurer *m, const char *name, const codec_file *codecs, const input *inputs, size_t count, row *out,
                      host_error *error)
{
    *out = (row){.energy_k = (double)NAN, .energy_v = (double)NAN};
    snprintf(out->name, sizeof out->name, "%s", name);
    totals sum = {0};
    for (size_t i = 0; i < count; ++i) {
        recipe r = codecs->base;
        r.codecs = codecs->layers[codecs->count == 1 ? 0 : i];
        out->ordered = out->ordered || recipe_ordered(&r);
        sample s;
        if (!measure(m, &r, &inputs[i], &s, error))
            return false;
        add_sample(out, &sum, &s, &inputs[i], count);
    }
    finish(out, &sum);
    return true;
}
