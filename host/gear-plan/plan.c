/* plan.c: makes plans and chooses among them, see plan.h. */
#include "plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gear-pack/measure.h"
#include "allocation.h"
#include "usage.h"

/* How a plan is made. */
typedef struct variant {
    uint32_t exact; /* which choice of exact tokens */
    double power;   /* of a layer's weight */
} variant;

static const double powers[] = {1, 0.5, 0};
enum { NUM_POWERS = sizeof powers / sizeof *powers, TRIES = 4 };

/* A new plan, all zero, with room for the codecs; NULL where memory is exhausted. */
static plan *add_plan(plan_list *list, uint32_t layers, host_error *error)
{
    plan *grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    gear_codec_pair *pairs = calloc(layers, sizeof *pairs);
    if (grown)
        list->items = grown;
    if (!grown || !pairs) {
        free(pairs);
        fail(error, EXIT_DEVICE, "host memory exhausted");
        return NULL;
    }
    plan *p = &list->items[list->count++];
    *p = (plan){.codecs = {.layers = pairs, .count = layers}, .attention = (double)NAN, .kl = (double)NAN};
    return p;
}

static void drop_last(plan_list *list)
{
    free(list->items[--list->count].codecs.layers);
}

bool plans_add_presets(const workshop *shop, double most, plan_list *list, host_error *error)
{
    const char *name;
    for (uint32_t i = 0; (name = gear_preset_name(i)); ++i) {
        plan *p = add_plan(list, 1, error);
        if (!p || !recipe_preset(name, shop->captured->inputs[0].head_dim, &p->codecs.base, error))
            return false;
        p->codecs.layers[0] = p->codecs.base.codecs;
        if (shop->measured->exact.presets_too)
            p->codecs.base.recent = shop->measured->exact.recent;
        snprintf(p->name, sizeof p->name, "%s", name);
        double least;
        if (!plan_least_bits(shop, p, &least, error))
            return false;
        if (least > most)
            drop_last(list);
        else if (!shop->e && !plan_bits(shop, p, error))
            return false;
    }
    return true;
}

/* Chooses codecs of at most `target` bits a value by what was measured of them; `budget` is what the user asked for. */
static bool allocate_layers(const measured *m, const variant *how, double target, double budget, plan *p, host_error *error)
{
    const uint32_t count = PLAN_SIDES * m->layers;
    allocation_option *options = calloc((size_t)count * MAX_CANDIDATES, sizeof *options);
    allocation_item *items = calloc(count, sizeof *items);
    uint32_t *chosen = calloc(count, sizeof *chosen);
    bool ok = (options && items && chosen) || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = 0; ok && i < count; ++i) {
        const uint32_t side = i / m->layers, layer = i % m->layers;
        items[i] = (allocation_item){options + (size_t)i * MAX_CANDIDATES, m->sides[side].count};
        for (uint32_t o = 0; o < items[i].count; ++o)
            options[(size_t)i * MAX_CANDIDATES + o] =
                (allocation_option){fmax(m->bits[how->exact][side][o], 0) / count,
                                    m->loss[side][(size_t)layer * MAX_CANDIDATES + o] * pow(m->weight[layer], how->power)};
    }
    const allocation_result result = ok ? allocate(items, count, target, chosen) : ALLOCATION_NO_MEMORY;
    if (result == ALLOCATION_IMPOSSIBLE)
        ok = fail(error, EXIT_INPUT, "%.3f bits a value are below the cheapest codecs", budget);
    else if (result)
        ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t l = 0; ok && l < m->layers; ++l)
        p->codecs.layers[l] =
            (gear_codec_pair){m->sides[PLAN_K].items[chosen[l]].codec, m->sides[PLAN_V].items[chosen[m->layers + l]].codec};
    p->codecs.base = measured_base(&m->exact, how->exact);
    p->codecs.base.codecs = p->codecs.layers[0];
    free(options);
    free(items);
    free(chosen);
    return ok;
}

static bool is_known(const plan_list *list, const plan *p)
{
    for (size_t i = 0; i < list->count; ++i) {
        const codec_file *a = &list->items[i].codecs, *b = &p->codecs;
        if (&list->items[i] != p && a->count == b->count && a->base.exact_first == b->base.exact_first &&
            !memcmp(a->layers, b->layers, b->count * sizeof *b->layers))
            return true;
    }
    return false;
}

/* One plan; what a cache holds beside its layers' records counts too, so that the first target may be too high. */
static bool add_one(const workshop *shop, const variant *how, double budget, plan_list *list, host_error *error)
{
    plan *p = add_plan(list, shop->captured->layers, error);
    if (!p)
        return false;
    const uint32_t exact = shop->measured->exact.first[how->exact];
    char tokens[12] = "auto";
    if (exact != GEAR_EXACT_AUTO)
        snprintf(tokens, sizeof tokens, "%u", exact);
    snprintf(p->name, sizeof p->name, "layers of %.3f, exact %s, power %g", budget, tokens, how->power);
    double target = budget;
    for (int i = 0; i < TRIES; ++i) {
        if (!allocate_layers(shop->measured, how, target, budget, p, error))
            return false;
        if (is_known(list, p))
            break;
        if (!plan_bits(shop, p, error))
            return false;
        if (p->bits <= budget)
            return true;
        target -= p->bits - budget;
    }
    drop_last(list);
    return true;
}

bool plans_add_budget(const workshop *shop, double budget, plan_list *list, host_error *error)
{
    for (uint32_t v = 0; v < shop->measured->exact.count; ++v)
        for (int i = 0; i < NUM_POWERS; ++i)
            if (!add_one(shop, &(variant){v, powers[i]}, budget, list, error))
                return false;
    return true;
}

static bool measure_with_model(const workshop *shop, plan_list *list, host_error *error)
{
    kv_spec *specs = calloc(list->count, sizeof *specs);
    divergence *found = calloc(list->count, sizeof *found);
    bool ok = (specs && found) || fail(error, EXIT_DEVICE, "host memory exhausted");
    for (size_t i = 0; ok && i < list->count; ++i) {
        plan *p = &list->items[i];
        specs[i] = (kv_spec){p->name, p->codecs.base, p->codecs.layers, p->codecs.count};
    }
    ok = ok && measure_divergences(shop->e, shop->w, specs, list->count, found, error);
    for (size_t i = 0; ok && i < list->count; ++i) {
        /* A plan's bits are those of one sequence, which are never fewer. */
        list->items[i].bits = fmax(list->items[i].bits, found[i].bits);
        list->items[i].kl = found[i].kl;
    }
    free(specs);
    free(found);
    return ok;
}

/* Fills in a plan's error of attention. */
static bool plan_attention(const workshop *shop, plan *p, host_error *error)
{
    const capture *c = shop->captured;
    measurer tool = {.dev = shop->dev, .context = shop->context, .weighted = true, .halved = !c->prompt, .prompt = c->prompt};
    recipe r = p->codecs.base;
    double sum = 0;
    bool ok = true;
    for (uint32_t l = 0; ok && l < c->layers; ++l) {
        r.codecs = p->codecs.layers[p->codecs.count == 1 ? 0 : l];
        for (uint32_t w = 0; ok && w < c->windows; ++w) {
            sample s;
            ok = measure_attention(&tool, &r, &c->inputs[(size_t)w * c->layers + l], &s, error);
            sum += ok ? s.rel_attention * s.rel_attention : 0;
        }
    }
    measurer_free(&tool);
    p->attention = sqrt(sum / ((double)c->layers * c->windows));
    return ok;
}

bool plans_measure(const workshop *shop, plan_list *list, host_error *error)
{
    if (shop->e)
        return measure_with_model(shop, list, error);
    for (size_t i = 0; i < list->count; ++i)
        if (!plan_attention(shop, &list->items[i], error))
            return false;
    return true;
}

plan *plans_best(const plan_list *list, double budget, bool presets)
{
    plan *best = NULL;
    for (size_t i = 0; i < list->count; ++i) {
        plan *p = &list->items[i];
        if (p->bits > budget || (presets && p->codecs.count != 1))
            continue;
        const double loss = isfinite(p->kl) ? p->kl : p->attention;
        if (!best || loss < (isfinite(best->kl) ? best->kl : best->attention))
            best = p;
    }
    return best;
}

void plans_free(plan_list *list)
{
    for (size_t i = 0; i < list->count; ++i)
        free(list->items[i].codecs.layers);
    free(list->items);
    *list = (plan_list){0};
}
