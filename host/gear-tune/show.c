/* show.c: an outcome as tables and as JSON, see outcome.h. */
#include <stdio.h>

#include "../common/report.h"
#include "outcome.h"

enum { FIXED = 5, COLUMNS = FIXED + WORK_SHAPES };

static void shape_text(const bench_shape *s, char *out, size_t size)
{
    char words[64];
    shape_words(s, words, sizeof words);
    snprintf(out, size, "%u x %u heads, %u queries each, %u tokens%s%s, %s", s->batch, s->kv_heads, s->group * s->queries,
             s->tokens, words[0] == '-' ? "" : ", ", words[0] == '-' ? "" : words, s->codec);
}

/* The tuning that a candidate asks for; of the first, what the library uses, as far as these shapes show it. */
static gear_attend_tuning shown(const work *w, const candidate *c)
{
    gear_attend_tuning most = c->resolved[0];
    for (size_t i = 1; i < w->count; ++i)
        most = c->resolved[i].rows > most.rows ? c->resolved[i] : most;
    return c->choice.tuning.rows ? c->choice.tuning : most;
}

static bool add_candidate(report_table *table, const work *w, const search *s, size_t index, host_error *error)
{
    const candidate *c = &s->items[index];
    const gear_attend_tuning tuning = shown(w, c);
    char text[COLUMNS][32];
    const char *cells[COLUMNS];
    snprintf(text[0], sizeof text[0], "%s%s", index ? "" : "now", index && index == s->best ? "fastest" : "");
    snprintf(text[1], sizeof text[1], "%u", tuning.rows);
    snprintf(text[2], sizeof text[2], "%u", tuning.work_items);
    snprintf(text[3], sizeof text[3], "%u", tuning.groups_per_unit);
    for (size_t i = 0; i < w->count; ++i)
        report_number(c->us[i], 1, text[4 + i], sizeof text[0]);
    report_number(c->relative, 3, text[4 + w->count], sizeof text[0]);
    for (size_t i = 0; i < FIXED + w->count; ++i)
        cells[i] = text[i];
    return table_add(table, FIXED + w->count, cells, error);
}

static bool print_search(const work *w, const search *s, host_error *error)
{
    char text[WORK_SHAPES][32];
    const char *header[COLUMNS] = {"", "rows", "work-items", "groups a unit"};
    report_table table = {0};
    for (size_t i = 0; i < w->count; ++i) {
        snprintf(text[i], sizeof text[i], "us (%zu)", i + 1);
        header[4 + i] = text[i];
    }
    header[4 + w->count] = "of now";
    bool ok = table_add(&table, FIXED + w->count, header, error);
    for (size_t i = 0; ok && i < s->count; ++i)
        ok = add_candidate(&table, w, s, i, error);
    if (ok)
        table_print(&table, stdout);
    table_free(&table);
    for (size_t i = 0; ok && i < s->count; ++i)
        if (s->items[i].problem[0])
            printf("candidate %zu: %s\n", i, s->items[i].problem);
    return ok;
}

/* How a duel ended, in words. */
static void duel_text(const duel *d, char *out, size_t size)
{
    snprintf(out, size, "%.1f %% %s, faster in %u of %u passes", 100 * (d->gain < 0 ? -d->gain : d->gain),
             d->gain < 0 ? "slower" : "faster", d->faster, d->passes);
}

static void print_decision(const outcome *o, const kernel_outcome *k)
{
    const search *s = &k->search;
    char text[96];
    duel_text(&k->duel, text, sizeof text);
    if (k->refused[0])
        printf("%s: %s\n", attend_kernel_names[k->kernel], k->refused);
    else if (!k->duel.passes)
        printf("%s: nothing was faster than what the library does now (%s): it stays\n", attend_kernel_names[k->kernel],
               s->source);
    else if (!k->duel.decided)
        printf("%s: within noise: what the library does now (%s) stays; the fastest was %s\n", attend_kernel_names[k->kernel],
               s->source, text);
    else {
        const gear_attend_tuning tuning = shown(o->work, &s->items[s->best]);
        printf("%s: rows %u, work-items %u, groups a unit %u: %s\n", attend_kernel_names[k->kernel], tuning.rows,
               tuning.work_items, tuning.groups_per_unit, text);
    }
}

bool outcome_print(const outcome *o, host_error *error)
{
    const work *w = o->work;
    char text[192];
    bool ok = true;
    printf("\nhead_dim %u, codecs %s\n", w->head_dim, w->codecs);
    for (size_t i = 0; i < w->count; ++i) {
        shape_text(&w->shapes[i], text, sizeof text);
        printf("  (%zu) %s\n", i + 1, text);
    }
    for (size_t i = 0; ok && i < o->count; ++i) {
        if (o->kernels[i].search.count) {
            printf("%s\n", attend_kernel_names[o->kernels[i].kernel]);
            ok = print_search(w, &o->kernels[i].search, error);
        }
        print_decision(o, &o->kernels[i]);
    }
    if (o->preference.passes) {
        duel_text(&o->preference, text, sizeof text);
        printf("a kernel before the library's choice, %s: %s%s\n", attend_kernel_names[o->chosen], text,
               o->preferred ? "" : ", within noise");
    }
    return ok && stdout_ok(error);
}

static json_t *tuning_json(const gear_attend_tuning *t)
{
    return json_pack("{sI sI sI}", "rows", (json_int_t)t->rows, "work_items", (json_int_t)t->work_items, "groups_per_unit",
                     (json_int_t)t->groups_per_unit);
}

static json_t *candidate_json(const work *w, const candidate *c)
{
    const gear_attend_tuning tuning = shown(w, c);
    json_t *us = json_array();
    for (size_t i = 0; us && i < w->count; ++i)
        if (json_array_append_new(us, report_real(c->us[i]))) {
            json_decref(us);
            us = NULL;
        }
    return json_pack("{so so so ss*}", "tuning", tuning_json(&tuning), "us", us, "of_now", report_real(c->relative), "problem",
                     c->problem[0] ? c->problem : NULL);
}

static json_t *duel_json(const duel *d)
{
    return d->passes ? json_pack("{sf sI sI sb}", "gain", d->gain, "faster", (json_int_t)d->faster, "passes",
                                 (json_int_t)d->passes, "decided", d->decided)
                     : json_null();
}

static json_t *kernel_json(const work *w, const kernel_outcome *k)
{
    json_t *candidates = json_array();
    for (size_t i = 0; candidates && i < k->search.count; ++i)
        if (json_array_append_new(candidates, candidate_json(w, &k->search.items[i]))) {
            json_decref(candidates);
            candidates = NULL;
        }
    return json_pack("{ss ss* ss* so sI so}", "kernel", attend_kernel_names[k->kernel], "not_tuned",
                     k->refused[0] ? k->refused : NULL, "source", k->search.source, "candidates", candidates, "fastest",
                     (json_int_t)k->search.best, "duel", duel_json(&k->duel));
}

json_t *outcome_json(const outcome *o)
{
    json_t *shapes = json_array(), *kernels = json_array();
    bool ok = shapes && kernels;
    for (size_t i = 0; ok && i < o->work->count; ++i) {
        char text[192];
        shape_text(&o->work->shapes[i], text, sizeof text);
        ok = !json_array_append_new(shapes, json_string(text));
    }
    for (size_t i = 0; ok && i < o->count; ++i)
        ok = !json_array_append_new(kernels, kernel_json(o->work, &o->kernels[i]));
    json_t *object =
        json_pack("{sI ss so so ss so ss*}", "head_dim", (json_int_t)o->work->head_dim, "codecs", o->work->codecs, "shapes",
                  shapes, "kernels", kernels, "library_choice", attend_kernel_names[o->chosen], "preference",
                  duel_json(&o->preference), "preferred", o->preferred ? attend_kernel_names[o->preferred] : NULL);
    if (!ok) {
        json_decref(object);
        object = NULL;
    }
    return object;
}
