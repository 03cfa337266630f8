/* test_sampler.c: what is drawn, how often, and the same for the same seed. */
#include <criterion/criterion.h>
#include <math.h>

#include "../../host/gear-llm/sampler.h"

enum { COUNT = 6 };

static sampler make(float temperature, float top_p, uint64_t seed)
{
    host_error error = {0};
    sampler s;
    cr_assert(sampler_create(COUNT, temperature, top_p, seed, &s, &error));
    return s;
}

static const float logits[COUNT] = {0.0f, 2.0f, 1.0f, 2.0f, -1.0f, -3.0f};

Test(sampler, without_temperature_the_first_of_the_likeliest)
{
    sampler s = make(0, 1, 7);
    const float with_nan[COUNT] = {NAN, 1.0f, NAN, 3.0f, 3.0f, 2.0f};
    for (int i = 0; i < 3; ++i)
        cr_assert_eq(sampler_pick(&s, logits), 1);
    cr_assert_eq(sampler_pick(&s, with_nan), 3);
    sampler_free(&s);
}

Test(sampler, draws_by_probability)
{
    enum { DRAWS = 20000 };
    sampler s = make(1, 1, 3);
    uint32_t seen[COUNT] = {0};
    double sum = 0;
    for (int i = 0; i < DRAWS; ++i)
        ++seen[sampler_pick(&s, logits)];
    for (int i = 0; i < COUNT; ++i)
        sum += exp((double)logits[i]);
    for (int i = 0; i < COUNT; ++i) {
        double p = exp((double)logits[i]) / sum;
        cr_assert_float_eq((double)seen[i] / DRAWS, p, 4 * sqrt(p * (1 - p) / DRAWS), "token %d: %u", i, seen[i]);
    }
    sampler_free(&s);
}

Test(sampler, top_p_keeps_the_nucleus)
{
    /* probabilities: .39 .39 .14 of the three largest, so the third is needed for 0.8 and not for 0.7 */
    sampler narrow = make(1, 0.7f, 5), wide = make(1, 0.8f, 5), one = make(1, 0.1f, 5);
    uint32_t seen[COUNT] = {0};
    for (int i = 0; i < 2000; ++i) {
        uint32_t token = sampler_pick(&narrow, logits);
        cr_assert(token == 1 || token == 3, "%u", token);
        ++seen[sampler_pick(&wide, logits)];
        cr_assert_eq(sampler_pick(&one, logits), 1, "equals: the lower index");
    }
    cr_assert(seen[2] > 0 && seen[1] > 0 && seen[3] > 0);
    cr_assert_eq(seen[0] + seen[4] + seen[5], 0);
    sampler_free(&narrow);
    sampler_free(&wide);
    sampler_free(&one);
}

Test(sampler, seed_decides)
{
    sampler a = make(0.8f, 0.95f, 11), b = make(0.8f, 0.95f, 11), c = make(0.8f, 0.95f, 12);
    int different = 0;
    for (int i = 0; i < 200; ++i) {
        uint32_t token = sampler_pick(&a, logits);
        cr_assert_eq(token, sampler_pick(&b, logits));
        different += token != sampler_pick(&c, logits);
    }
    cr_assert(different > 0);
    sampler_free(&a);
    sampler_free(&b);
    sampler_free(&c);
}

Test(sampler, low_temperature_approaches_the_likeliest)
{
    const float distinct[COUNT] = {0, 2, 1, 1.9f, -1, -3};
    sampler s = make(0.001f, 1, 1);
    for (int i = 0; i < 500; ++i)
        cr_assert_eq(sampler_pick(&s, distinct), 1);
    sampler_free(&s);
}
