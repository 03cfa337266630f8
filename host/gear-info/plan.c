/* plan.c: the exact bytes of a cache, and bits per value of the presets, see info.h. */
#include "../common/report.h"
#include "info.h"

/* An open device with a context of the library on it. */
typedef struct session {
    device *dev;
    gear_context *context;
} session;

static bool open_session(session *s, device *dev, host_error *error)
{
    *s = (session){.dev = dev};
    if (!open_listed(dev, error))
        return false;
    if (open_library(dev, NULL, &s->context, error))
        return true;
    close_device(dev);
    return false;
}

static void close_session(session *s)
{
    gear_context_destroy(s->context);
    close_device(s->dev);
}

static bool query(const session *s, const geometry *g, const recipe *r, gear_cache_plan *plan, host_error *error)
{
    gear_error detail = {0};
    gear_cache_desc cache;
    gear_cache_desc_init(&cache);
    gear_cache_plan_init(plan);
    cache.num_layers = g->layers;
    cache.num_kv_heads = g->kv_heads;
    cache.num_query_heads = g->query_heads;
    cache.head_dim = g->head_dim;
    cache.capacity_tokens = g->tokens;
    cache.capacity_sequences = g->sequences;
    cache.max_query_tokens = g->max_queries;
    recipe_apply(r, &cache);
    return gear_ok(gear_cache_query(s->context, &cache, plan, &detail), &detail, error);
}

bool query_plan(const geometry *g, const recipe *r, device *dev, gear_cache_plan *plan, host_error *error)
{
    session s;
    if (!open_session(&s, dev, error))
        return false;
    bool ok = query(&s, g, r, plan, error);
    close_session(&s);
    return ok;
}

static bool add_bytes_row(report_table *table, const char *name, uint64_t a, uint64_t b, uint64_t c, host_error *error)
{
    char text[3][24];
    const uint64_t values[] = {a, b, c};
    for (int i = 0; i < 3; ++i)
        snprintf(text[i], sizeof text[i], "%llu", (unsigned long long)values[i]);
    return table_add(table, 4, (const char *const[]){name, text[0], text[1], text[2]}, error);
}

static bool print_plan(const gear_cache_plan *plan, host_error *error)
{
    report_table table = {0};
    const gear_bytes *a = &plan->allocated, *p = &plan->prompt_block, *d = &plan->decode_block;
    bool ok = table_add(&table, 4, (const char *const[]){"bytes", "allocated", "prompt block", "decode segment"}, error);
#define PLAN_ROW(part) ok = ok && add_bytes_row(&table, #part, a->part, p->part, d->part, error)
    PLAN_ROW(codes);
    PLAN_ROW(scales);
    PLAN_ROW(lowrank);
    PLAN_ROW(outliers);
    PLAN_ROW(exact);
    PLAN_ROW(window);
    PLAN_ROW(tables);
    PLAN_ROW(scratch);
    PLAN_ROW(unused);
    PLAN_ROW(total);
#undef PLAN_ROW
    char prompt[24], decode[24];
    report_number(plan->prompt_bits, 3, prompt, sizeof prompt);
    report_number(plan->decode_bits, 3, decode, sizeof decode);
    ok = ok && table_add(&table, 4, (const char *const[]){"bits/value", "", prompt, decode}, error);
    if (ok)
        table_print(&table, stdout);
    table_free(&table);
    return ok;
}

void print_tuning(const char *indent, const gear_cache_plan *plan)
{
    const gear_attend_tuning *t = &plan->tuning;
    printf("%stuning: %u query rows and %u work-items a work-group, %u work-groups a compute unit (%s, codecs %s)\n", indent,
           t->rows, t->work_items, t->groups_per_unit, plan->tuning_source, plan->codec_class);
}

json_t *tuning_json(const gear_cache_plan *plan)
{
    const gear_attend_tuning *t = &plan->tuning;
    return json_pack("{sI sI sI ss ss}", "rows", (json_int_t)t->rows, "work_items", (json_int_t)t->work_items,
                     "groups_per_unit", (json_int_t)t->groups_per_unit, "source", plan->tuning_source, "codec_class",
                     plan->codec_class);
}

bool show_plan(const geometry *g, const recipe *r, device *dev, json_t *root, host_error *error)
{
    gear_cache_plan plan;
    if (!query_plan(g, r, dev, &plan, error))
        return false;
    char name[48];
    recipe_name(r, name, sizeof name);
    printf("\n%s%s%s%s on %s: layers %u, KV heads %u, query heads %u, head_dim %u, tokens %llu, sequences %u, "
           "queries %u\n",
           name, r->preset ? " (" : "", r->preset ? r->preset : "", r->preset ? ")" : "", dev->name, g->layers, g->kv_heads,
           g->query_heads ? g->query_heads : g->kv_heads, g->head_dim, (unsigned long long)g->tokens, g->sequences,
           g->max_queries);
    printf("the window holds %u tokens a sequence; attend kernel: %s (%s)\n", plan.window_tokens, plan.variant,
           plan.variant_reason);
    print_tuning("", &plan);
    json_t *cache =
        json_pack("{ss ss? so ss ss so sI so so so so so}", "codec", name, "preset", r->preset, "device", report_device(dev),
                  "variant", plan.variant, "variant_reason", plan.variant_reason, "tuning", tuning_json(&plan), "window_tokens",
                  (json_int_t)plan.window_tokens, "prompt_bits", report_real(plan.prompt_bits), "decode_bits",
                  report_real(plan.decode_bits), "allocated", report_bytes(&plan.allocated), "prompt_block",
                  report_bytes(&plan.prompt_block), "decode_segment", report_bytes(&plan.decode_block));
    if (!cache || json_object_set_new(root, "cache", cache))
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    return print_plan(&plan, error);
}

/* One line of the list of presets, in the table and in `array`. */
static bool add_preset(const session *s, const geometry *g, const char *preset, report_table *table, json_t *array,
                       host_error *error)
{
    recipe r;
    gear_cache_plan plan;
    char codec[48], prompt[24], decode[24], window[24];
    if (!recipe_preset(preset, g->head_dim, &r, error) || !query(s, g, &r, &plan, error))
        return false;
    recipe_name(&r, codec, sizeof codec);
    report_number(plan.prompt_bits, 3, prompt, sizeof prompt);
    report_number(plan.decode_bits, 3, decode, sizeof decode);
    snprintf(window, sizeof window, "%u", plan.window_tokens);
    if (json_array_append_new(array, json_pack("{ss ss so so sI}", "preset", preset, "codec", codec, "prompt_bits",
                                               report_real(plan.prompt_bits), "decode_bits", report_real(plan.decode_bits),
                                               "window_tokens", (json_int_t)plan.window_tokens)))
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    return table_add(table, 5, (const char *const[]){preset, codec, prompt, decode, window}, error);
}

bool show_presets(const geometry *g, device *dev, json_t *root, host_error *error)
{
    session s;
    if (!open_session(&s, dev, error))
        return false;
    report_table table = {0};
    json_t *array = json_array();
    bool ok = table_add(&table, 5, (const char *const[]){"preset", "codec", "bits/value, prompt", "decode", "window"}, error);
    const char *name;
    for (uint32_t i = 0; ok && (name = gear_preset_name(i)); ++i)
        ok = add_preset(&s, g, name, &table, array, error);
    if (ok) {
        printf("\npresets at KV heads %u, head_dim %u (default: %s)\n", g->kv_heads, g->head_dim, GEAR_PRESET_DEFAULT);
        table_print(&table, stdout);
    }
    table_free(&table);
    close_session(&s);
    if (json_object_set_new(root, "presets", array) && ok)
        ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    return ok;
}
