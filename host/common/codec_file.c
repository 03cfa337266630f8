/* codec_file.c: codecs as JSON, see codec_file.h. */
#include "codec_file.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static const char *const backbones[] = {"kivi", "kcvt", "token", "mixed", NULL};
static const char *const rules[] = {"vector", "block", NULL};
static const char *const levels[] = {"uniform", "normal", NULL};

/* A member of gear_codec: a whole number, or one of `words`. */
typedef struct member {
    const char *name;
    size_t offset;
    const char *const *words;
} member;

#define MEMBER(field) #field, offsetof(gear_codec, field)
static const member members[] = {{MEMBER(backbone), backbones}, {MEMBER(bits), NULL},          {MEMBER(group), NULL},
                                 {MEMBER(rank_prompt), NULL},   {MEMBER(rank_decode), NULL},   {MEMBER(power_iterations), NULL},
                                 {MEMBER(factor_bits), NULL},   {MEMBER(outlier_rule), rules}, {MEMBER(rotate), NULL},
                                 {MEMBER(levels), levels},      {MEMBER(delta_bits), NULL}};
enum { NUM_MEMBERS = sizeof members / sizeof *members };

/* Enums of gear.h have the size of an int. */
static void set_member(gear_codec *codec, const member *m, uint32_t value)
{
    memcpy((char *)codec + m->offset, &value, sizeof value);
}

static uint32_t get_member(const gear_codec *codec, const member *m)
{
    uint32_t value;
    memcpy(&value, (const char *)codec + m->offset, sizeof value);
    return value;
}

static bool read_number(const char *path, const char *name, const json_t *value, uint32_t *out, host_error *error)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > UINT32_MAX)
        return fail(error, EXIT_INPUT, "%s: %s is not a whole number", path, name);
    *out = (uint32_t)number;
    return true;
}

static bool read_word(const char *path, const member *m, const json_t *value, uint32_t *out, host_error *error)
{
    for (uint32_t i = 0; json_is_string(value) && m->words[i]; ++i)
        if (!strcmp(json_string_value(value), m->words[i])) {
            *out = i;
            return true;
        }
    return fail(error, EXIT_INPUT, "%s: %s is none of its words, such as \"%s\"", path, m->name, m->words[0]);
}

/* [[channels, bits], ...] */
static bool read_segments(const char *path, const json_t *value, gear_codec *codec, host_error *error)
{
    size_t count = json_array_size(value);
    if (!json_is_array(value) || !count || count > GEAR_MAX_SEGMENTS)
        return fail(error, EXIT_INPUT, "%s: segments is not a list of 1 to %u pairs", path, GEAR_MAX_SEGMENTS);
    for (size_t i = 0; i < count; ++i) {
        const json_t *pair = json_array_get(value, i);
        uint32_t channels = 0, bits = 0;
        if (json_array_size(pair) != 2 || !read_number(path, "segments", json_array_get(pair, 0), &channels, error) ||
            !read_number(path, "segments", json_array_get(pair, 1), &bits, error) || channels > UINT16_MAX || bits > UINT16_MAX)
            return fail(error, EXIT_INPUT, "%s: segments holds something other than [channels, bits]", path);
        codec->segments[i] = (gear_segment){(uint16_t)channels, (uint16_t)bits};
    }
    return true;
}

static bool read_member(const char *path, const char *name, const json_t *value, gear_codec *codec, host_error *error)
{
    if (!strcmp(name, "segments"))
        return read_segments(path, value, codec, error);
    if (!strcmp(name, "outlier_fraction")) {
        double fraction = json_number_value(value);
        codec->outlier_fraction = (float)fraction;
        return (json_is_number(value) && fraction >= 0 && fraction <= 1) ||
               fail(error, EXIT_INPUT, "%s: outlier_fraction is not a number of 0 to 1", path);
    }
    for (size_t i = 0; i < NUM_MEMBERS; ++i)
        if (!strcmp(name, members[i].name)) {
            uint32_t number = 0;
            if (!(members[i].words ? read_word(path, &members[i], value, &number, error)
                                   : read_number(path, name, value, &number, error)))
                return false;
            set_member(codec, &members[i], number);
            return true;
        }
    return fail(error, EXIT_INPUT, "%s: '%.60s' is no member of a codec", path, name);
}

static bool read_codec(const char *path, json_t *object, gear_codec *codec, host_error *error)
{
    const char *name;
    json_t *value;
    gear_codec_init(codec);
    if (!json_is_object(object))
        return fail(error, EXIT_INPUT, "%s: a layer is not {\"k\": {...}, \"v\": {...}}", path);
    json_object_foreach(object, name, value) if (!read_member(path, name, value, codec, error)) return false;
    return true;
}

static bool read_layers(const char *path, json_t *list, codec_file *out, host_error *error)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || !count || count > 4096)
        return fail(error, EXIT_INPUT, "%s: layers is not a list of 1 to 4096 layers", path);
    out->layers = calloc(count, sizeof *out->layers);
    if (!out->layers)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    out->count = (uint32_t)count;
    for (size_t i = 0; i < count; ++i) {
        json_t *layer = json_array_get(list, i);
        if (json_object_size(layer) != 2 || !read_codec(path, json_object_get(layer, "k"), &out->layers[i].k, error) ||
            !read_codec(path, json_object_get(layer, "v"), &out->layers[i].v, error))
            return fail(error, EXIT_INPUT, "%s: a layer is not {\"k\": {...}, \"v\": {...}}", path);
    }
    out->base.codecs = out->layers[0];
    return true;
}

static bool read_root(const char *path, json_t *root, codec_file *out, host_error *error)
{
    const char *name;
    json_t *value;
    out->base = (recipe){.window = 64};
    if (!json_is_object(root))
        return fail(error, EXIT_INPUT, "%s: not a JSON object", path);
    json_object_foreach(root, name, value)
    {
        bool ok;
        if (!strcmp(name, "layers"))
            ok = read_layers(path, value, out, error);
        else if (!strcmp(name, "window"))
            ok = read_number(path, name, value, &out->base.window, error);
        else if (!strcmp(name, "recent"))
            ok = read_number(path, name, value, &out->base.recent, error);
        else if (!strcmp(name, "exact_first") && json_is_string(value) && !strcmp(json_string_value(value), "auto"))
            out->base.exact_first = GEAR_EXACT_AUTO, ok = true;
        else if (!strcmp(name, "exact_first"))
            ok = read_number(path, name, value, &out->base.exact_first, error);
        else
            ok = fail(error, EXIT_INPUT, "%s: '%.60s' is no member of a codec file", path, name);
        if (!ok)
            return false;
    }
    return out->layers || fail(error, EXIT_INPUT, "%s: no layers", path);
}

bool codec_file_read(const char *path, codec_file *out, host_error *error)
{
    codec_file file = {0};
    json_t *root = report_read(path, error);
    if (!root)
        return false;
    bool ok = read_root(path, root, &file, error);
    json_decref(root);
    if (ok)
        *out = file;
    else
        free(file.layers);
    return ok;
}

static json_t *codec_json(const gear_codec *codec)
{
    json_t *object = json_object();
    for (size_t i = 0; i < NUM_MEMBERS; ++i) {
        uint32_t value = get_member(codec, &members[i]);
        json_object_set_new(object, members[i].name,
                            members[i].words ? json_string(members[i].words[value]) : json_integer(value));
    }
    json_object_set_new(object, "outlier_fraction", report_real((double)codec->outlier_fraction));
    if (codec->segments[0].channels) {
        json_t *segments = json_array();
        for (unsigned i = 0; i < GEAR_MAX_SEGMENTS && codec->segments[i].channels; ++i)
            json_array_append_new(segments, json_pack("[ii]", codec->segments[i].channels, codec->segments[i].bits));
        json_object_set_new(object, "segments", segments);
    }
    return object;
}

bool codec_file_write(const codec_file *codecs, out_file *file, host_error *error)
{
    json_t *layers = json_array();
    for (uint32_t i = 0; i < codecs->count; ++i)
        json_array_append_new(
            layers, json_pack("{so so}", "k", codec_json(&codecs->layers[i].k), "v", codec_json(&codecs->layers[i].v)));
    json_t *exact = codecs->base.exact_first == GEAR_EXACT_AUTO ? json_string("auto") : json_integer(codecs->base.exact_first);
    json_t *root = json_pack("{sI sI so so}", "window", (json_int_t)codecs->base.window, "recent",
                             (json_int_t)codecs->base.recent, "exact_first", exact, "layers", layers);
    bool ok = report_write(root, file, error);
    json_decref(root);
    return ok;
}
