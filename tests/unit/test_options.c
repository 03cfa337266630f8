/* test_options.c: the canonical text of build options. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "device/options.h"

Test(options, canonical_text)
{
    gear__options options;
    memset(&options, 0xff, sizeof options);
    gear__options_begin(&options);
    gear__options_int(&options, "HEAD_DIM", 128);
    gear__options_int(&options, "BITS", -2);
    gear__options_int(&options, "_X9", 0);
    cr_assert_str_eq(options.text, "-cl-std=CL1.2 -D HEAD_DIM=128 -D BITS=-2 -D _X9=0");
    cr_assert_eq(options.length, strlen(options.text));
    cr_assert_eq(options.overflow, 0);
    cr_assert_null(strstr(options.text, "fast"));
    gear__options_begin(&options);
    cr_assert_str_eq(options.text, "-cl-std=CL1.2");
}

Test(options, bad_names)
{
    static const char *const bad[] = {"", "9A", "A B", "A=1", "A;", "\xc3\xa4"};
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        gear__options options;
        gear__options_begin(&options);
        gear__options_int(&options, bad[i], 1);
        cr_assert_eq(options.overflow, 1, "%s", bad[i]);
        cr_assert_str_eq(options.text, "-cl-std=CL1.2");
    }
}

Test(options, overflow_is_sticky_and_keeps_whole_options)
{
    gear__options options;
    int i;
    gear__options_begin(&options);
    for (i = 0; i < 1000; ++i)
        gear__options_int(&options, "SOMETHING", LONG_MAX);
    cr_assert_eq(options.overflow, 1);
    cr_assert_lt(options.length, sizeof options.text);
    cr_assert_eq(options.length, strlen(options.text));
    cr_assert_eq((options.length - strlen("-cl-std=CL1.2")) % strlen(" -D SOMETHING=9223372036854775807"), 0);
}
