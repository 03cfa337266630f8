/* stage_slack.h: how far attention may be off beyond the bound of its kernel where L of K alone holds a large channel. Kernels
 * with 16-bit operands round B^T q to halves, so that a score is off by 2^-11 of what L adds to it, which is more than the
 * bound allows for once L gives scores of 20: the mixed backbone, whose few scale steps leave such a channel to L. */
#ifndef STAGE_SLACK_H
#define STAGE_SLACK_H

#include "stage_world.h"

/* Whether scores of the finished layer are so. */
int stage_has_slack(const stage_world *w);

/* ref: attention of the sequence; out: its outputs [row][head_dim]. Writes how far the scores of each row may be off, and how
 * far that moves its outputs. */
void stage_slack(const stage_world *w, const stage_seq *seq, const gear__ref_attention *ref, const double *out, double *scores,
                 double *outputs);

#endif
