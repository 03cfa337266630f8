/* segment.h: one segment of one sequence, compressed by src/ref in host memory that held garbage. */
#ifndef GOLDEN_SEGMENT_H
#define GOLDEN_SEGMENT_H

#include "ref/ref.h"

typedef struct segment {
    gear__shape shape;
    gear__ref_round round;
    gear__ref_source source;
    uint32_t *table, blocks, tokens, first;
    uint32_t job[GEAR__JOB_WORDS], seq[GEAR__SEQ_WORDS], *row_jobs;
    uint64_t health[2];
    uint64_t entries[2]; /* outliers of K and V */
    size_t pool_bytes;
    void *reversed; /* NULL, or the V that K of 1 bit is weighed with: the input, last token first */
} segment;

/* `values` [heads][tokens][head_dim] of `type` are the tokens first .. first + tokens - 1 of a sequence whose first `exact` are
 * exact; both sides of the cache use `codec`. */
void segment_open(segment *s, const gear_codec *codec, uint32_t is_v, uint32_t heads, uint32_t head_dim, uint32_t tokens,
                  uint32_t first, uint32_t exact, uint32_t cls, const void *values, gear_type type);
/* Stages 0 to 5 in the order of ref.h. */
void segment_compress(segment *s);
/* out[heads][tokens][head_dim] */
void segment_reconstruct(const segment *s, float *out);
void segment_close(segment *s);

#endif
