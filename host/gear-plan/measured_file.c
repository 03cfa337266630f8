/* measured_file.c: the tables of gear-plan as JSON, see measured.h. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "measured.h"
#include "report.h"

static const char *const side_names[] = {"k", "v"};

static json_t *reals(const double *values, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; ++i)
        json_array_append_new(array, report_real(values[i]));
    return array;
}

static json_t *side_json(const measured *m, int side)
{
    const candidate_list *list = &m->sides[side];
    json_t *names = json_array(), *losses = json_array(), *bits = json_array();
    for (uint32_t i = 0; i < list->count; ++i)
        json_array_append_new(names, json_string(list->items[i].name));
    for (uint32_t l = 0; l < m->layers; ++l)
        json_array_append_new(losses, reals(m->loss[side] + (size_t)l * MAX_CANDIDATES, list->count));
    for (uint32_t v = 0; v < m->exact.count; ++v)
        json_array_append_new(bits, reals(m->bits[v][side], list->count));
    return json_pack("{so so so}", "names", names, "bits", bits, "loss", losses);
}

static json_t *exact_json(const measured *m)
{
    json_t *array = json_array();
    for (uint32_t v = 0; v < m->exact.count; ++v) {
        const uint32_t first = m->exact.first[v];
        json_array_append_new(array, first == GEAR_EXACT_AUTO ? json_string("auto") : json_integer(first));
    }
    return array;
}

/* Text, as a number of JSON need not hold 64 bits. */
static json_t *fingerprint_json(const measured *m)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)m->fingerprint);
    return json_string(text);
}

bool measured_write(const measured *m, out_file *file, host_error *error)
{
    json_t *root =
        json_pack("{sI sI sI so so sI sb so so so}", "layers", (json_int_t)m->layers, "tokens", (json_int_t)m->tokens, "prompt",
                  (json_int_t)m->prompt, "fingerprint", fingerprint_json(m), "exact_first", exact_json(m), "recent",
                  (json_int_t)m->exact.recent, "weighed", m->weighed, "weight", reals(m->weight, m->layers), side_names[PLAN_K],
                  side_json(m, PLAN_K), side_names[PLAN_V], side_json(m, PLAN_V));
    const bool ok = report_write(root, file, error);
    json_decref(root);
    return ok;
}

/* A list of exactly so many numbers, none negative. */
static bool read_reals(const json_t *array, double *values, uint32_t count)
{
    if (!json_is_array(array) || json_array_size(array) != count)
        return false;
    for (uint32_t i = 0; i < count; ++i) {
        const json_t *value = json_array_get(array, i);
        values[i] = json_number_value(value);
        if (!json_is_number(value) || values[i] < 0)
            return false;
    }
    return true;
}

static bool read_side(const json_t *object, int side, measured *m)
{
    const candidate_list *list = &m->sides[side];
    const json_t *names = json_object_get(object, "names"), *losses = json_object_get(object, "loss"),
                 *bits = json_object_get(object, "bits");
    if (json_array_size(names) != list->count || json_array_size(losses) != m->layers)
        return false;
    for (uint32_t i = 0; i < list->count; ++i) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!name || strcmp(name, list->items[i].name) != 0)
            return false;
    }
    for (uint32_t l = 0; l < m->layers; ++l)
        if (!read_reals(json_array_get(losses, l), m->loss[side] + (size_t)l * MAX_CANDIDATES, list->count))
            return false;
    for (uint32_t v = 0; v < m->exact.count; ++v)
        if (!read_reals(json_array_get(bits, v), m->bits[v][side], list->count))
            return false;
    return json_array_size(bits) == m->exact.count;
}

static bool is_number(const json_t *root, const char *name, uint64_t value)
{
    const json_t *number = json_object_get(root, name);
    return json_is_integer(number) && json_integer_value(number) == (json_int_t)value;
}

/* Whether the file has this value; takes over the reference to it. */
static bool has_value(const json_t *root, const char *name, json_t *wanted)
{
    const bool same = json_equal(wanted, json_object_get(root, name));
    json_decref(wanted);
    return same;
}

bool measured_read(const char *path, measured *m, host_error *error)
{
    json_t *root = report_read(path, error);
    if (!root)
        return false;
    bool ok = is_number(root, "layers", m->layers) && is_number(root, "tokens", m->tokens) &&
              is_number(root, "prompt", m->prompt) && has_value(root, "fingerprint", fingerprint_json(m)) &&
              has_value(root, "exact_first", exact_json(m)) && is_number(root, "recent", m->exact.recent) &&
              read_reals(json_object_get(root, "weight"), m->weight, m->layers) &&
              read_side(json_object_get(root, side_names[PLAN_K]), PLAN_K, m) &&
              read_side(json_object_get(root, side_names[PLAN_V]), PLAN_V, m);
    m->weighed = json_is_true(json_object_get(root, "weighed"));
    json_decref(root);
    return ok ||
           fail(error, EXIT_INPUT, "%s: measured for another model, other texts or candidates, or on another device", path);
}
