/* test_tuning.c: the tuning database: which record a device gets, that every device gets one, and that all that is embedded can
 * run. */
#include <criterion/criterion.h>
#include <string.h>

#include "stage/attend_kernel.h"

#define OF(class_, text)                                                                                                       \
  {                                                                                                                            \
    .kind = GEAR__TUNING_CLASS, .source = text, .device_class = GEAR__CLASS_##class_                                           \
  }
#define BY(vendor_, text)                                                                                                      \
  {                                                                                                                            \
    .kind = GEAR__TUNING_VENDOR, .source = text, .device_class = GEAR__CLASS_GPU, .vendor = GEAR__VENDOR_##vendor_             \
  }
#define NAMED(name)                                                                                                            \
  {                                                                                                                            \
    .kind = GEAR__TUNING_DEVICE, .source = "tuned for " name, .device = name                                                   \
  }
#define RECORD(kind_, kernel_, dim, codecs_, rows_)                                                                            \
  {                                                                                                                            \
    .kind = GEAR__TUNING_##kind_, .kernel = GEAR_ATTEND_##kernel_, .head_dim = dim, .codecs = GEAR__CODEC_##codecs_,           \
    .tuning = {                                                                                                                \
        rows_,                                                                                                                 \
        64,                                                                                                                    \
        1                                                                                                                      \
    }                                                                                                                          \
  }

static const gear__tuning_row rows[] = {
    NAMED("Card A"), /* scopes in any order */
    RECORD(TUNED, PORTABLE, 128, PLAIN, 1),
    RECORD(PREFER, PORTABLE, 64, ANY, 0),
    OF(CPU, "cpu"),
    RECORD(TUNED, PORTABLE, 0, ANY, 2),
    RECORD(TUNED, CPU, 0, ANY, 3),
    OF(GPU, "gpu"),
    RECORD(TUNED, PORTABLE, 0, ANY, 4),
    RECORD(TUNED, PORTABLE, 0, OUTLIERS, 7),
    RECORD(TUNED, PORTABLE, 256, ANY, 8),
    BY(AMD, "amd gpu"),
    RECORD(TUNED, PORTABLE, 0, LOWRANK, 5),
    RECORD(TUNED, PORTABLE, 128, ANY, 6),
};
static const gear__tuning_table table = {rows, sizeof rows / sizeof *rows};

/* A layer of that head_dim and class of codecs. */
static gear__shape some_shape(uint32_t head_dim, gear__codec_class codecs)
{
    gear_codec codec;
    gear_cache_desc desc;
    gear__shape shape;
    gear_cache_desc_init(&desc);
    desc.head_dim = head_dim;
    desc.num_kv_heads = desc.num_query_heads = 8;
    gear_codec_init(&codec);
    codec.bits = codecs == GEAR__CODEC_EXACT ? 16 : 2;
    codec.rank_prompt = codecs == GEAR__CODEC_LOWRANK ? 4 : 0;
    codec.outlier_fraction = codecs == GEAR__CODEC_OUTLIERS ? 0.02f : 0;
    gear_codec_pair pair = {codec, codec};
    if (codecs >= GEAR__CODEC_MIXED) {
        pair.k.backbone = pair.v.backbone = GEAR_BACKBONE_MIXED;
        pair.k.segments[0] = (gear_segment){(uint16_t)head_dim, 2};
        pair.v.rotate = codecs == GEAR__CODEC_ROTATED;
    }
    gear__shape_init(&shape, &desc, &pair);
    return shape;
}

static gear__caps some_device(const char *name, int is_cpu, int is_amd)
{
    gear__caps caps = {.is_cpu = is_cpu, .is_gpu = !is_cpu, .is_amd = is_amd};
    strcpy(caps.name, name);
    return caps;
}

static void finds(const gear__caps *caps, gear_attend_kernel kernel, uint32_t head_dim, gear__codec_class codecs, uint32_t want,
                  const char *source)
{
    const gear__shape shape = some_shape(head_dim, codecs);
    gear__tuning_found found = gear__tuning_find(&table, kernel, caps, &shape);
    cr_assert_not_null(found.record);
    cr_assert_eq(found.record->tuning.rows, want, "%s, head_dim %u, %s: record %u, not %u", caps->name, head_dim,
                 gear__codec_class_name(codecs), found.record->tuning.rows, want);
    cr_assert_str_eq(found.source, source);
}

Test(tuning, the_device_comes_before_its_vendor_and_its_class)
{
    const gear__caps card = some_device("Card A", 0, 1), other = some_device("Card B", 0, 1), gpu = some_device("Card B", 0, 0);
    finds(&card, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_PLAIN, 1, "tuned for Card A");
    finds(&other, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_PLAIN, 6, "amd gpu");
    finds(&gpu, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_PLAIN, 4, "gpu");
    /* what the device was not measured for comes from its vendor, then from its class */
    finds(&card, GEAR_ATTEND_PORTABLE, 64, GEAR__CODEC_LOWRANK, 5, "amd gpu");
    finds(&card, GEAR_ATTEND_PORTABLE, 64, GEAR__CODEC_PLAIN, 4, "gpu");
}

Test(tuning, the_record_that_says_more_comes_first)
{
    const gear__caps amd = some_device("x", 0, 1), gpu = some_device("x", 0, 0);
    finds(&amd, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_LOWRANK, 5, "amd gpu");
    finds(&amd, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_OUTLIERS, 6, "amd gpu");
    finds(&gpu, GEAR_ATTEND_PORTABLE, 256, GEAR__CODEC_OUTLIERS, 7, "gpu");
    finds(&gpu, GEAR_ATTEND_PORTABLE, 256, GEAR__CODEC_PLAIN, 8, "gpu");
    finds(&gpu, GEAR_ATTEND_PORTABLE, 80, GEAR__CODEC_MIXED, 4, "gpu");
}

Test(tuning, each_kernel_has_its_own)
{
    const gear__caps cpu = some_device("x", 1, 0), amd_cpu = some_device("x", 1, 1);
    finds(&cpu, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_PLAIN, 2, "cpu");
    finds(&cpu, GEAR_ATTEND_CPU, 128, GEAR__CODEC_PLAIN, 3, "cpu");
    finds(&amd_cpu, GEAR_ATTEND_CPU, 128, GEAR__CODEC_PLAIN, 3, "cpu"); /* the vendor's scope is for its GPUs */
}

Test(tuning, names_are_whole_but_for_blanks)
{
    const gear__caps blanks = some_device("  Card A ", 0, 0), longer = some_device("Card A2", 0, 0),
                     shorter = some_device("Card", 0, 0);
    finds(&blanks, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_PLAIN, 1, "tuned for Card A");
    finds(&longer, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_PLAIN, 4, "gpu");
    finds(&shorter, GEAR_ATTEND_PORTABLE, 128, GEAR__CODEC_PLAIN, 4, "gpu");
}

Test(tuning, a_preferred_kernel_is_found)
{
    const gear__caps card = some_device("Card A", 0, 0), other = some_device("Card B", 0, 0);
    const gear__shape small = some_shape(64, GEAR__CODEC_PLAIN), large = some_shape(128, GEAR__CODEC_PLAIN);
    gear__tuning_found found = gear__tuning_preferred(&table, &card, &small);
    cr_assert(found.record && found.record->kernel == GEAR_ATTEND_PORTABLE);
    cr_assert_str_eq(found.source, "tuned for Card A");
    cr_assert_null(gear__tuning_preferred(&table, &card, &large).record);
    cr_assert_null(gear__tuning_preferred(&table, &other, &small).record);
}

Test(tuning, codecs_have_a_class)
{
    for (gear__codec_class codecs = GEAR__CODEC_EXACT; gear__codec_class_name(codecs); codecs++) {
        const gear__shape shape = some_shape(128, codecs);
        cr_assert_eq(gear__codec_class_of(&shape), codecs, "%s", gear__codec_class_name(codecs));
    }
    cr_assert_str_eq(gear__codec_class_name(GEAR__CODEC_ROTATED), "ROTATED");
}

/* Devices that no one measured: of every vendor and class. */
static gear__caps unknown_device(uint32_t i)
{
    gear__caps caps = some_device("unknown", i % 2 == 1, i / 2 == 1);
    caps.is_nvidia = i / 2 == 2;
    caps.is_intel = i / 2 == 3;
    caps.nv_sm = caps.is_nvidia ? 90 : 0;
    caps.nv_driver = caps.is_nvidia ? 580 : 0;
    return caps;
}

/* As many rows as pass the bound of the scratch, at least one of everything, and a source. */
static void is_sound(const gear__attend_tile *tile, uint32_t max_rows)
{
    cr_assert(tile->rows >= 1 && tile->rows <= 8);
    cr_assert(tile->kernel == GEAR_ATTEND_NVIDIA || tile->rows <= (max_rows < 3 ? max_rows : 8));
    cr_assert_geq(tile->work_items, 1);
    cr_assert(tile->groups_per_unit >= 1 && tile->groups_per_unit * tile->rows <= GEAR__ATTEND_ROWS_PER_UNIT);
    cr_assert(tile->least_items >= 1 && tile->least_items <= tile->work_items);
    cr_assert_leq(tile->least_per_unit * tile->rows, GEAR__ATTEND_ROWS_PER_UNIT);
    cr_assert_eq(tile->least_per_unit * tile->least_items, tile->groups_per_unit * tile->work_items);
    cr_assert_eq(tile->wide_rows != 0, tile->wide_items != 0);
    cr_assert(!tile->wide_rows || (max_rows > tile->rows && tile->wide_rows > tile->rows && tile->wide_per_unit >= 1));
    cr_assert_leq(tile->wide_per_unit * tile->wide_rows, GEAR__ATTEND_ROWS_PER_UNIT);
    cr_assert(tile->source && tile->source[0]);
}

Test(tuning, tensor_cores_need_a_card_and_a_driver)
{
    gear__caps caps = some_device("x", 0, 0);
    cr_assert_str_eq(gear__caps_tensor_cores_why_not(&caps), "no NVIDIA GPU");
    caps.is_nvidia = 1;
    caps.nv_sm = 75;
    caps.nv_driver = 580;
    cr_assert_str_eq(gear__caps_tensor_cores_why_not(&caps), "sm_80 or later is needed");
    caps.nv_sm = 80;
    cr_assert_null(gear__caps_tensor_cores_why_not(&caps));
    caps.nv_driver = 515;
    cr_assert_str_eq(gear__caps_tensor_cores_why_not(&caps), "driver 520 or later is needed");
}

/* As many warps in twice the work-groups, where local memory has room for these. */
Test(tuning, nvidia_work_groups_have_half_the_warps_where_there_are_many)
{
    gear__caps caps = some_device("x", 0, 0);
    caps.is_nvidia = 1;
    caps.nv_sm = 90;
    caps.nv_driver = 580;
    const gear__shape shape = some_shape(128, GEAR__CODEC_LOWRANK);
    const gear_attend_tuning four = {8, 128, 2}, three = {8, 96, 2}, most = {8, 128, 16};
    gear__attend_tile tile = gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 4, &four);
    cr_assert_eq(tile.work_items, 128);
    cr_assert_eq(tile.least_items, 64);
    cr_assert_eq(tile.least_per_unit, 4);
    tile = gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 4, &three);
    cr_assert_eq(tile.least_items, 96);
    cr_assert_eq(tile.least_per_unit, 2);
    tile = gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 4, &most); /* as many as fit */
    cr_assert_leq(tile.least_per_unit * tile.least_items, 2048);
}

/* Where more rows may come than a tile has, and codes times scales are halves. */
Test(tuning, nvidia_work_groups_are_wide_for_codes_whose_products_are_halves)
{
    gear__caps caps = some_device("x", 0, 0);
    caps.is_nvidia = 1;
    caps.nv_sm = 90;
    gear__shape shape = some_shape(128, GEAR__CODEC_LOWRANK);
    cr_assert_eq(gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 9, NULL).wide_rows, 16);
    cr_assert_eq(gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 8, NULL).wide_rows, 0);
    const gear_attend_tuning asked = {8, 32, 1};
    cr_assert_eq(gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 9, &asked).wide_rows, 0);
    shape.side[1].bits = 3;
    cr_assert_eq(gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 9, NULL).wide_rows, 0);
    shape = some_shape(128, GEAR__CODEC_OUTLIERS);
    cr_assert_eq(gear__attend_tile_of(GEAR_ATTEND_NVIDIA, &caps, &shape, 9, NULL).wide_rows, 0);
}

Test(tuning, every_device_has_sound_values_for_what_it_can_run)
{
    static const uint32_t head_dims[] = {64, 80, 96, 128, 256};
    uint32_t tiles = 0;
    for (uint32_t i = 0; i < 8 * 5 * GEAR__CODEC_ROTATED; i++) {
        const gear__caps caps = unknown_device(i % 8);
        const gear__shape shape = some_shape(head_dims[i / 8 % 5], (gear__codec_class)(1 + i / 40));
        for (gear_attend_kernel kernel = GEAR_ATTEND_PORTABLE; gear__attend_name(kernel); kernel++) {
            for (uint32_t most = 1; most <= 64 && !gear__attend_why_not(kernel, &caps, &shape); most = most * 3 / 2 + 1) {
                const gear__attend_tile tile = gear__attend_tile_of(kernel, &caps, &shape, most, NULL);
                cr_assert_eq(tile.kernel, kernel);
                is_sound(&tile, most);
                cr_assert_eq(strncmp(tile.source, "default of class ", 17), 0, "%s", tile.source);
                tiles++;
            }
        }
    }
    cr_assert_gt(tiles, 2000);
}

/* A record is reached by no other with the same key in its scope, and its values are the kernel's to take. */
Test(tuning, the_embedded_records_can_run)
{
    const gear__tuning_row *scope = NULL;
    for (size_t i = 0; i < gear__tuning_builtin.count; i++) {
        const gear__tuning_row *row = &gear__tuning_builtin.rows[i];
        if (row->kind < GEAR__TUNING_TUNED) {
            scope = row;
            for (size_t j = 0; j < i; j++) {
                const char *earlier = gear__tuning_builtin.rows[j].source;
                cr_assert(!earlier || strcmp(earlier, row->source) != 0, "%s twice", earlier);
            }
            continue;
        }
        cr_assert_not_null(scope);
        for (const gear__tuning_row *other = scope + 1; other < row; other++) {
            cr_assert(other->kind != row->kind || other->head_dim != row->head_dim || other->codecs != row->codecs ||
                          (row->kind == GEAR__TUNING_TUNED && other->kernel != row->kernel),
                      "%s: record %zu stands there twice", scope->source, i);
        }
        if (row->kind == GEAR__TUNING_TUNED) {
            const gear__shape shape =
                some_shape(row->head_dim ? row->head_dim : 64, row->codecs ? row->codecs : GEAR__CODEC_PLAIN);
            gear__caps caps = some_device(scope->device ? scope->device : "unknown", row->kernel == GEAR_ATTEND_CPU, 0);
            caps.is_nvidia = row->kernel == GEAR_ATTEND_NVIDIA;
            caps.nv_sm = 90;
            caps.nv_driver = 580;
            caps.max_work_group = 1024;
            cr_assert_null(gear__attend_why_not(row->kernel, &caps, &shape));
            const gear__attend_tile tile = gear__attend_tile_of(row->kernel, &caps, &shape, 64, &row->tuning);
            gear_error error;
            cr_assert_eq(gear__attend_tuning_check(&tile, &caps, &row->tuning, "test", &error), GEAR_OK, "%s: %s",
                         scope->source, error.message);
        }
    }
}
