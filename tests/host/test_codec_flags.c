/* test_codec_flags.c: the codec flags of the programs say what they mean, and refuse with exit code 2 what makes no
 * sense together. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../host/common/args.h"
#include "../../host/common/codec_flags.h"

enum { MOST_ARGUMENTS = 24 };

static error_t forward(int key, char *text, struct argp_state *state)
{
    (void)text;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = state->input;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* Parses a command line of words. argp may keep pointers into it. */
static codec_flags parse_flags(const char *line)
{
    static char text[256];
    char *argv[MOST_ARGUMENTS] = {(char[]){"test"}};
    int argc = 1;
    codec_flags flags;
    const struct argp_child children[] = {{&codec_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {NULL, forward, NULL, NULL, children, NULL, NULL};
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word && argc < MOST_ARGUMENTS; word = strtok(NULL, " "))
        argv[argc++] = word;
    codec_flags_init(&flags);
    args_setup();
    argp_parse(&parser, argc, argv, 0, NULL, &flags);
    return flags;
}

static recipe parse_recipe(const char *line, uint32_t head_dim)
{
    codec_flags flags = parse_flags(line);
    host_error error = {0};
    recipe r;
    cr_assert(codec_flags_recipe(&flags, head_dim, &r, &error), "%s: %s", line, error.text);
    return r;
}

static void expect_name(const char *line, const char *name)
{
    char text[48];
    recipe r = parse_recipe(line, 64);
    recipe_name(&r, text, sizeof text);
    cr_assert_str_eq(text, name, "'%s' is %s", line, text);
}

Test(codec_flags, names_say_what_a_recipe_is)
{
    expect_name("", "kivi-2");
    expect_name("--backbone token --k-bits 2 --v-bits 4 --group 32 --rank 4", "token-k2v4 g32 +L");
    expect_name("--k-bits 16 --v-bits 16", "16-bit");
    expect_name("--backbone mixed --k-segments 16x4,48x2", "mixed-16x4+48x2 v2 unrotated");
    expect_name("--backbone mixed --k-segments 64x3 --rotate-v --v-bits 3 --levels normal --rank 4 --outliers 0.01",
                "mixed-64x3 v3n +L+S");
    expect_name("--preset paper_2bit", "kivi-2 +L+S");
    expect_name("--outliers 0.01 --delta-bits 8", "kivi-2 +S8");
    expect_name("--outliers 0.01 --delta-bits 16", "kivi-2 +S");
}

Test(codec_flags, mixed_keeps_low_rank_and_outliers_off_v_unless_asked)
{
    recipe r = parse_recipe("--backbone mixed --k-segments 64x2 --rank 4 --outliers 0.01", 64);
    cr_assert_eq(r.codecs.k.rank_prompt, 4);
    cr_assert_eq(r.codecs.k.rank_decode, 2);
    cr_assert_eq(r.codecs.v.rank_prompt, 0);
    cr_assert_eq(r.codecs.v.rank_decode, 0);
    cr_assert_float_eq(r.codecs.v.outlier_fraction, 0, 0);
    r = parse_recipe("--backbone mixed --k-segments 64x2 --rank 4 --v-rank 1 --outliers 0.01 --v-outliers 0.02", 64);
    cr_assert_eq(r.codecs.v.rank_prompt, 1);
    cr_assert_eq(r.codecs.v.rank_decode, 1);
    cr_assert_float_eq(r.codecs.v.outlier_fraction, 0.02f, 1e-9);
}

Test(codec_flags, plain_backbones_give_both_sides_the_same)
{
    recipe r = parse_recipe("--rank 4 --outliers 0.02", 64);
    cr_assert_eq(r.codecs.v.rank_prompt, 4);
    cr_assert_eq(r.codecs.v.rank_decode, 2);
    cr_assert_float_eq(r.codecs.v.outlier_fraction, r.codecs.k.outlier_fraction, 0);
    r = parse_recipe("--rank 4 --decode-rank 3", 64);
    cr_assert_eq(r.codecs.k.rank_decode, 3);
    cr_assert_eq(r.codecs.v.rank_decode, 3);
}

Test(codec_flags, widths_of_deltas_are_different_recipes)
{
    recipe a = parse_recipe("--outliers 0.01", 64), b = parse_recipe("--outliers 0.01 --delta-bits 16", 64);
    recipe c = parse_recipe("--outliers 0.01 --delta-bits 8", 64);
    cr_assert(recipe_same(&a, &b));
    cr_assert_not(recipe_same(&a, &c));
    cr_assert_eq(c.codecs.v.delta_bits, 8);
}

Test(codec_flags, groups_are_compared_where_there_are_any)
{
    static const struct {
        const char *flags;
        uint32_t other;
        bool same;
    } cases[] = {{"--k-bits 2", 32, false},
                 {"--k-bits 16", 32, true},
                 {"--k-bits 2 --backbone kcvt", 32, true},
                 {"--k-bits 2 --backbone token", 32, false},
                 {"--k-bits 2", 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        recipe a = parse_recipe(cases[i].flags, 64), b = a;
        b.codecs.k.group = cases[i].other;
        cr_assert_eq(recipe_same(&a, &b), cases[i].same, "%s", cases[i].flags);
    }
}

Test(codec_flags, a_preset_made_of_flags_is_the_same_recipe)
{
    recipe a = parse_recipe("--preset gear_2_6 --exact-first 4", 64);
    recipe b = parse_recipe("--backbone mixed --k-segments 16x4,48x2 --v-bits 2 --rotate-v --scale-bits 6 --rank 4 "
                            "--factor-bits 4 --exact-first 4 --recent 64",
                            64);
    cr_assert(recipe_same(&a, &b));
    cr_assert(recipe_ordered(&a));
    cr_assert_str_eq(a.preset, "gear_2_6");
    b.codecs.k.segments[0].bits = 3;
    cr_assert_not(recipe_same(&a, &b));
}

Test(codec_flags, presets_follow_head_dim_and_what_is_said_beside_them)
{
    recipe r = parse_recipe("--preset mix_2_5", 128);
    cr_assert_eq(r.codecs.k.segments[0].channels, 32);
    cr_assert_eq(r.codecs.k.segments[1].channels, 96);
    cr_assert_eq(r.exact_first, GEAR_EXACT_AUTO);
    cr_assert_eq(r.recent, 64);
    r = parse_recipe("--preset mix_2_5 --recent 0 --exact-first 2 --window 128", 128);
    cr_assert_eq(r.recent, 0);
    cr_assert_eq(r.exact_first, 2);
    cr_assert_eq(r.window, 128);
}

Test(codec_flags, every_preset_has_a_recipe_for_every_head_dim)
{
    static const uint32_t dims[] = {64, 80, 96, 128, 256};
    const char *name;
    for (uint32_t i = 0; (name = gear_preset_name(i)); ++i)
        for (size_t d = 0; d < 5; ++d) {
            recipe r;
            host_error error = {0};
            cr_assert(recipe_preset(name, dims[d], &r, &error), "%s at %u: %s", name, dims[d], error.text);
            cr_assert_str_eq(r.preset, name);
        }
}

Test(codec_flags, an_unknown_preset_is_bad_input)
{
    recipe r;
    host_error error = {0};
    cr_assert_not(recipe_preset("mix_9_9", 64, &r, &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    cr_assert_not_null(strstr(error.text, "mix_9_9"));
}

static void expect_details_of(const recipe *r, const char *line, const char *details)
{
    char text[160];
    recipe_details(r, 64, text, sizeof text);
    cr_expect_str_eq(text, details, "'%s' has '%s'", line, text);
}

static void expect_details(const char *line, const char *details)
{
    recipe r = parse_recipe(line, 64);
    expect_details_of(&r, line, details);
}

Test(codec_flags, details_say_what_a_name_leaves_out)
{
    expect_details("", "");
    expect_details("--preset paper_2bit", "");
    expect_details("--preset paper_2bit --window 32 --recent 5", "window=32 recent=5");
    expect_details("--rank 4 --factor-bits 8", "rank=4:4 decode-rank=2:2 factor-bits=8:8");
    expect_details("--rank 4 --v-rank 1 --decode-rank 0 --iters 5", "rank=4:1 iters=5:5");
    expect_details("--outliers 0.02 --v-outliers 0.01 --outlier-rule block", "outliers=0.02:0.01 rule=block:block");
    expect_details("--exact-first 4", "exact-first=4");
    expect_details("--preset gear_2_6 --exact-first 0", "exact-first=0");
}

/* No flag says auto; a file of codecs does. */
Test(codec_flags, details_know_the_exact_tokens_of_auto)
{
    recipe plain = parse_recipe("--window 32", 64), preset = parse_recipe("--preset gear_2_6", 64);
    plain.exact_first = GEAR_EXACT_AUTO;
    cr_assert_eq(preset.exact_first, GEAR_EXACT_AUTO);
    expect_details_of(&plain, "auto", "exact-first=auto window=32");
    expect_details_of(&preset, "gear_2_6", "");
}

Test(codec_flags, a_name_is_cut_to_its_room)
{
    char text[8];
    recipe r = parse_recipe("--preset mix_2_6", 64);
    recipe_name(&r, text, sizeof text);
    cr_assert_str_eq(text, "mixed-1");
}

#define REFUSES(name, line)                                                                                                    \
  Test(codec_flags_refuse, name, .exit_code = 2)                                                                               \
  {                                                                                                                            \
    parse_flags(line);                                                                                                         \
  }
REFUSES(preset_with_codec_flag, "--preset mix_2_5 --rank 4")
REFUSES(preset_without_a_meaning, "--preset mix_9_9")
REFUSES(scale_bits_6_of_plain, "--scale-bits 6")
REFUSES(scale_bits_16_of_mixed, "--backbone mixed --k-segments 64x2 --scale-bits 16")
REFUSES(scale_bits_8, "--scale-bits 8")
REFUSES(scale_bits_0, "--scale-bits 0")
REFUSES(mixed_without_segments, "--backbone mixed")
REFUSES(mixed_with_k_bits, "--backbone mixed --k-segments 64x2 --k-bits 4")
REFUSES(segments_of_plain, "--k-segments 64x2")
REFUSES(rotation_of_plain, "--rotate-v")
REFUSES(levels_of_plain, "--levels normal")
REFUSES(segments_empty, "--backbone mixed --k-segments ,")
REFUSES(segments_trailing_comma, "--backbone mixed --k-segments 64x2,")
REFUSES(segments_five, "--backbone mixed --k-segments 16x1,16x2,16x3,16x4,16x5")
REFUSES(segments_negative, "--backbone mixed --k-segments -16x2")
REFUSES(segments_two_digit_bits, "--backbone mixed --k-segments 64x16")

Test(codec_flags_accept, scale_bits, .exit_code = 0)
{
    parse_flags("--scale-bits 16");
    parse_flags("--backbone mixed --k-segments 64x2 --scale-bits 6");
}

static recipe override(const char *line, const char *preset)
{
    codec_flags flags = parse_flags(line);
    host_error error = {0};
    recipe r;
    cr_assert(recipe_preset(preset, 64, &r, &error), "%s", error.text);
    codec_flags_override(&flags, &r);
    return r;
}

Test(codec_flags, overrides_change_what_is_given_and_nothing_else)
{
    host_error error = {0};
    recipe r = override("", "paper_2bit"), same;
    cr_assert(recipe_preset("paper_2bit", 64, &same, &error));
    cr_assert(recipe_same(&r, &same));
    cr_assert_str_eq(r.preset, "paper_2bit");

    r = override("--iters 2 --recent 32", "paper_2bit");
    cr_assert_eq(r.recent, 32);
    cr_assert_eq(r.codecs.k.power_iterations, 2);
    cr_assert_eq(r.codecs.v.power_iterations, 2);
    cr_assert_eq(r.codecs.k.rank_prompt, 4);
    cr_assert_null(r.preset, "no longer the preset");

    r = override("--rank 1 --outliers 0.05", "paper_2bit");
    cr_assert_eq(r.codecs.v.rank_prompt, 1);
    cr_assert_eq(r.codecs.v.rank_decode, 1);
    cr_assert_float_eq(r.codecs.v.outlier_fraction, 0.05, 1e-6);

    r = override("--rank 8 --decode-rank 3 --v-rank 0", "paper_2bit");
    cr_assert_eq(r.codecs.k.rank_decode, 3);
    cr_assert_eq(r.codecs.v.rank_prompt, 0);
    cr_assert_eq(r.codecs.v.rank_decode, 0);

    /* of the mixed backbone V has neither L nor S unless it is asked for */
    r = override("--rank 2 --outliers 0.01 --factor-bits 8", "gear_2_6");
    cr_assert_eq(r.codecs.k.rank_prompt, 2);
    cr_assert_eq(r.codecs.k.factor_bits, 8);
    cr_assert_eq(r.codecs.v.rank_prompt, 0);
    cr_assert_float_eq(r.codecs.v.outlier_fraction, 0, 1e-9);
    cr_assert_eq(r.recent, 64);
}
