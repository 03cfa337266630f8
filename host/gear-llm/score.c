/* score.c: statistics of predictions, see score.h. */
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sampler.h"

double score_log_sum(const float *logits, uint32_t count)
{
    float most = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < count; ++i)
        most = logits[i] > most ? logits[i] : most;
    for (uint32_t i = 0; i < count; ++i)
        sum += exp((double)logits[i] - (double)most);
    return (double)most + log(sum);
}

score_token score_row(const float *logits, double log_sum, const float *reference, double reference_log_sum, uint32_t count,
                      uint32_t target)
{
    const uint32_t best = sampler_likeliest(logits, count);
    score_token s = {.nll = log_sum - (double)logits[target], .right = best == target, .agrees = true};
    if (reference == logits)
        return s;
    for (uint32_t i = 0; i < count; ++i) {
        const double expected = (double)reference[i] - reference_log_sum;
        s.kl += exp(expected) * (expected - ((double)logits[i] - log_sum));
    }
    s.agrees = best == sampler_likeliest(reference, count);
    return s;
}

static bool grow(score_list *list, host_error *error)
{
    size_t room = list->room ? 2 * list->room : 1024;
    double *kl = realloc(list->kl, room * sizeof *kl);
    list->kl = kl ? kl : list->kl;
    double *nll = realloc(list->nll, room * sizeof *nll);
    list->nll = nll ? nll : list->nll;
    uint32_t *step = realloc(list->step, room * sizeof *step);
    list->step = step ? step : list->step;
    if (!kl || !nll || !step)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    list->room = room;
    return true;
}

bool score_add(score_list *list, const score_token *token, uint32_t step, host_error *error)
{
    if (list->count == list->room && !grow(list, error))
        return false;
    list->kl[list->count] = token->kl;
    list->nll[list->count] = token->nll;
    list->step[list->count++] = step;
    list->agreeing += token->agrees;
    list->right += token->right;
    return true;
}

void score_free(score_list *list)
{
    free(list->kl);
    free(list->nll);
    free(list->step);
    *list = (score_list){0};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; ++i)
        sum += values[i];
    return sum / (double)count;
}

/* Nearest rank: the least value that no less than this share of all are at or below. */
static double percentile(const double *sorted, size_t count, double share)
{
    size_t rank = (size_t)ceil(share * (double)count);
    return sorted[rank ? rank - 1 : 0];
}

bool score_summarize(const score_list *list, score_summary *out, host_error *error)
{
    const size_t n = list->count;
    *out = (score_summary){0, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (!n)
        return true;
    double *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    memcpy(sorted, list->kl, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    const double nll = mean(list->nll, n);
    *out = (score_summary){n,
                           exp(nll),
                           nll,
                           mean(list->kl, n),
                           percentile(sorted, n, 0.5),
                           percentile(sorted, n, 0.99),
                           (double)list->agreeing / (double)n,
                           (double)list->right / (double)n};
    free(sorted);
    return true;
}

void score_by_step(const score_list *list, uint32_t length, double *out, size_t count)
{
    for (size_t run = 0; run < count; ++run) {
        double sum = 0;
        size_t tokens = 0;
        for (size_t i = 0; i < list->count; ++i)
            if (list->step[i] / length == run) {
                sum += list->kl[i];
                ++tokens;
            }
        out[run] = tokens ? sum / (double)tokens : NAN;
    }
}
