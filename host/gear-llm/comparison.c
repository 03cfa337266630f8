/* comparison.c: rows of results, see comparison.h. */
#include "comparison.h"

#include <stdlib.h>

static json_t *by_step(const score_list *list)
{
    uint32_t last = 0;
    for (size_t i = 0; i < list->count; ++i)
        last = list->step[i] > last ? list->step[i] : last;
    size_t count = list->count ? last / COMPARISON_STEPS + 1 : 0;
    double *means = malloc((count ? count : 1) * sizeof *means);
    json_t *array = json_array();
    if (means)
        score_by_step(list, COMPARISON_STEPS, means, count);
    for (size_t i = 0; means && i < count; ++i)
        json_array_append_new(array, report_real(means[i]));
    free(means);
    return array;
}

json_t *comparison_json(const teacher_run *run, const score_summary *s)
{
    return json_pack("{ss so so sI so so so so so so so so ss}", "name", run->kv.spec->name, "bits_per_value",
                     report_real(teacher_bits(run, false)), "bits_with_window", report_real(teacher_bits(run, true)), "tokens",
                     (json_int_t)s->tokens, "perplexity", report_real(s->perplexity), "nll", report_real(s->nll), "kl",
                     report_real(s->kl), "kl_median", report_real(s->kl_median), "kl_99", report_real(s->kl_99), "top1",
                     report_real(s->agreement), "token_accuracy", report_real(s->accuracy), "kl_by_step", by_step(&run->scores),
                     "attend_kernel", run->kv.plan.variant);
}
