/* info.h: the parts of gear-info: the devices, the plan of one cache, the list of presets. */
#ifndef GEAR_INFO_H
#define GEAR_INFO_H

#include <jansson.h>

#include "../common/pick_device.h"
#include "../common/recipe.h"

/* A cache to plan, but for its codecs. */
typedef struct geometry {
    uint32_t layers, kv_heads, query_heads, head_dim, sequences, max_queries;
    uint64_t tokens;
} geometry;

/* Opens the device, asks the library for the plan of the cache on it, and closes it. */
bool query_plan(const geometry *g, const recipe *r, device *dev, gear_cache_plan *plan, host_error *error);

/* How the attend kernel of a plan divides its work, and where that comes from: a line of text, and an object. */
void print_tuning(const char *indent, const gear_cache_plan *plan);
json_t *tuning_json(const gear_cache_plan *plan);

/* Each prints its part and adds it to the object `root` under "devices", "cache", "presets". */
bool show_devices(const geometry *g, const recipe *r, json_t *root, host_error *error);
bool show_plan(const geometry *g, const recipe *r, device *dev, json_t *root, host_error *error);
bool show_presets(const geometry *g, device *dev, json_t *root, host_error *error);

#endif
