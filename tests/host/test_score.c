/* test_score.c: cross-entropy, divergence, percentiles on numbers worked out by hand. */
#include <criterion/criterion.h>
#include <math.h>

#include "../../host/gear-llm/score.h"

Test(score, row_against_a_reference)
{
    /* p = (1/2, 1/4, 1/4), reference (1/4, 1/2, 1/4), each with a constant added */
    const float row[] = {(float)log(2.0) + 5, 5, 5}, reference[] = {-3, (float)log(2.0) - 3, -3};
    const double sum = score_log_sum(row, 3), reference_sum = score_log_sum(reference, 3);
    cr_assert_float_eq(sum, log(4.0) + 5, 1e-6);
    const score_token s = score_row(row, sum, reference, reference_sum, 3, 2);
    cr_assert_float_eq(s.nll, log(4.0), 1e-6);
    cr_assert_float_eq(s.kl, 0.25 * log(0.25 / 0.5) + 0.5 * log(0.5 / 0.25), 1e-6);
    cr_assert_not(s.agrees);
    cr_assert_not(s.right);
    const score_token same = score_row(row, sum, row, sum, 3, 0);
    cr_assert_eq(same.kl, 0);
    cr_assert(same.agrees && same.right);
}

Test(score, log_sum_of_large_logits)
{
    const float row[] = {1000, 1000, -1000};
    cr_assert_float_eq(score_log_sum(row, 3), 1000 + log(2.0), 1e-9);
}

static void add(score_list *list, double kl, double nll, bool agrees, uint32_t step)
{
    host_error error = {0};
    const score_token s = {.kl = kl, .nll = nll, .agrees = agrees, .right = !agrees};
    cr_assert(score_add(list, &s, step, &error));
}

Test(score, summary)
{
    host_error error = {0};
    score_list list = {0};
    score_summary s;
    cr_assert(score_summarize(&list, &s, &error));
    cr_assert(isnan(s.kl) && isnan(s.perplexity) && s.tokens == 0);
    for (int i = 200; i > 0; --i)
        add(&list, i, 2.0, i > 50, 0);
    cr_assert(score_summarize(&list, &s, &error));
    cr_assert_eq(s.tokens, 200);
    cr_assert_float_eq(s.kl, 100.5, 1e-9);
    cr_assert_float_eq(s.kl_median, 100, 1e-9);
    cr_assert_float_eq(s.kl_99, 198, 1e-9);
    cr_assert_float_eq(s.perplexity, exp(2.0), 1e-9);
    cr_assert_float_eq(s.agreement, 0.75, 1e-9);
    cr_assert_float_eq(s.accuracy, 0.25, 1e-9);
    score_free(&list);
}

Test(score, means_over_steps)
{
    score_list list = {0};
    double means[3];
    add(&list, 1, 0, true, 0);
    add(&list, 3, 0, true, 9);
    add(&list, 5, 0, true, 25);
    score_by_step(&list, 10, means, 3);
    cr_assert_float_eq(means[0], 2, 1e-12);
    cr_assert(isnan(means[1]));
    cr_assert_float_eq(means[2], 5, 1e-12);
    score_free(&list);
}
