/* rig_cache.h: a cache with two sequences in it and every tensor that a verb wants, for tests that misuse the verbs one field
 * at a time and then look whether anything has changed. */
#ifndef RIG_CACHE_H
#define RIG_CACHE_H

#include "e2e_drive.h"

enum { RIG_SEQS = 2, RIG_HEADS = 2, RIG_QUERY_HEADS = 4, RIG_DIM = 64, RIG_CAPACITY = 700, RIG_TOKENS = 3, RIG_QUERIES = 2 };

typedef struct rig_cache {
    e2e_rig rig;
    gear_codec_pair codec;
    gear_cache_desc desc;
    gear_cache *cache;
    gear_sequence names[RIG_SEQS];
    e2e_tensor k, v;             /* RIG_TOKENS of both sequences */
    e2e_tensor q, out;           /* RIG_QUERIES */
    e2e_tensor tail_k, tail_v;   /* RIG_QUERIES */
    e2e_tensor dense_k, dense_v; /* RIG_TOKENS of one sequence */
    cl_mem lse;                  /* for both sequences' queries, not a byte more */
    cl_mem squares;              /* mean squares of both sequences' queries, not a byte more */
} rig_cache;

/* Compressed blocks, a filled window, room for more. */
void rig_cache_open(rig_cache *r);
void rig_cache_close(rig_cache *r);

/* All that a caller can see of the cache: lengths, bytes, reconstruction, attention. */
uint64_t rig_cache_digest(rig_cache *r);

/* Fails unless got is want, error tells the same, and its message has `text` in it. */
void rig_refused(const rig_cache *r, gear_status got, gear_status want, const char *text, const char *what);

#endif
