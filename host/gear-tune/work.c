/* work.c: see work.h. */
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add(gear_context *context, const bench_shape *shape, work_list *out, host_error *error)
{
    const world_choice free_choice = {0};
    gear_error detail = {0};
    gear_cache_desc desc;
    gear_cache_plan plan;
    size_t i = 0;
    world_describe(shape, &free_choice, &desc);
    gear_cache_plan_init(&plan);
    if (!gear_ok(gear_cache_query(context, &desc, &plan, &detail), &detail, error))
        return false;
    while (i < out->count && (out->items[i].head_dim != shape->head_dim || strcmp(out->items[i].codecs, plan.codec_class) != 0))
        ++i;
    if (i == out->count) {
        work *grown = realloc(out->items, (out->count + 1) * sizeof *grown);
        if (!grown)
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        out->items = grown;
        out->items[out->count++] = (work){.head_dim = shape->head_dim};
        snprintf(out->items[i].codecs, sizeof out->items[i].codecs, "%s", plan.codec_class);
    }
    work *w = &out->items[i];
    if (w->count == WORK_SHAPES)
        return fail(error, EXIT_INPUT, "more than %d shapes of head_dim %u and codecs %s", WORK_SHAPES, w->head_dim, w->codecs);
    w->shapes[w->count++] = *shape;
    return true;
}

/* One shape, written as in a file of shapes. */
static bool add_line(gear_context *context, const char *geometry, uint32_t head_dim, const char *codec, const recipe *only,
                     work_list *out, host_error *error)
{
    char line[160];
    bench_shape shape;
    snprintf(line, sizeof line, "attend %s %u 1 %s", geometry, head_dim, only ? "" : codec);
    if (!shape_parse(line, "gear-tune", &shape, error))
        return false;
    if (only)
        shape = shape_with(&shape, only);
    return add(context, &shape, out, error);
}

bool work_default(gear_context *context, const device *dev, uint32_t head_dim, const recipe *only, work_list *out,
                  host_error *error)
{
    static const char *const geometries[2][3] = {{"1 8 4 4096", "4 8 8 1024", NULL}, /* of a CPU */
                                                 {"1 8 4 32768", "1 8 8 4096", "32 8 8 4096"}};
    static const char *const codecs[] = {"--k-bits 16 --v-bits 16", "--preset kivi_2", "--preset paper_2bit_l",
                                         "--preset paper_2bit", "--preset gear_2_6"};
    static const uint32_t head_dims[] = {64, 128};
    const char *const *geometry = geometries[dev->type & CL_DEVICE_TYPE_CPU ? 0 : 1];
    size_t num_dims = head_dim ? 1 : 2, num_codecs = only ? 1 : sizeof codecs / sizeof *codecs;
    *out = (work_list){0};
    for (size_t d = 0; d < num_dims; ++d)
        for (size_t c = 0; c < num_codecs; ++c)
            for (size_t g = 0; g < 3 && geometry[g]; ++g)
                if (!add_line(context, geometry[g], head_dim ? head_dim : head_dims[d], codecs[c], only, out, error))
                    return false;
    return true;
}

void work_free(work_list *list)
{
    for (size_t i = 0; i < list->count; ++i)
        for (size_t j = 0; j < list->items[i].count; ++j)
            reference_free(&list->items[i].references[j]);
    free(list->items);
    *list = (work_list){0};
}

bool work_of_shapes(gear_context *context, const shape_list *shapes, work_list *out, host_error *error)
{
    *out = (work_list){0};
    for (size_t i = 0; i < shapes->count; ++i)
        if (shapes->items[i].verbs & VERB_ATTEND && !add(context, &shapes->items[i], out, error))
            return false;
    return out->count || fail(error, EXIT_INPUT, "no shape with attend");
}
