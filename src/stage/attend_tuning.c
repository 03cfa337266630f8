/* attend_tuning.c: see the header. */
#include "stage/attend_tuning.h"

#include <string.h>

enum head_dims {
    HEAD_DIM_ANY = 0,
    HEAD_DIM_64 = 64,
    HEAD_DIM_80 = 80,
    HEAD_DIM_96 = 96,
    HEAD_DIM_128 = 128,
    HEAD_DIM_256 = 256
};

#define CLASS(class_) {.kind = GEAR__TUNING_CLASS, .source = "default of class " #class_, .device_class = GEAR__CLASS_##class_},
#define VENDOR(vendor_, class_)                                                                                                \
  {.kind = GEAR__TUNING_VENDOR,                                                                                                \
   .source = "default of class " #vendor_ " " #class_,                                                                         \
   .device_class = GEAR__CLASS_##class_,                                                                                       \
   .vendor = GEAR__VENDOR_##vendor_},
#define DEVICE(name, measured_with) {.kind = GEAR__TUNING_DEVICE, .source = "tuned for " name, .device = name},
#define TUNED(kernel_, head_dim_, codecs_, rows_, items, groups)                                                               \
  {.kind = GEAR__TUNING_TUNED,                                                                                                 \
   .kernel = GEAR_ATTEND_##kernel_,                                                                                            \
   .head_dim = HEAD_DIM_##head_dim_,                                                                                           \
   .codecs = GEAR__CODEC_##codecs_,                                                                                            \
   .tuning = {rows_, items, groups}},
#define PREFER(kernel_, head_dim_, codecs_)                                                                                    \
  {.kind = GEAR__TUNING_PREFER,                                                                                                \
   .kernel = GEAR_ATTEND_##kernel_,                                                                                            \
   .head_dim = HEAD_DIM_##head_dim_,                                                                                           \
   .codecs = GEAR__CODEC_##codecs_},

static const gear__tuning_row rows[] = {
#include "stage/attend_tuning.def"
};

const gear__tuning_table gear__tuning_builtin = {rows, sizeof rows / sizeof *rows};

const char *gear__codec_class_name(gear__codec_class codecs)
{
    static const char *const names[] = {"ANY", "EXACT", "PLAIN", "LOWRANK", "OUTLIERS", "MIXED", "ROTATED"};
    return (size_t)codecs < sizeof names / sizeof *names ? names[codecs] : NULL;
}

gear__codec_class gear__codec_class_of(const gear__shape *shape)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    if (v->rotate) {
        return GEAR__CODEC_ROTATED;
    }
    if (gear__is_mixed(k) || gear__is_mixed(v)) {
        return GEAR__CODEC_MIXED;
    }
    if (shape->has_outliers) {
        return GEAR__CODEC_OUTLIERS;
    }
    if (k->rank[0] || k->rank[1] || v->rank[0] || v->rank[1]) {
        return GEAR__CODEC_LOWRANK;
    }
    return k->axis == GEAR__AXIS_NONE && v->axis == GEAR__AXIS_NONE ? GEAR__CODEC_EXACT : GEAR__CODEC_PLAIN;
}

/* Drivers put blanks around a name; the database has none. */
static int same_name(const char *reported, const char *name)
{
    size_t length = strlen(name);
    reported += strspn(reported, " ");
    return !strncmp(reported, name, length) && reported[length + strspn(reported + length, " ")] == '\0';
}

static gear__vendor vendor_of(const gear__caps *caps)
{
    return caps->is_nvidia  ? GEAR__VENDOR_NVIDIA
           : caps->is_amd   ? GEAR__VENDOR_AMD
           : caps->is_intel ? GEAR__VENDOR_INTEL
                            : GEAR__VENDOR_OTHER;
}

static int in_scope(const gear__tuning_row *scope, const gear__caps *caps)
{
    gear__device_class device_class = caps->is_cpu ? GEAR__CLASS_CPU : GEAR__CLASS_GPU;
    switch (scope->kind) {
    case GEAR__TUNING_CLASS: return scope->device_class == device_class;
    case GEAR__TUNING_VENDOR: return scope->device_class == device_class && scope->vendor == vendor_of(caps);
    default: return same_name(caps->name, scope->device);
    }
}

/* kernel AUTO: of any kernel. */
static gear__tuning_found find(const gear__tuning_table *table, gear__tuning_kind kind, gear_attend_kernel kernel,
                               const gear__caps *caps, const gear__shape *shape)
{
    gear__codec_class codecs = gear__codec_class_of(shape);
    gear__tuning_found found = {NULL, NULL};
    const gear__tuning_row *scope = NULL;
    unsigned best = 0;
    for (size_t i = 0; i < table->count; i++) {
        const gear__tuning_row *row = &table->rows[i];
        if (row->kind < GEAR__TUNING_TUNED) {
            scope = in_scope(row, caps) ? row : NULL;
            continue;
        }
        if (!scope || row->kind != kind || (kernel != GEAR_ATTEND_AUTO && row->kernel != kernel) ||
            (row->head_dim && row->head_dim != shape->head_dim) || (row->codecs && row->codecs != codecs)) {
            continue;
        }
        unsigned rank = 1 + 4 * (unsigned)scope->kind + (row->codecs ? 2 : 0) + (row->head_dim ? 1 : 0);
        if (rank > best) {
            best = rank;
            found = (gear__tuning_found){row, scope->source};
        }
    }
    return found;
}

gear__tuning_found gear__tuning_find(const gear__tuning_table *table, gear_attend_kernel kernel, const gear__caps *caps,
                                     const gear__shape *shape)
{
    return find(table, GEAR__TUNING_TUNED, kernel, caps, shape);
}

gear__tuning_found gear__tuning_preferred(const gear__tuning_table *table, const gear__caps *caps, const gear__shape *shape)
{
    return find(table, GEAR__TUNING_PREFER, GEAR_ATTEND_AUTO, caps, shape);
}
