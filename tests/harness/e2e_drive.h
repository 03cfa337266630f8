/* e2e_drive.h: short forms of the verbs for one sequence and tensors of the simplest layout; every call waits for the
 * device. */
#ifndef E2E_DRIVE_H
#define E2E_DRIVE_H

#include "e2e_attention.h"

/* What a sequence is fed with. `seq` is passed to the makers as the sequence number. */
typedef struct e2e_source {
    e2e_maker key, value, query;
    const void *user;
    uint32_t seq;
} e2e_source;

/* e2e_key, e2e_value, e2e_query of *seed. */
e2e_source e2e_synthetic(const uint32_t *seed, uint32_t seq);

/* Appends tokens first .. first + count - 1 of the source as f16. Returns the status; the cache's geometry is given by desc. */
gear_status e2e_try_append(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence,
                           const e2e_source *source, uint32_t first, uint32_t count);
void e2e_append(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence, const e2e_source *source,
                uint32_t first, uint32_t count);
void e2e_flush(e2e_rig *rig, gear_cache *cache, gear_sequence sequence);

/* Floats of gear_attend's output of `queries` query tokens: out[query head][query][dim], in f32. The query of position p is the
 * maker's token p, for the last positions. */
void e2e_attend(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence, const e2e_source *source,
                uint32_t queries, float *out);

/* 64-bit hash of K, V and an attend output: what of a sequence a caller can see. */
uint64_t e2e_digest(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence,
                    const e2e_source *source);

#endif
