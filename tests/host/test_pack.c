/* test_pack.c: gear-pack says below its table how many values the library replaced, and nothing where it replaced none. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../host/gear-pack/rows.h"
#include "../harness/open_cl.h"

enum { HEADS = 2, TOKENS = 130, HEAD_DIM = 64, VALUES = HEADS * TOKENS * HEAD_DIM };

/* Writes float32 [HEADS, TOKENS, HEAD_DIM], the first `huge` values beyond half precision. */
static void write_tensor(const char *path, uint32_t huge)
{
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 130, 64), }";
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, sizeof header - 1, 0};
    fwrite(start, 1, sizeof start, file);
    fwrite(header, 1, sizeof header - 1, file);
    for (uint32_t i = 0; i < VALUES; i++) {
        float value = i < huge ? (i & 1 ? 1e6f : -65520.0f) : (float)(i % 17) - 8.0f;
        fwrite(&value, sizeof value, 1, file);
    }
    cr_assert_eq(fclose(file), 0);
}

/* What rows_print says of 4-bit KIVI on keys and values with so many values too large, in two layers. */
static char *table_of(uint32_t huge_k, uint32_t huge_v)
{
    static char text[4096];
    char k[512], v[512];
    const char *directory = test_directory();
    snprintf(k, sizeof k, "%s/k.npy", directory);
    snprintf(v, sizeof v, "%s/v.npy", directory);
    write_tensor(k, huge_k);
    write_tensor(v, huge_v);
    host_error error = {0};
    device dev = {0};
    measurer m = {.dev = &dev};
    input inputs[2] = {0};
    recipe r = {.recent = 0};
    gear_codec_init(&r.codecs.k);
    r.codecs.k.bits = 4;
    r.codecs.v = r.codecs.k;
    residual_list known = {0};
    row result;
    cr_assert(open_device(getenv("GEAR_TEST_DEVICE"), &dev, &error), "%s", error.text);
    cr_assert(open_library(&dev, NULL, &m.context, &error), "%s", error.text);
    for (int i = 0; i < 2; i++) {
        cr_assert(input_load(&inputs[i], k, v, NULL, 0, &dev, &error), "%s", error.text);
    }
    cr_assert(measure_row(&m, &r, inputs, 2, &known, &result, &error), "%s", error.text);
    cr_assert(rows_print(&result, 1, &error), "%s", error.text);
    fflush(stdout);
    FILE *out = cr_get_redirected_stdout();
    text[fread(text, 1, sizeof text - 1, out)] = 0;
    residuals_free(&known);
    measurer_free(&m);
    gear_context_destroy(m.context);
    input_free(&inputs[0]);
    input_free(&inputs[1]);
    close_device(&dev);
    remove(k);
    remove(v);
    return text;
}

Test(pack, tells_of_values_beyond_half_precision, .init = cr_redirect_stdout)
{
    const char *text = table_of(3, 2); /* three of K and two of V, in each of two layers */
    cr_assert_not_null(strstr(text, "\n10 values of K and V are beyond half precision"), "%s", text);
    cr_assert_null(strstr(text, "NaN"), "%s", text);
}

Test(pack, tells_nothing_of_finite_values, .init = cr_redirect_stdout)
{
    cr_assert_null(strstr(table_of(0, 0), "values of K and V"));
}
