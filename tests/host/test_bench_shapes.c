/* test_bench_shapes.c: gear-bench reads the shapes that are meant, refuses the rest with the line's number, and the files that
 * come with it are all right. */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/common/args.h"
#include "../../host/common/half.h"
#include "../../host/common/npy.h"
#include "../../host/measure/data.h"
#include "../../host/measure/shapes.h"

static bench_shape parse(const char *text)
{
    char line[256];
    bench_shape shape;
    host_error error = {0};
    snprintf(line, sizeof line, "%s", text);
    cr_assert(shape_parse(line, "file:7", &shape, &error), "%s: %s", text, error.text);
    return shape;
}

Test(bench_shapes, a_line_says_what_to_measure)
{
    bench_shape s = parse("attend 32 8 4 32768 128 1 --preset paper_2bit_l # the first row\n");
    cr_assert_eq(s.verbs, VERB_ATTEND);
    cr_assert(s.batch == 32 && s.kv_heads == 8 && s.group == 4 && s.tokens == 32768 && s.head_dim == 128 && s.queries == 1);
    cr_assert_not(s.decode || s.shuffled || s.ragged || s.window_fill);
    cr_assert_str_eq(s.codec, "paper_2bit_l");
    cr_assert_eq(s.recipe.codecs.k.rank_prompt, 4);
    cr_assert_eq(parse("append 1 1 1 64 64 1").verbs, VERB_APPEND);
    cr_assert_eq(parse("both 1 1 1 64 64 1").verbs, VERB_ATTEND | VERB_APPEND);
}

Test(bench_shapes, words_say_how_the_cache_is_built)
{
    char words[64];
    bench_shape s =
        parse("attend 2 8 4 4096 64 8 ragged window=63 decode shuffled --backbone kivi --k-bits 4 --v-bits 3 --rank 2");
    cr_assert(s.decode && s.shuffled && s.ragged);
    cr_assert_eq(s.window_fill, 63);
    cr_assert_str_eq(s.codec, "kivi-k4v3 +L");
    shape_words(&s, words, sizeof words);
    cr_assert_str_eq(words, "decode shuffled ragged window=63");
    s = parse("attend 2 8 4 4096 64 8");
    shape_words(&s, words, sizeof words);
    cr_assert_str_eq(words, "-");
    cr_assert_str_eq(s.codec, "kivi-2");
}

Test(bench_shapes, a_decode_block_is_behind_a_full_window)
{
    char words[64];
    bench_shape s = parse("append 1 8 4 4096 128 1 decode-block --preset gear_2_6"), plain = parse("append 1 8 4 4096 128 1");
    cr_assert(s.decode_block);
    cr_assert_eq(s.recipe.recent, 64);
    cr_assert_eq(s.window_fill, 64 + 64 + 1);
    shape_words(&s, words, sizeof words);
    cr_assert_str_eq(words, "decode-block");
    cr_assert_not(shape_same_geometry(&s, &plain));
    plain = shape_with(&s, &plain.recipe); /* another window, the same state */
    cr_assert_eq(plain.window_fill, plain.recipe.recent + plain.recipe.window + 1);
    cr_assert(shape_same_geometry(&s, &plain));
}

Test(bench_shapes, real_data_is_no_other_geometry)
{
    char words[64];
    bench_shape s = parse("attend 1 8 4 4096 128 1 decode data=real"), made = parse("attend 1 8 4 4096 128 1 decode");
    cr_assert(s.real && !made.real);
    cr_assert_eq(s.layer, MIDDLE_LAYER);
    shape_words(&s, words, sizeof words);
    cr_assert_str_eq(words, "decode data=real");
    cr_assert(shape_same_geometry(&s, &made));
    cr_assert_not(shape_same_data(&s, &made));
}

/* Also where data=real takes the layer that another line names. */
Test(bench_shapes, a_layer_that_is_named_is_other_data)
{
    static const char *const names[] = {"made", "real", "real:0", "real:7"};
    char words[64];
    bench_shape list[] = {parse("attend 1 8 4 4096 128 1"), parse("attend 1 8 4 4096 128 1 data=real"),
                          parse("attend 1 8 4 4096 128 1 data=real:0"), parse("attend 1 8 4 4096 128 1 data=real:7")};
    for (size_t i = 0; i < 4; ++i) {
        shape_data(&list[i], words, sizeof words);
        cr_expect_str_eq(words, names[i]);
        for (size_t k = 0; k < 4; ++k) {
            cr_expect(shape_same_geometry(&list[i], &list[k]));
            cr_expect_eq(shape_same_data(&list[i], &list[k]), i == k, "%s, %s", names[i], names[k]);
        }
    }
    cr_expect(list[3].real && list[3].layer == 7);
    shape_words(&list[3], words, sizeof words);
    cr_expect_str_eq(words, "data=real:7");
}

Test(bench_shapes, empty_lines_and_comments_are_no_shapes)
{
    cr_assert_eq(parse("").verbs, 0);
    cr_assert_eq(parse("  \t \r\n").verbs, 0);
    cr_assert_eq(parse("# attend 1 1 1 64 64 1").verbs, 0);
}

Test(bench_shapes, ragged_lengths_are_the_same_tokens_on_average)
{
    bench_shape s = parse("attend 32 8 4 4096 128 1 ragged");
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s.batch; ++i)
        sum += shape_length(&s, i);
    cr_assert_eq(shape_length(&s, 0), 2048);
    cr_assert_eq(shape_length(&s, 31), 6144);
    cr_assert(sum > 32 * 4096 - 32 && sum <= 32 * 4096);
    s = parse("attend 1 8 4 4096 128 1 ragged");
    cr_assert_eq(shape_length(&s, 0), 4096);
}

Test(bench_shapes, geometry_does_not_look_at_the_codec)
{
    bench_shape a = parse("attend 1 8 4 4096 128 1 --preset gear_2_6"), b = parse("append 1 8 4 4096 128 1 --k-bits 4");
    cr_assert(shape_same_geometry(&a, &b));
    b = parse("attend 1 8 4 4096 128 1 window=1");
    cr_assert_not(shape_same_geometry(&a, &b));
}

static void refuse(const char *text, const char *reason)
{
    char line[256];
    bench_shape shape;
    host_error error = {0};
    snprintf(line, sizeof line, "%s", text);
    cr_assert_not(shape_parse(line, "file:7", &shape, &error), "%s", text);
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    cr_assert_not_null(strstr(error.text, "file:7: "), "%s: %s", text, error.text);
    cr_assert_not_null(strstr(error.text, reason), "%s: %s", text, error.text);
}

Test(bench_shapes, what_makes_no_sense_is_refused_with_its_line)
{
    refuse("decode 1 1 1 64 64 1", "'decode' is none of attend, append, both");
    refuse("attend 1 8 4 4096 128", "query tokens is missing");
    refuse("attend 0 8 4 4096 128 1", "batch '0'");
    refuse("attend 1 8 -4 4096 128 1", "queries per KV head '-4'");
    refuse("attend 1 8 4 4e3 128 1", "tokens '4e3'");
    refuse("attend 1 8 4 99999999999999999999 128 1", "tokens '99999999999999999999'");
    refuse("attend 1 8 4 4096 128 1 sorted", "'sorted' is none of");
    refuse("attend 1 8 4 4096 128 1 window=", "window ''");
    refuse("attend 1 8 4 4096 128 1 window=5000", "window '5000'");
    refuse("attend 1 8 4 4096 128 1 data=real7", "'data=real7' is none of");
    refuse("attend 1 8 4 4096 128 1 data=real:", "layer ''");
    refuse("attend 1 8 4 4096 128 1 data=real:100", "layer '100'");
    refuse("attend 1 8 4 4 128 4", "4 query tokens of 4 tokens");
    refuse("both 1 8 4 64 128 1 decode-block", "decode-block is a word of append");
    refuse("append 2 8 4 64 128 1 ragged decode-block", "decode-block is a word of append");
    refuse("append 1 8 4 65 128 1 decode-block", "a multiple of 64 tokens, not 65");
    refuse("append 1 8 4 64 128 1 window=1 decode-block", "fills the window by itself");
    refuse("append 1 8 4 64 128 1 decode-block --window 128", "window of 4 to 64 tokens, not 128");
}

Test(bench_shapes_refuse, codec_flags, .exit_code = 2)
{
    args_setup();
    parse("attend 1 8 4 4096 128 1 --preset no_such");
}

Test(bench_shapes_refuse, a_word_behind_the_codec, .exit_code = 2)
{
    args_setup();
    parse("attend 1 8 4 4096 128 1 --preset gear_2_6 shuffled");
}

Test(bench_shapes, the_files_that_come_with_the_program_are_read)
{
    static const char *const names[] = {"h100", "cpu", "cpu_kernel", "kernels", "smoke"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        char path[512];
        shape_list list;
        host_error error = {0};
        snprintf(path, sizeof path, "%s/host/gear-bench/shapes/%s.txt", GEAR_TEST_ROOT, names[i]);
        cr_assert(shapes_read(path, &list, &error), "%s", error.text);
        cr_assert_geq(list.count, 5);
        free(list.items);
    }
}

Test(bench_shapes, a_file_that_is_not_there_is_bad_input)
{
    shape_list list;
    host_error error = {0};
    cr_assert_not(shapes_read("no/such/file.txt", &list, &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    free(list.items);
}

Test(bench_data, values_are_halves_and_close_to_normal)
{
    double sum = 0, squares = 0;
    unsigned wide = 0;
    for (uint32_t c = 0; c < 128; ++c) {
        double own = 0;
        for (uint32_t t = 0; t < 1000; ++t) {
            float value = data_value(DATA_K, 3, t, c);
            cr_assert_eq(data_from_half(data_to_half(value)), value);
            own += (double)value * (double)value;
        }
        wide += own / 1000 > 8;
        if (own / 1000 <= 8) {
            sum += 1;
            squares += own / 1000;
        }
    }
    cr_assert(wide >= 1 && wide <= 24, "%u wide channels", wide);
    cr_assert_float_eq(squares / sum, 1, 0.02);
}

/* Layer 14 is the middle of those in the folder. */
Test(bench_data, real_data_are_of_the_layer_that_is_asked_for)
{
    static const uint32_t numbers[] = {0, 1, 7, 14, 22, 29};
    real_data r = {0};
    host_error error = {0};
    uint32_t layer = 0;
    cr_assert(real_data_read(&r, GEAR_TEST_ROOT "/tests/data/smollm2-kv", &error), "%s", error.text);
    for (uint32_t i = 0; i < 6; ++i)
        cr_expect(real_data_find(&r, numbers[i], &layer, &error) && layer == i, "layer %u", numbers[i]);
    cr_expect(real_data_find(&r, MIDDLE_LAYER, &layer, &error) && layer == 3);
    cr_expect_not(real_data_find(&r, 5, &layer, &error));
    cr_expect_eq(error.exit_code, EXIT_INPUT);
    cr_expect_not_null(strstr(error.text, "data=real:5: the folder of --data has layers 0, 1, 7, 14, 22, 29"), "%s",
                       error.text);
    real_data_close(&r);
}

/* Heads, and the channels of each, go through the heads of one layer; tokens start again at the end. */
Test(bench_data, real_values_are_those_of_the_model)
{
    static const char *const folder = GEAR_TEST_ROOT "/tests/data/smollm2-kv";
    static const struct {
        uint32_t asked, head, channel, model_layer, model_head;
    } cases[] = {{0, 0, 5, 0, 0},   {0, 0, 69, 0, 1},    {0, 1, 5, 0, 2},   {7, 1, 69, 7, 0},
                 {29, 5, 5, 29, 1}, {29, 5, 127, 29, 2}, {14, 2, 5, 14, 1}, {MIDDLE_LAYER, 2, 69, 14, 2}};
    real_data r = {0};
    host_error error = {0};
    cr_assert(real_data_read(&r, folder, &error), "%s", error.text);
    cr_assert(r.layers == 6 && r.heads == 3 && r.tokens == 2048 && r.dim == 64);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        for (int is_v = 0; is_v < 2; ++is_v) {
            char path[256];
            npy_array a = {0};
            uint32_t layer = 0;
            cr_assert(real_data_find(&r, cases[i].asked, &layer, &error), "%s", error.text);
            snprintf(path, sizeof path, "%s/L%02u_%s.npy", folder, cases[i].model_layer, is_v ? "v" : "k_post");
            cr_assert(npy_read(path, 3, &a, &error), "%s", error.text);
            const uint16_t *values = a.data;
            float want = half_to_float(values[((size_t)cases[i].model_head * 2048 + 77) * 64 + cases[i].channel % 64]);
            cr_expect_eq(real_data_value(&r, is_v, layer, cases[i].head, 77, cases[i].channel, 128), want, "case %zu", i);
            cr_expect_eq(real_data_value(&r, is_v, layer, cases[i].head, 2048 + 77, cases[i].channel, 128), want, "case %zu",
                         i);
            npy_free(&a);
        }
    real_data_close(&r);
}

Test(bench_data, a_folder_without_a_model_is_bad_input)
{
    real_data r = {0};
    host_error error = {0};
    cr_assert_not(real_data_read(&r, GEAR_TEST_ROOT "/tests/host", &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    real_data_close(&r);
    error = (host_error){0};
    uint32_t layer = 0;
    cr_assert_not(real_data_find(&r, MIDDLE_LAYER, &layer, &error));
    cr_assert_not_null(strstr(error.text, "--data"));
}
