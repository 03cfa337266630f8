/* score.h: how good the predictions of one cache are, token by token: cross-entropy of the text, Kullback-Leibler divergence
 * from the predictions of a reference, agreement of the likeliest token. All in nats and double precision. */
#ifndef GEAR_LLM_SCORE_H
#define GEAR_LLM_SCORE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* log of the sum of exp(logits[i]). */
double score_log_sum(const float *logits, uint32_t count);

typedef struct score_token {
    double nll;  /* -log p(target) */
    double kl;   /* sum of p_ref (log p_ref - log p); 0 against itself */
    bool agrees; /* the reference's likeliest token is the likeliest */
    bool right;  /* the target is the likeliest */
} score_token;

/* Of one row of logits against one of the reference; log sums are those of the rows. */
score_token score_row(const float *logits, double log_sum, const float *reference, double reference_log_sum, uint32_t count,
                      uint32_t target);

/* Scores of many tokens; all zero is the empty list. */
typedef struct score_list {
    double *kl, *nll; /* owned: [count] */
    uint32_t *step;   /* owned: which decoding step the token was */
    size_t count, room, agreeing, right;
} score_list;

bool score_add(score_list *list, const score_token *token, uint32_t step, host_error *error);
void score_free(score_list *list);

typedef struct score_summary {
    size_t tokens;
    double perplexity, nll, kl, kl_median, kl_99; /* percentiles by nearest rank */
    double agreement, accuracy;                   /* shares of tokens */
} score_summary;

/* NaN everywhere for no tokens. */
bool score_summarize(const score_list *list, score_summary *out, host_error *error);

/* Means of kl over runs of `length` steps, [count] of them; NaN for a run without tokens. */
void score_by_step(const score_list *list, uint32_t length, double *out, size_t count);

#endif
