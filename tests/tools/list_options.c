/* list_options.c: prints "STEM<TAB>OPTIONS[<TAB>GATES]" for the kernels that a representative set of layers uses, as the
 * library itself forms them, so that kernel lint and the offline gates look at what users get. No OpenCL call is made. */
#include <stdio.h>
#include <string.h>

#include "stage/stage.h"

#define KIVI  GEAR_BACKBONE_KIVI
#define KCVT  GEAR_BACKBONE_KCVT
#define TOKEN GEAR_BACKBONE_TOKEN

/* A layer: backbone and bits of K and V; factor bits, 0 for no low-rank part; bits of an outlier's delta, 0 for no outliers;
 * query rows of a KV head; all its kernels, or only that of attention, which has the most options. */
static const struct {
    uint32_t head_dim;
    gear_backbone backbone;
    uint32_t k_bits, v_bits, factor_bits, delta_bits, rows;
    int all;
} layers[] = {
    {64, KIVI, 2, 2, 16, 16, 8, 1},  {64, KIVI, 2, 2, 0, 0, 1, 0},   {64, KCVT, 4, 4, 16, 16, 4, 0},
    {128, KIVI, 3, 3, 16, 16, 4, 1}, {128, KIVI, 2, 2, 0, 0, 16, 0}, {128, KIVI, 2, 2, 16, 16, 1, 0},
    {128, KIVI, 2, 2, 16, 0, 4, 1},  {64, KCVT, 4, 4, 8, 0, 4, 0},   {256, KIVI, 2, 2, 16, 0, 4, 0},
    {128, KIVI, 4, 4, 8, 8, 8, 0},   {128, TOKEN, 4, 4, 0, 8, 1, 0}, {128, KIVI, 16, 16, 0, 0, 4, 0},
    {80, KIVI, 3, 3, 4, 8, 4, 0},    {96, TOKEN, 4, 8, 8, 16, 8, 0}, {256, KIVI, 8, 4, 16, 16, 4, 1},
    {128, KIVI, 2, 2, 16, 0, 16, 0},
};

/* More low-rank fits of a device with tensor cores: those of high ranks, and of low ones at head_dims of which no layer above
 * has all its kernels. */
static const struct {
    uint32_t head_dim, rank;
} fits[] = {{80, 4}, {96, 4}, {64, 8}, {80, 8}, {96, 8}, {128, 8}};

#define MOST_LINES 512u

static char lines[MOST_LINES][GEAR__OPTIONS_BYTES];
static uint32_t num_lines;

static void add(const char *stem, const char *options, const char *gates)
{
    char line[sizeof lines[0]];
    (void)snprintf(line, sizeof line, "%s\t%s%s%s", stem, options, *gates ? "\t" : "", gates);
    for (uint32_t i = 0; i < num_lines; i++) {
        if (!strcmp(lines[i], line)) {
            return;
        }
    }
    if (num_lines < MOST_LINES) {
        memcpy(lines[num_lines++], line, sizeof line);
    }
}

/* Options that belong to the runtime's compiler rather than to the kernel: the checks give their own language version. */
static const char *without_language(const char *options)
{
    const char *defines = strstr(options, "-D");
    return defines ? defines : "";
}

/* The attend kernels, each with a device that it is for and the checks that apply to it; "": all. */
static const struct {
    gear_attend_kernel kernel;
    gear__caps caps;
    const char *gates;
} attend_kernels[] = {
    {GEAR_ATTEND_PORTABLE, {.is_gpu = 1}, ""},
    {GEAR_ATTEND_CPU, {.is_cpu = 1}, "lint"},
    {GEAR_ATTEND_NVIDIA, {.is_gpu = 1, .is_nvidia = 1, .nv_sm = 90, .nv_driver = 580}, "nvidia"},
};

static void add_attend(const gear__shape *shape, uint32_t max_rows)
{
    for (size_t i = 0; i < sizeof attend_kernels / sizeof *attend_kernels; i++) {
        const gear__caps *caps = &attend_kernels[i].caps;
        const char *stem, *name;
        gear__options options;
        if (gear__attend_why_not(attend_kernels[i].kernel, caps, shape)) {
            continue;
        }
        const gear__attend_tile tile = gear__attend_tile_of(attend_kernels[i].kernel, caps, shape, max_rows, NULL);
        for (gear__kernel_id id = GEAR__KERNEL_PARTIAL; id <= GEAR__KERNEL_PARTIAL_WIDE; id++) {
            if (gear__kernel_recipe(id, shape, 0, &tile, NULL, &stem, &name, &options)) {
                add(stem, without_language(options.text), attend_kernels[i].gates);
            }
        }
    }
}

/* The compressor with and without its fused kernel, for a GPU and for a CPU device, for a GPU of small work-groups, and for one
 * with tensor cores, whose kernels for NVIDIA's instructions stand in for others. */
static const struct {
    gear__append_tile tile;
    const char *gates;
} append_tiles[] = {{{128, 256, 0, 0, 0, 0}, ""},   {{128, 256, 1, 0, 1, 1}, ""},   {{128, 256, 1, 1, 1, 1}, ""},
                    {{1, 256, 0, 0, 0, 0}, "lint"}, {{1, 256, 0, 0, 1, 0}, "lint"}, {{64, 64, 0, 0, 0, 0}, "lint"},
                    {{64, 64, 0, 0, 1, 1}, "lint"}};

/* Of the kernels from `first` to `last` every one but that of attention. */
static void add_append(const gear__shape *shape, const gear__append_tile *tile, gear__kernel_id first, gear__kernel_id last,
                       const char *gates)
{
    const gear__caps caps = {.local_bytes = 49152, .is_cpu = gear__append_is_cpu_form(tile), .max_work_group = 256};
    gear__append_tile own = *tile;
    own.is_fused = tile->is_fused && !gear__append_why_not(&caps, shape);
    for (gear__kernel_id id = first; id <= last; id++) {
        for (uint32_t is_v = 0; is_v < 2; is_v++) {
            const char *stem, *name;
            gear__options options;
            if (id != GEAR__KERNEL_PARTIAL && (id != GEAR__KERNEL_DECODE || !gear__append_decode_why_not(&caps, shape)) &&
                gear__kernel_recipe(id, shape, is_v, NULL, &own, &stem, &name, &options)) {
                /* others do not depend on the tile */
                int is_tiled = strstr(options.text, " ITEMS=") != NULL || strstr(stem, "_cpu") != NULL;
                int is_nvidia = strstr(stem, "_nvidia") != NULL || strstr(options.text, "HALF_PAIRS=1") != NULL ||
                                strstr(options.text, "LONG_LISTS=1") != NULL;
                add(stem, without_language(options.text), is_nvidia ? "nvidia" : is_tiled ? gates : "");
            }
        }
    }
}

/* Every kernel of a shape, or the attend kernels alone. */
static void add_shape(const gear_cache_desc *desc, const gear_codec_pair *pair, uint32_t max_rows, int all)
{
    gear__shape shape;
    gear__shape_init(&shape, desc, pair);
    add_attend(&shape, max_rows);
    for (size_t i = 0; i < sizeof append_tiles / sizeof *append_tiles && all; i++) {
        add_append(&shape, &append_tiles[i].tile, (gear__kernel_id)0, (gear__kernel_id)(GEAR__NUM_KERNELS - 1),
                   append_tiles[i].gates);
    }
}

static void add_layer(size_t index)
{
    gear_codec codec[2];
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    desc.head_dim = layers[index].head_dim;
    desc.num_kv_heads = 8;
    for (int is_v = 0; is_v < 2; is_v++) {
        uint32_t bits = is_v ? layers[index].v_bits : layers[index].k_bits;
        gear_codec_init(&codec[is_v]);
        codec[is_v].backbone = layers[index].backbone;
        codec[is_v].bits = bits;
        codec[is_v].factor_bits = layers[index].factor_bits;
        codec[is_v].rank_prompt = codec[is_v].rank_decode = layers[index].factor_bits ? 4 : 0;
        codec[is_v].outlier_fraction = layers[index].delta_bits ? 0.02f : 0.0f;
        codec[is_v].delta_bits = layers[index].delta_bits;
    }
    const gear_codec_pair pair = {codec[0], codec[1]};
    add_shape(&desc, &pair, layers[index].rows, layers[index].all);
}

static void add_fits(uint32_t head_dim, uint32_t rank)
{
    static const gear__append_tile tile = {128, 256, 1, 1, 0, 0};
    gear_cache_desc desc;
    gear_codec_pair pair;
    gear__shape shape;
    gear_cache_desc_init(&desc);
    gear_codec_init(&pair.k);
    desc.head_dim = head_dim;
    desc.num_kv_heads = 8;
    pair.k.rank_prompt = pair.k.rank_decode = rank;
    pair.v = pair.k;
    gear__shape_init(&shape, &desc, &pair);
    add_append(&shape, &tile, GEAR__KERNEL_LOWRANK, GEAR__KERNEL_LOWRANK_FIT, "");
}

static int add_preset(const char *name, uint32_t head_dim, uint32_t rows)
{
    gear_codec_pair pair;
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    desc.head_dim = head_dim;
    desc.num_kv_heads = 8;
    if (gear_preset(name, &desc, &pair, NULL)) {
        return 0;
    }
    add_shape(&desc, &pair, rows, 1);
    return 1;
}

int main(void)
{
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        add_layer(i);
    }
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
        add_fits(fits[i].head_dim, fits[i].rank);
    }
    if (!add_preset("gear_2_6", 128, 16) || !add_preset("mix_3_1", 64, 4) || !add_preset("mix_2_2", 80, 1) ||
        !add_preset("mix_4_4", 128, 4)) {
        return 1;
    }
    puts("# kernel_options.txt: what list_options prints, for the kernel checks where nothing is built: "
         "STEM<TAB>OPTIONS[<TAB>GATES];\n"
         "# common.sh explains the columns, check_lint.sh looks whether this is still so. Anew: build/bin/list_options >\n"
         "# ci/kernel_options.txt");
    for (uint32_t i = 0; i < num_lines; i++) {
        puts(lines[i]);
    }
    return 0;
}
