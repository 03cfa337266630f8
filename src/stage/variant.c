/* variant.c: which kernels a shape needs and the options that specialise them: head_dim, the side, bits, the tile of query rows
 * and the direction of the groups. Everything else of a shape travels as shape words, so that layers of different codecs share
 * programs. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "device/buffer.h"
#include "device/program.h"
#include "model/shape_words.h"
#include "stage/attend_nvidia_options.h"
#include "stage/stage.h"

#define OPT_DIM    1u
#define OPT_SIDE   2u /* IS_V */
#define OPT_BITS   4u /* BITS of the side */
#define OPT_ATTEND 8u
#define OPT_ITEMS  32u  /* work-items of a work-group of the compressor; also where none are, to share a program */
#define OPT_BLOCK  64u  /* both sides, for the fused kernel */
#define OPT_MOST   256u /* of a work-group that wants as many work-items as it gets; also elsewhere, as OPT_ITEMS */
#define OPT_DECODE 512u /* of the decode kernel: ITEMS as OPT_MOST has them, columns of the low-rank fit */
#define OPTIONS    (OPT_DIM | OPT_SIDE | OPT_BITS | OPT_ATTEND | OPT_ITEMS | OPT_BLOCK | OPT_MOST)
#define SIDED      (OPT_DIM | OPT_SIDE | OPT_BITS | OPT_ITEMS | OPT_MOST)
#define STAGED     (OPT_DIM | OPT_ITEMS | OPT_MOST)
#define PER_SIDE   16u /* one kernel for K and one for V, even when the options agree */

#define STEMS_BYTES 256u

/* Limits of registers for NVIDIA GPUs. */
#define BLOCK_REGISTERS  64u  /* eight work-groups of four warps on a multiprocessor */
#define GRAM_REGISTERS   128u /* fits on tensor cores (gram, project, fit): two work-groups of eight warps */
#define DECODE_REGISTERS 128u /* two of eight */
#define MARKS_REGISTERS  64u  /* four of eight */
#define STORE_REGISTERS  32u  /* as many work-groups as there may be */

/* Work-items of a work-group: GEAR__WORK_GROUP, or a field of gear__append_tile. */
typedef enum items_rule { ITEMS_64, ITEMS_TILE, ITEMS_MOST } items_rule;

/* cpu_stem, cpu_name: the form for CPU devices, of one work-item a work-group; tensor_stem, tensor_name: the form for tensor
 * cores; fused_stem, fused_name: what works from append_block's marks instead; NULL: there is none. items: of the form that is
 * for neither. */
static const struct {
    const char *stem, *name;
    unsigned uses;
    items_rule items;
    const char *cpu_stem, *cpu_name, *tensor_stem, *tensor_name, *fused_stem, *fused_name;
} kernels[GEAR__NUM_KERNELS] = {
    [GEAR__KERNEL_UPLOAD] = {"upload", "gear_k_upload", STAGED},
    [GEAR__KERNEL_UPLOAD_LISTS] = {"upload", "gear_k_upload_lists", STAGED},
    [GEAR__KERNEL_GATHER] = {"append_0_gather", "gear_k_append_0_gather", STAGED, ITEMS_TILE},
    [GEAR__KERNEL_MOMENTS] = {"append_1_order", "gear_k_append_1_moments", STAGED, ITEMS_TILE},
    [GEAR__KERNEL_ORDER] = {"append_1_order", "gear_k_append_1_order", STAGED, ITEMS_TILE},
    [GEAR__KERNEL_REORDER] = {"append_1_transform", "gear_k_append_1_reorder", STAGED, ITEMS_TILE},
    [GEAR__KERNEL_ROTATE] = {"append_1_transform", "gear_k_append_1_rotate", STAGED | PER_SIDE, ITEMS_TILE},
    [GEAR__KERNEL_NORMS] = {"append_1_norms", "gear_k_append_1_norms", STAGED},
    [GEAR__KERNEL_OUTLIERS_CHANNELS] = {"append_1_outliers", "gear_k_append_1_outliers_channels", STAGED | PER_SIDE, ITEMS_MOST,
                                        "append_1_outliers_cpu", "gear_k_append_1_outliers_channels_cpu", NULL, NULL,
                                        "append_1_marks", "gear_k_append_1_marks_channels"},
    [GEAR__KERNEL_OUTLIERS_TOKENS] = {"append_1_outliers", "gear_k_append_1_outliers_tokens", STAGED | PER_SIDE, ITEMS_MOST,
                                      "append_1_outliers_cpu", "gear_k_append_1_outliers_tokens_cpu", NULL, NULL,
                                      "append_1_marks", "gear_k_append_1_marks_tokens"},
    [GEAR__KERNEL_OUTLIERS_BLOCK] = {"append_1_outliers", "gear_k_append_1_outliers_block", STAGED | PER_SIDE, ITEMS_64,
                                     "append_1_outliers_cpu", "gear_k_append_1_outliers_block_cpu"},
    [GEAR__KERNEL_RANGE_CHANNELS] = {"append_2_range", "gear_k_append_2_range_channels", STAGED | PER_SIDE, ITEMS_TILE,
                                     "append_2_range_cpu", "gear_k_append_2_range_channels_cpu"},
    [GEAR__KERNEL_RANGE_TOKENS] = {"append_2_range", "gear_k_append_2_range_tokens", STAGED | PER_SIDE, ITEMS_TILE,
                                   "append_2_range_cpu", "gear_k_append_2_range_tokens_cpu"},
    [GEAR__KERNEL_RANGE_JOIN] = {"append_2_range", "gear_k_append_2_range_join", STAGED | PER_SIDE, ITEMS_TILE},
    [GEAR__KERNEL_FIT] = {"append_2_fit", "gear_k_append_2_fit", SIDED},
    [GEAR__KERNEL_QUANTIZE] = {"append_3_quantize", "gear_k_append_3_quantize", SIDED, ITEMS_TILE, "append_3_quantize_cpu",
                               "gear_k_append_3_quantize_cpu"},
    [GEAR__KERNEL_BLOCK] = {"append_block", "gear_k_append_block", OPT_DIM | OPT_ITEMS | OPT_BLOCK, ITEMS_TILE},
    [GEAR__KERNEL_DECODE] = {"append_decode", "gear_k_append_decode", OPT_DIM | OPT_BLOCK | OPT_DECODE, ITEMS_MOST, NULL, NULL,
                             "append_decode_nvidia", "gear_k_append_decode_nvidia"},
    [GEAR__KERNEL_LOWRANK] = {"append_4_lowrank", "gear_k_append_4_lowrank_whole", STAGED | PER_SIDE, ITEMS_TILE,
                              "append_4_lowrank_cpu", "gear_k_append_4_lowrank_whole_cpu"},
    [GEAR__KERNEL_LOWRANK_BLOCK] = {"append_4_lowrank", "gear_k_append_4_lowrank_block", STAGED | PER_SIDE, ITEMS_MOST, NULL,
                                    NULL, "append_4_lowrank_nvidia", "gear_k_append_4_lowrank_block_nvidia"},
    [GEAR__KERNEL_LOWRANK_GRAM] = {"append_4_lowrank_gram", "gear_k_append_4_lowrank_gram", STAGED | PER_SIDE, ITEMS_MOST,
                                   "append_4_lowrank_cpu", "gear_k_append_4_lowrank_gram_cpu", "append_4_lowrank_gram_nvidia",
                                   "gear_k_append_4_lowrank_gram_nvidia"},
    [GEAR__KERNEL_LOWRANK_ITERATE] = {"append_4_lowrank_long", "gear_k_append_4_lowrank_iterate", STAGED | PER_SIDE, ITEMS_MOST,
                                      "append_4_lowrank_cpu", "gear_k_append_4_lowrank_iterate_cpu"},
    [GEAR__KERNEL_LOWRANK_PROJECT] = {"append_4_lowrank_long", "gear_k_append_4_lowrank_project", STAGED | PER_SIDE, ITEMS_TILE,
                                      "append_4_lowrank_cpu", "gear_k_append_4_lowrank_project_cpu",
                                      "append_4_lowrank_long_nvidia", "gear_k_append_4_lowrank_project_nvidia"},
    [GEAR__KERNEL_LOWRANK_STORE] = {"append_4_lowrank_long", "gear_k_append_4_lowrank_store", STAGED | PER_SIDE, ITEMS_TILE,
                                    "append_4_lowrank_cpu", "gear_k_append_4_lowrank_store_cpu"},
    /* only for tensor cores: is_left_out */
    [GEAR__KERNEL_LOWRANK_FIT] = {"append_4_lowrank_fit_nvidia", "gear_k_append_4_lowrank_fit_nvidia", STAGED | PER_SIDE,
                                  ITEMS_MOST, NULL, NULL, "append_4_lowrank_fit_nvidia", "gear_k_append_4_lowrank_fit_nvidia"},
    [GEAR__KERNEL_COUNT_OUTLIERS] = {"append_5_store", "gear_k_append_5_count", SIDED, ITEMS_64, "append_5_store_cpu",
                                     "gear_k_append_5_count_cpu"},
    [GEAR__KERNEL_BASES] = {"append_5_store", "gear_k_append_5_bases", SIDED, ITEMS_MOST, "append_5_store_cpu",
                            "gear_k_append_5_bases_cpu"},
    [GEAR__KERNEL_STORE] = {"append_5_store", "gear_k_append_5_store", SIDED, ITEMS_TILE, "append_5_store_cpu",
                            "gear_k_append_5_store_cpu", NULL, NULL, "append_5_store", "gear_k_append_5_store_marked"},
    [GEAR__KERNEL_WINDOW] = {"append_6_window", "gear_k_append_6_window", STAGED},
    [GEAR__KERNEL_PARTIAL] = {"attend_1_partial", "gear_k_attend_1_partial", OPT_DIM | OPT_ATTEND},
    [GEAR__KERNEL_PARTIAL_SMALL] = {"attend_1_partial", "gear_k_attend_1_partial", OPT_DIM | OPT_ATTEND},
    [GEAR__KERNEL_PARTIAL_WIDE] = {"attend_1_partial", "gear_k_attend_1_partial", OPT_DIM | OPT_ATTEND},
    [GEAR__KERNEL_MERGE] = {"attend_2_merge", "gear_k_attend_2_merge", STAGED},
    [GEAR__KERNEL_RECONSTRUCT] = {"reconstruct", "gear_k_reconstruct", SIDED},
};

static int is_along_tokens(const gear__side *side)
{
    return side->axis == GEAR__AXIS_CHANNEL_GROUP || side->axis == GEAR__AXIS_CHANNEL_SEGMENT ||
           side->axis == GEAR__AXIS_MIXED_CHANNEL;
}

/* Kernels whose work append_block does. On CPU devices it does not serve layers with outliers. */
static int is_replaced(gear__kernel_id id, const gear__append_tile *append)
{
    if (kernels[id].fused_stem) {
        return gear__append_is_cpu_form(append);
    }
    return (id >= GEAR__KERNEL_GATHER && id <= GEAR__KERNEL_QUANTIZE && id != GEAR__KERNEL_MOMENTS &&
            id != GEAR__KERNEL_ORDER) ||
           id == GEAR__KERNEL_COUNT_OUTLIERS;
}

/* Kernels whose work others do, however the compressor is tiled. */
static int is_left_out(gear__kernel_id id, const gear__append_tile *append)
{
    switch (id) {
    case GEAR__KERNEL_BLOCK: return !append->is_fused;
    case GEAR__KERNEL_DECODE: return !append->has_decode;
    case GEAR__KERNEL_LOWRANK_FIT: return !append->has_tensor_cores;
    case GEAR__KERNEL_LOWRANK_BLOCK: return gear__append_is_cpu_form(append); /* "whole" serves these fits too */
    case GEAR__KERNEL_RANGE_JOIN: return append->is_fused || gear__append_is_cpu_form(append); /* nothing is in parts */
    default: return append->is_fused && is_replaced(id, append);
    }
}

static int has_use(gear__kernel_id id, const gear__side *side)
{
    int outliers = side->outlier_fraction > 0, block_rule = side->outlier_rule == GEAR_OUTLIER_BLOCK;
    switch (id) {
    case GEAR__KERNEL_OUTLIERS_CHANNELS: return outliers && !block_rule && side->outlier_axis == GEAR__AXIS_CHANNEL_SEGMENT;
    case GEAR__KERNEL_OUTLIERS_TOKENS: return outliers && !block_rule && side->outlier_axis == GEAR__AXIS_TOKEN_ALL;
    case GEAR__KERNEL_OUTLIERS_BLOCK: return outliers && block_rule;
    case GEAR__KERNEL_MOMENTS:
    case GEAR__KERNEL_ORDER:
    case GEAR__KERNEL_REORDER: return side->ordered != 0;
    case GEAR__KERNEL_ROTATE: return side->rotate != 0;
    case GEAR__KERNEL_NORMS: return side->weighted != 0;
    case GEAR__KERNEL_FIT: return gear__is_mixed(side);
    case GEAR__KERNEL_RANGE_CHANNELS: return is_along_tokens(side) && !gear__is_mixed(side);
    case GEAR__KERNEL_RANGE_JOIN: return side->axis == GEAR__AXIS_CHANNEL_SEGMENT;
    case GEAR__KERNEL_RANGE_TOKENS: return side->axis != GEAR__AXIS_NONE && !is_along_tokens(side) && !gear__is_mixed(side);
    case GEAR__KERNEL_LOWRANK:
    case GEAR__KERNEL_LOWRANK_BLOCK:
    case GEAR__KERNEL_LOWRANK_GRAM:
    case GEAR__KERNEL_LOWRANK_ITERATE:
    case GEAR__KERNEL_LOWRANK_PROJECT:
    case GEAR__KERNEL_LOWRANK_STORE:
    case GEAR__KERNEL_LOWRANK_FIT: return side->rank[0] || side->rank[1];
    case GEAR__KERNEL_COUNT_OUTLIERS:
    case GEAR__KERNEL_BASES:
    case GEAR__KERNEL_STORE: return outliers;
    default: return 1;
    }
}

/* The channel segments of K. */
static void segment_options(gear__options *options, const gear__side *k)
{
    static const char *const channels[] = {"K_CHANNELS_0", "K_CHANNELS_1", "K_CHANNELS_2", "K_CHANNELS_3"};
    static const char *const bits[] = {"K_BITS_0", "K_BITS_1", "K_BITS_2", "K_BITS_3"};
    for (uint32_t i = 0; i < GEAR_MAX_SEGMENTS; i++) {
        gear__options_int(options, channels[i], k->segments[i].channels);
        gear__options_int(options, bits[i], k->segments[i].bits);
    }
}

/* What the attend kernels know when compiling: of K, whose channels may lie in segments, and of V. */
static void attend_options(gear__options *options, const gear__shape *shape)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    segment_options(options, k);
    gear__options_int(options, "K_MIXED", k->axis == GEAR__AXIS_MIXED_CHANNEL);
    gear__options_int(options, "K_BY_TOKEN", !is_along_tokens(k));
    gear__options_int(options, "K_FACTOR_BITS", k->rank[0] || k->rank[1] ? (long)k->factor_bits : 0);
    gear__options_int(options, "K_OUTLIERS", (long)k->delta_bits);
    gear__options_int(options, "V_BITS", (long)v->bits);
    gear__options_int(options, "V_MIXED", v->axis == GEAR__AXIS_MIXED_TOKEN);
    gear__options_int(options, "V_NORMAL", (long)v->levels);
    gear__options_int(options, "V_ROTATE", (long)v->rotate);
    gear__options_int(options, "V_BY_TOKEN", !is_along_tokens(v));
    gear__options_int(options, "V_FACTOR_BITS", v->rank[0] || v->rank[1] ? (long)v->factor_bits : 0);
    gear__options_int(options, "V_OUTLIERS", (long)v->delta_bits);
}

/* Whether blocks of a side leave a residual: 0 never, 1 by the class of their segment, 2 always. */
static long residual_of(const gear__side *side)
{
    return (side->rank[GEAR__PROMPT] > 0) + (side->rank[GEAR__DECODE] > 0);
}

/* What the fused kernel of the compressor knows of both sides. */
static void block_options(gear__options *options, const gear__shape *shape)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    segment_options(options, k);
    gear__options_int(options, "K_AXIS", (long)k->axis);
    gear__options_int(options, "K_GROUP", (long)k->group);
    gear__options_int(options, "V_AXIS", (long)v->axis);
    gear__options_int(options, "V_GROUP", (long)v->group);
    gear__options_int(options, "V_BITS", (long)v->bits);
    gear__options_int(options, "V_NORMAL", (long)v->levels);
    gear__options_int(options, "V_ROTATE", (long)v->rotate);
    gear__options_int(options, "K_MARKS", k->outlier_fraction > 0);
    gear__options_int(options, "V_MARKS", v->outlier_fraction > 0);
    gear__options_int(options, "K_RESIDUAL", residual_of(k));
    gear__options_int(options, "V_RESIDUAL", residual_of(v));
}

static int is_partial(int id)
{
    return id >= GEAR__KERNEL_PARTIAL && id <= GEAR__KERNEL_PARTIAL_WIDE;
}

/* Work-items of a work-group of one of those. */
static uint32_t partial_items(int id, const gear__attend_tile *tile)
{
    return id == GEAR__KERNEL_PARTIAL_WIDE    ? tile->wide_items
           : id == GEAR__KERNEL_PARTIAL_SMALL ? tile->least_items
                                              : tile->work_items;
}

/* Which form of a kernel runs; append: NULL for kernels that are not the compressor's. */
static int is_tensor_form(int id, const gear__append_tile *append)
{
    return append && append->has_tensor_cores && kernels[id].tensor_stem;
}

static int is_cpu_form(int id, const gear__append_tile *append)
{
    return gear__append_is_cpu_form(append) && kernels[id].cpu_stem;
}

static int is_fused_form(int id, const gear__append_tile *append)
{
    return append && append->is_fused && kernels[id].fused_stem;
}

static const char *stem_of(int id, const gear__append_tile *append)
{
    return is_fused_form(id, append)    ? kernels[id].fused_stem
           : is_tensor_form(id, append) ? kernels[id].tensor_stem
           : is_cpu_form(id, append)    ? kernels[id].cpu_stem
                                        : kernels[id].stem;
}

static const char *name_of(int id, const gear__append_tile *append)
{
    return is_fused_form(id, append)    ? kernels[id].fused_name
           : is_tensor_form(id, append) ? kernels[id].tensor_name
           : is_cpu_form(id, append)    ? kernels[id].cpu_name
                                        : kernels[id].name;
}

uint32_t gear__kernel_items(gear__kernel_id id, const gear__append_tile *append, uint32_t head_dim)
{
    if ((id == GEAR__KERNEL_LOWRANK_GRAM || id == GEAR__KERNEL_LOWRANK_FIT) && is_tensor_form((int)id, append)) {
        return 32u * GEAR__GRAM_NV_WARPS(head_dim);
    }
    if (id == GEAR__KERNEL_LOWRANK_PROJECT && is_tensor_form((int)id, append)) {
        return GEAR__PROJECT_NV_ITEMS;
    }
    if (is_cpu_form((int)id, append)) {
        return 1;
    }
    switch (kernels[id].items) {
    case ITEMS_TILE: return append->work_items;
    case ITEMS_MOST: return append->most_items;
    default: return GEAR__WORK_GROUP;
    }
}

int gear__lowrank_is_joined(const gear__append_tile *append, const gear__shape *shape, uint32_t is_v)
{
    const uint32_t *rank = shape->side[is_v].rank;
    return append->has_tensor_cores && GEAR__GRAM_NV_FITS(shape->head_dim, rank[0], rank[1]);
}

int gear__kernel_has_cpu_form(gear__kernel_id id)
{
    return kernels[id].cpu_stem != NULL;
}

int gear__kernel_recipe(gear__kernel_id id, const gear__shape *shape, uint32_t is_v, const gear__attend_tile *tile,
                        const gear__append_tile *append, const char **stem, const char **name, gear__options *options)
{
    const gear__side *side = &shape->side[is_v];
    unsigned uses = kernels[id].uses;
    const int is_of_fits = (id >= GEAR__KERNEL_LOWRANK_GRAM && id <= GEAR__KERNEL_LOWRANK_FIT) || id == GEAR__KERNEL_LOWRANK;
    if (append && is_of_fits && gear__lowrank_is_joined(append, shape, is_v) != (id == GEAR__KERNEL_LOWRANK_FIT)) {
        return 0;
    }
    if ((append && is_left_out(id, append)) || !has_use(id, side) || (is_v && !(uses & (OPT_SIDE | PER_SIDE)))) {
        return 0;
    }
    if (id == GEAR__KERNEL_PARTIAL_SMALL && (!tile || tile->least_items == tile->work_items)) {
        return 0;
    }
    if (id == GEAR__KERNEL_PARTIAL_WIDE && (!tile || !tile->wide_rows)) {
        return 0;
    }
    *stem = stem_of((int)id, append);
    *name = name_of((int)id, append);
    if (is_partial(id) && tile->kernel == GEAR_ATTEND_CPU) {
        *stem = "attend_1_partial_cpu";
        *name = "gear_k_attend_1_partial_cpu";
    }
    gear__options_begin(options);
    if (is_partial(id) && tile->registers) {
        gear__options_registers(options, id == GEAR__KERNEL_PARTIAL_WIDE ? tile->wide_registers : tile->registers);
    }
    if (id != GEAR__KERNEL_LOWRANK_BLOCK && is_tensor_form((int)id, append)) {
        gear__options_registers(options, id == GEAR__KERNEL_DECODE ? DECODE_REGISTERS : GRAM_REGISTERS);
    }
    if (id == GEAR__KERNEL_BLOCK && append->is_nvidia) {
        gear__options_registers(options, BLOCK_REGISTERS);
    }
    const int is_marks = is_fused_form((int)id, append) && id != GEAR__KERNEL_STORE;
    if (is_marks && append->has_tensor_cores) {
        gear__options_registers(options, MARKS_REGISTERS);
    }
    if (append && append->is_nvidia && (id == GEAR__KERNEL_BASES || id == GEAR__KERNEL_STORE)) {
        gear__options_registers(options, STORE_REGISTERS);
    }
    if ((is_marks || id == GEAR__KERNEL_BLOCK || id == GEAR__KERNEL_DECODE) && append->has_tensor_cores) {
        gear__options_int(options, "HALF_PAIRS", 1);
    }
    if ((id == GEAR__KERNEL_UPLOAD || id == GEAR__KERNEL_UPLOAD_LISTS) && append->is_nvidia) {
        gear__options_int(options, "LONG_LISTS", 1);
    }
    if (uses & OPT_DIM) {
        gear__options_int(options, "HEAD_DIM", (long)shape->head_dim);
    }
    if (uses & OPT_SIDE) {
        gear__options_int(options, "IS_V", (long)is_v);
    }
    if (uses & OPT_BITS) {
        gear__options_int(options, "BITS", gear__is_mixed(side) ? 0 : (long)side->bits);
    }
    if (uses & OPT_ITEMS) {
        gear__options_int(options, "ITEMS", (long)append->work_items);
    }
    if (uses & OPT_DECODE) {
        gear__options_int(options, "ITEMS", (long)append->most_items);
        gear__options_int(options, "COLUMNS", (long)gear__append_decode_columns(shape));
    }
    if (uses & OPT_MOST) {
        gear__options_int(options, "MOST_ITEMS", (long)append->most_items);
    }
    if (uses & OPT_BLOCK) {
        block_options(options, shape);
    }
    if (uses & OPT_ATTEND) {
        attend_options(options, shape);
        if (tile->kernel == GEAR_ATTEND_NVIDIA) {
            *stem = "attend_1_partial_nvidia";
            *name = "gear_k_attend_1_partial_nvidia";
            gear__attend_nvidia_options(options, shape, tile, id == GEAR__KERNEL_PARTIAL_WIDE, partial_items(id, tile));
        } else {
            gear__options_int(options, "ROWS", (long)tile->rows);
        }
    }
    return 1;
}

/* Whether no kernel before this one is in the same file. Kernels of a file have the same options. */
static int is_first_of_file(int id, const gear__append_tile *append)
{
    for (int i = 0; i < id; i++) {
        if (!is_left_out((gear__kernel_id)i, append) && !strcmp(stem_of(i, append), stem_of(id, append))) {
            return 0;
        }
    }
    return 1;
}

/* The files that one program is built from. PoCL takes 0.25 s for its own headers and library in every program but compiles a
 * kernel no further before its first launch: there all files of the same options make one program, which every codec with those
 * options shares. Other compilers translate every kernel when a program is built: there each file is a program. */
static void program_stems(gear__kernel_id id, const char *stem, const gear__append_tile *append, int is_pocl,
                          char stems[STEMS_BYTES])
{
    unsigned options = kernels[id].uses & OPTIONS;
    size_t length = 0;
    if (options & (OPT_ATTEND | OPT_BLOCK)) {
        (void)snprintf(stems, STEMS_BYTES, "%s", stem);
        return;
    }
    for (int i = 0; i < GEAR__NUM_KERNELS; i++) {
        const char *file = stem_of(i, append);
        const int joined = is_pocl && (kernels[i].uses & OPTIONS) == options;
        if (!is_left_out((gear__kernel_id)i, append) && (joined || !strcmp(file, stem)) && is_first_of_file(i, append)) {
            length += (size_t)snprintf(stems + length, STEMS_BYTES - length, "%s%s", length ? "+" : "", file);
        }
    }
}

gear_status gear__variant_kernel(gear__variant *variant, gear__device *device, gear__kernel_id id, uint32_t is_v,
                                 gear_error *error)
{
    const char *stem, *name;
    char stems[STEMS_BYTES];
    gear__options options;
    cl_kernel *kernel = &variant->kernel[id][is_v];
    if (!gear__kernel_recipe(id, &variant->shape, is_v, &variant->tile, &variant->append, &stem, &name, &options)) {
        return GEAR_OK;
    }
    program_stems(id, stem, &variant->append, device->caps.is_pocl, stems);
    gear_status status = gear__program_kernel(device, stems, &options, name, kernel, error);
    size_t items =
        is_partial(id) ? partial_items(id, &variant->tile) : gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    return status ? status : gear__kernel_check(device, *kernel, name, items, error);
}

gear_status gear__variant_init(gear__variant *variant, gear__device *device, const gear__shape *shape, uint32_t table_row,
                               const gear__attend_tile *tile, const gear__append_tile *append, gear_error *error)
{
    uint32_t words[GEAR__SHAPE_WORDS];
    cl_int code;
    memset(variant, 0, sizeof *variant);
    variant->shape = *shape;
    variant->table_row = table_row;
    variant->tile = *tile;
    variant->append = *append;
    gear__shape_to_words(shape, table_row, words);
    variant->words = clCreateBuffer(device->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof words, words, &code);
    if (!variant->words) {
        return gear__fail_cl(error, code, "clCreateBuffer");
    }
    for (int id = 0; id < GEAR__NUM_KERNELS; id++) {
        for (uint32_t is_v = 0; is_v < 2; is_v++) {
            gear_status status = gear__variant_kernel(variant, device, (gear__kernel_id)id, is_v, error);
            if (status) {
                gear__variant_close(variant);
                return status;
            }
        }
    }
    return GEAR_OK;
}

void gear__variant_close(gear__variant *variant)
{
    gear__buffer_release(&variant->words);
    for (int id = 0; id < GEAR__NUM_KERNELS; id++) {
        for (int is_v = 0; is_v < 2; is_v++) {
            if (variant->kernel[id][is_v]) {
                clReleaseKernel(variant->kernel[id][is_v]);
            }
        }
    }
    memset(variant, 0, sizeof *variant);
}
