/* comparison.h: the rows that eval and solve print and write for the caches of a teacher. */
#ifndef GEAR_LLM_COMPARISON_H
#define GEAR_LLM_COMPARISON_H

#include "teacher.h"

/* Steps whose divergence is averaged in "kl_by_step". */
enum { COMPARISON_STEPS = 32 };

/* {"name", "bits_per_value", "bits_with_window", "tokens", "perplexity", "nll", "kl", "kl_median", "kl_99", "top1",
 *  "token_accuracy", "kl_by_step": [mean over each 32 steps], "attend_kernel"} */
json_t *comparison_json(const teacher_run *run, const score_summary *s);

#endif
