/* teacher.h: teacher-forced comparison of caches with the 16-bit one. The texts' prompts are computed exactly, once, and
 * compressed by every cache; then each text's own tokens are fed to all caches, and what each predicts is scored against the
 * reference.
 *
 * Tokens are fed in chunks that end where a segment is compressed, at most 64: as the newest tokens of a chunk see each other
 * as they are, that equals feeding them one by one, but for the rounding of sums; `chunk` 1 does feed them one by one. */
#ifndef GEAR_LLM_TEACHER_H
#define GEAR_LLM_TEACHER_H

#include "engine.h"
#include "progress.h"
#include "score.h"

enum { TEACHER_CHUNK = 64 };

typedef struct teacher_text {
    const uint32_t *ids;
    uint32_t prompt; /* tokens computed exactly, at least 1 */
    uint32_t fed;    /* tokens behind them that are fed; one more follows in ids, the last target */
} teacher_text;

/* One cache under comparison. */
typedef struct teacher_run {
    kv_cache kv;
    gear_sequence *sequences; /* owned: [group] */
    gear_sequence *spare;     /* owned: [group], with `spare`: sequences that got the prompt and nothing else */
    score_list scores;
    uint64_t tokens, compressed;      /* of all texts done */
    double compressed_bits, all_bits; /* in use by them, to be divided by values */
} teacher_run;

typedef struct teacher_limits {
    uint32_t group;        /* texts at a time */
    uint32_t longest;      /* prompt and fed tokens of a text */
    uint32_t prompt;       /* tokens of prompts computed in one call: at least the longest prompt */
    uint32_t spare_tokens; /* longest spare sequence; 0: no spare sequences */
    uint32_t chunk;        /* 1 to TEACHER_CHUNK */
    bool prompt_row;       /* the prediction behind the prompt is scored too */
} teacher_limits;

typedef struct teacher {
    engine *e; /* borrowed */
    forward *f;
    teacher_limits limits;
    teacher_run *runs; /* owned: the reference, then one for each spec that is not the 16-bit cache too */
    size_t num_runs;
    uint32_t rows;            /* of logits, of one call at most: not below the group */
    size_t *run_of;           /* owned: index of the run of each of the engine's specs */
    kv_spec_list reference;   /* the 16-bit cache */
    float *logits, *expected; /* owned: [rows of a call][vocabulary] */
    double *log_sums;         /* of the expected rows */
    uint32_t *next;           /* owned: [group]: likeliest token behind each prompt */
} teacher;

bool teacher_create(engine *e, const teacher_limits *limits, teacher *out, host_error *error);
void teacher_free(teacher *t);

/* Prompts of texts[count], count at most the group: adds the sequences. */
bool teacher_prompt(teacher *t, const teacher_text *texts, uint32_t count, progress *bar, host_error *error);
/* Feeds and scores the texts whose prompts were just computed. */
bool teacher_feed(teacher *t, const teacher_text *texts, uint32_t count, progress *bar, host_error *error);
/* Counts what the sequences occupy, and removes them. */
bool teacher_finish(teacher *t, uint32_t count, host_error *error);

/* Whether a run is one of the engine's specs: the reference need not be. */
bool teacher_shows(const teacher *t, size_t run);

/* Bits per value of a run over all texts: all that compressed tokens occupy over the compressed tokens; and with the window
 * over all. */
double teacher_bits(const teacher_run *run, bool with_window);

#endif
