/* test_kv_spec.c: the words of --kv say what they mean, flags change them, and codec files come back as they were written. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/common/codec_file.h"
#include "../../host/gear-llm/kv_spec.h"
#include "open_cl.h"

static const codec_flags none;

static kv_spec_list parse(const char *text, const codec_flags *overrides)
{
    host_error error = {0};
    kv_spec_list list = {0};
    cr_assert(kv_spec_parse_list(text, overrides, 3, 64, &list, &error), "%s: %s", text, error.text);
    return list;
}

static void refuse(const char *text, const char *part)
{
    host_error error = {0};
    kv_spec_list list = {0};
    cr_assert_not(kv_spec_parse_list(text, &none, 3, 64, &list, &error), "'%s' was taken", text);
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    cr_assert(strstr(error.text, part), "'%s': %s", text, error.text);
    cr_assert_null(list.items);
}

static void expect_plain(const kv_spec *spec, gear_backbone backbone, uint32_t bits, uint32_t rank, float outliers)
{
    const gear_codec *sides[] = {&spec->base.codecs.k, &spec->base.codecs.v};
    for (int i = 0; i < 2; ++i) {
        cr_assert_eq(sides[i]->backbone, backbone, "%s", spec->name);
        cr_assert_eq(sides[i]->bits, bits, "%s", spec->name);
        cr_assert_eq(sides[i]->group, 64, "%s", spec->name);
        cr_assert_eq(sides[i]->rank_prompt, rank, "%s", spec->name);
        cr_assert_eq(sides[i]->rank_decode, rank / 2, "%s", spec->name);
        cr_assert_float_eq(sides[i]->outlier_fraction, outliers, 1e-9, "%s", spec->name);
        cr_assert_eq(sides[i]->factor_bits, 16, "%s", spec->name);
    }
    cr_assert_eq(spec->base.window, 64);
    cr_assert_eq(spec->base.recent, 0);
    cr_assert_eq(spec->base.exact_first, 0);
    cr_assert_not(kv_spec_is_exact(spec));
    cr_assert_not(kv_spec_ordered(spec));
}

Test(kv_spec, plain_words)
{
    kv_spec_list list = parse("kivi2,kcvt4+L,token3+S,kivi8+LS", &none);
    cr_assert_eq(list.count, 4);
    expect_plain(&list.items[0], GEAR_BACKBONE_KIVI, 2, 0, 0);
    expect_plain(&list.items[1], GEAR_BACKBONE_KCVT, 4, 4, 0);
    expect_plain(&list.items[2], GEAR_BACKBONE_TOKEN, 3, 0, 0.02f);
    expect_plain(&list.items[3], GEAR_BACKBONE_KIVI, 8, 4, 0.02f);
    kv_spec_list_free(&list);
}

Test(kv_spec, sixteen_bits_and_presets)
{
    kv_spec_list list = parse("16,gear_2_6,kivi_2", &none);
    cr_assert(kv_spec_is_exact(&list.items[0]));
    cr_assert_eq(list.items[0].base.codecs.k.bits, 16);
    cr_assert_str_eq(list.items[1].base.preset, "gear_2_6");
    cr_assert(kv_spec_ordered(&list.items[1]));
    cr_assert_not(kv_spec_ordered(&list.items[2]));
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    kv_spec_apply(&list.items[1], &desc);
    cr_assert_eq(desc.num_codecs, 1);
    cr_assert_eq(desc.recent, 64);
    kv_spec_list_free(&list);
}

Test(kv_spec, flags_change_all_but_sixteen_bits)
{
    /* as the parser leaves them for --recent 5 and --exact-first 3 */
    codec_flags flags = {.recent_given = true, .exact_given = true, .plain = {.recent = 5, .exact_first = 3}};
    kv_spec_list list = parse("16,kivi2,gear_2_6", &flags);
    cr_assert_eq(list.items[0].base.recent, 0);
    for (int i = 1; i < 3; ++i) {
        cr_assert_eq(list.items[i].base.recent, 5);
        cr_assert_eq(list.items[i].base.exact_first, 3);
    }
    kv_spec_list_free(&list);
}

Test(kv_spec, what_is_no_spec_is_named)
{
    refuse("", "''");
    refuse("kivi", "'kivi'");
    refuse("kivi5", "'kivi5'");
    refuse("kivi2+", "'kivi2+'");
    refuse("kivi2+X", "'kivi2+X'");
    refuse("kivi22", "'kivi22'");
    refuse("16,gear_9", "'gear_9'");
    refuse("16,,kivi2", "''");
    refuse("nowhere.json", "nowhere.json");
}

static char *write_text(const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/codec.json", test_directory());
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

Test(codec_file, comes_back_as_it_was_written)
{
    host_error error = {0};
    gear_codec_pair pairs[2];
    recipe r;
    cr_assert(recipe_preset("gear_2_6", 64, &r, &error));
    pairs[0] = r.codecs;
    cr_assert(recipe_preset("paper_2bit", 64, &r, &error));
    pairs[1] = r.codecs;
    r.exact_first = GEAR_EXACT_AUTO;
    r.recent = 17;
    const codec_file written = {r, pairs, 2};
    out_file file = {0};
    char *path = write_text("");
    cr_assert(out_open(&file, path, &error), "%s", error.text);
    cr_assert(codec_file_write(&written, &file, &error), "%s", error.text);
    codec_file read;
    cr_assert(codec_file_read(path, &read, &error), "%s", error.text);
    cr_assert_eq(read.count, 2);
    cr_assert_eq(read.base.recent, 17);
    cr_assert_eq(read.base.window, 64);
    cr_assert_eq(read.base.exact_first, GEAR_EXACT_AUTO);
    for (int i = 0; i < 2; ++i) {
        const recipe a = {.codecs = pairs[i]}, b = {.codecs = read.layers[i]};
        cr_assert(recipe_same(&a, &b), "layer %d", i);
    }
    free(read.layers);
}

Test(codec_file, goes_to_a_cache)
{
    char *path =
        write_text("{\"recent\": 8, \"layers\": [{\"k\": {\"bits\": 4}, \"v\": {\"backbone\": \"token\", \"bits\": 3}}]}");
    kv_spec_list list = parse(path, &none);
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    kv_spec_apply(&list.items[0], &desc);
    cr_assert_eq(desc.num_codecs, 1);
    cr_assert_eq(desc.codecs->k.bits, 4);
    cr_assert_eq(desc.codecs->v.backbone, GEAR_BACKBONE_TOKEN);
    cr_assert_eq(desc.recent, 8);
    cr_assert_eq(desc.exact_first, 0);
    kv_spec_list_free(&list);
}

Test(codec_file, refusals_say_what)
{
    static const struct {
        const char *text, *part;
    } cases[] = {{"{", "line 1"},
                 {"[]", "not a JSON object"},
                 {"{}", "no layers"},
                 {"{\"layers\": []}", "layers"},
                 {"{\"layers\": [{\"k\": {}}]}", "a layer is not"},
                 {"{\"layers\": [{\"k\": {}, \"v\": 3}]}", "a layer is not"},
                 {"{\"layers\": [{\"k\": {\"bitz\": 2}, \"v\": {}}]}", "'bitz'"},
                 {"{\"layers\": [{\"k\": {\"bits\": -2}, \"v\": {}}]}", "bits is not a whole number"},
                 {"{\"layers\": [{\"k\": {\"backbone\": \"keevee\"}, \"v\": {}}]}", "backbone is none"},
                 {"{\"layers\": [{\"k\": {\"segments\": [[16]]}, \"v\": {}}]}", "segments"},
                 {"{\"layers\": [{\"k\": {\"outlier_fraction\": 2}, \"v\": {}}]}", "outlier_fraction"},
                 {"{\"window\": \"x\", \"layers\": [{\"k\": {}, \"v\": {}}]}", "window is not"},
                 {"{\"size\": 1}", "'size'"},
                 {"{\"layers\": [{\"k\": {}, \"v\": {}}, {\"k\": {}, \"v\": {}}]}", "2 layers; the model has 3"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        refuse(write_text(cases[i].text), cases[i].part);
}
