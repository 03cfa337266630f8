/* result.h: what a run found, and how it is shown: a table, JSON, CSV. */
#ifndef GEAR_BENCH_RESULT_H
#define GEAR_BENCH_RESULT_H

#include <jansson.h>
#include <stdio.h>

#include "../common/out_file.h"
#include "../measure/clock.h"
#include "../measure/shapes.h"
#include "../measure/verify.h"
#include "bandwidth.h"

typedef struct result {
    bench_shape shape;
    unsigned verb;    /* VERB_ATTEND or VERB_APPEND */
    uint32_t layer;   /* of real data: the number of the layer that was taken */
    char variant[32]; /* of the attend kernel */
    char variant_reason[160];
    char problem[512]; /* why there are no numbers; "" where there are */
    bool wrong;        /* the problem is a wrong result or a failure, not a shape that is not served */
    verdict check;
    timing time;
    timing step; /* decode-block: append and attention of a step that completes no block */
    uint64_t
        moved; /* bytes of one verb: attend reads all of the sequences, q and out; append its 16-bit input, or the block's */
    uint32_t tile_rows; /* query rows that a work-group of attend serves at most; 0: not known */
    gear_bytes bytes;
    uint64_t tokens, compressed;
    double bits;                     /* of a compressed value */
    double peak;                     /* GB/s: read bandwidth for attend, copy for append */
    double new_tokens;               /* of one verb: query tokens, or tokens appended */
    double of_16bit;                 /* device time of the 16-bit codec over ours; NaN: not measured */
    double stage_16bit[MOST_STAGES]; /* by index in time.stages: ms of that stage of the 16-bit codec; 0: it has none */
    spread openmp;                   /* ms of the C + OpenMP peer; NaN: not measured */
} result;

/* How the C + OpenMP peer runs, where it does. */
typedef struct peer_setting {
    int threads;
    const char *wait_policy; /* of the OpenMP runtime; NULL: its default */
} peer_setting;

enum { RESULT_TITLE = 512 }; /* bytes that any title fits in */
/* What a row is about, for a line of text: verb, shape and its words, codec with its details. */
void result_title(const result *r, char *out, size_t size);

/* Launches of one verb. */
unsigned result_launches(const timing *t);

/* GB/s and tokens/s by the best device time. */
double result_rate(const result *r);
double result_tokens_per_second(const result *r);

/* Of one of the stages of a result; NaN: none. */
typedef struct stage_numbers {
    double bytes, rate, percent; /* rate: GB/s by the best time; percent: of the peak */
    double tokens_per_s;
    double ms_16bit, of_16bit; /* the same stage of the 16-bit codec, and that over ours */
} stage_numbers;

stage_numbers result_stage(const result *r, size_t index);

bool results_header(FILE *stream, const device *dev, const bandwidth *peaks, host_error *error);
bool results_print(const result *list, size_t count, bool stages, host_error *error);
/* The document of --json; NULL where memory is exhausted. left_out: verbs that were asked for and not measured. */
json_t *results_json(const result *list, size_t count, size_t left_out, const device *dev, const bandwidth *peaks,
                     const peer_setting *peer);
/* Writes an open file and puts it in its place. Rows with a problem have no numbers. */
bool results_csv(const result *list, size_t count, const device *dev, out_file *out, host_error *error);

/* Bytes that a stage cannot do without per verb, by a model of docs/benchmarks.md; 0 where there is none. stage: the kernel's
 * name without "gear_k_". */
uint64_t stage_bytes(const result *r, const char *stage);

#endif
