/* forward.h: the forward pass of a batch of sequences, each with its own number of tokens, with keys and values in a cache of
 * the library. All device memory is allocated and all kernels are compiled at creation; a call only enqueues on the device's
 * queue, but for the upload of its token ids, which waits, and what reads results.
 *
 * A prompt is computed exactly: every token sees the keys and values of those before it as they are, in float32, and then
 * all are appended, to several caches if wished, which spares the pass for each of them. A step appends its tokens and then
 * attends, so that it sees what the cache has made of the earlier ones. */
#ifndef GEAR_LLM_FORWARD_H
#define GEAR_LLM_FORWARD_H

#include "kv_cache.h"
#include "linear.h"

typedef struct forward forward;

typedef struct forward_limits {
    uint32_t rows;      /* tokens of one call, of all sequences together */
    uint32_t sequences; /* of one call */
    uint32_t logits;    /* rows of logits of one call */
    uint32_t positions; /* tokens of one sequence */
} forward_limits;

/* dev, k, m and w are borrowed. */
bool forward_create(const device *dev, kernels *k, const model *m, const weights *w, const forward_limits *limits,
                    forward **out, host_error *error);
/* NULL is harmless. */
void forward_destroy(forward *f);
/* Device bytes of activations and scratch. */
uint64_t forward_bytes(const forward *f);

typedef struct forward_batch {
    uint32_t count;         /* sequences */
    const uint32_t *tokens; /* [count]: new tokens of each, at least 1 */
    const uint32_t *first;  /* [count]: position of the first of them; NULL: 0 */
    const uint32_t *ids;    /* the tokens, sequence after sequence */
    const uint32_t *wanted; /* [num_wanted]: rows (tokens of the batch) whose logits are computed */
    uint32_t num_wanted;
} forward_batch;

typedef struct forward_target {
    const kv_cache *kv;
    const gear_sequence *sequences; /* [count of the batch], empty */
} forward_target;

bool forward_prompt(forward *f, const forward_target *targets, uint32_t num_targets, const forward_batch *batch,
                    host_error *error);
bool forward_step(forward *f, const kv_cache *kv, const gear_sequence *sequences, const forward_batch *batch,
                  host_error *error);

/* Called behind the exact attention of each layer of a prompt, while the device may still work on it: float32 queries [rows]
 * [heads][head_dim] and keys and values [rows][KV heads][head_dim] after RoPE, as they are appended. */
typedef bool (*forward_watcher)(void *user, uint32_t layer, uint32_t rows, cl_mem q, cl_mem k, cl_mem v, host_error *error);
/* NULL: none, as at the start. */
void forward_watch(forward *f, forward_watcher watcher, void *user);

/* Of the last call: its wanted rows' logits [num_wanted][vocabulary], and the index of the largest of each. Both wait. */
bool forward_logits(forward *f, float *out, host_error *error);
bool forward_top1(forward *f, uint32_t *out, host_error *error);

#endif
