/* e2e_rig.h: a context of the library on the test's device, and what tests through the public API ask of it most often. */
#ifndef E2E_RIG_H
#define E2E_RIG_H

#include "open_cl.h"

typedef struct e2e_rig {
    test_cl cl;
    gear_context *context; /* counted allocator, see wrap_alloc.h */
    gear_error error;
    gear_sync sync; /* the in-order queue, nothing to wait for, no event */
} e2e_rig;

void e2e_open(e2e_rig *rig);
/* Fails the test unless every OpenCL object and all host memory are gone. */
void e2e_close(e2e_rig *rig);

/* Fails the test unless got is want; `what` and `index` say where. */
void e2e_expect(const e2e_rig *rig, gear_status got, gear_status want, const char *what, long index);
#define E2E_OK(rig, call) e2e_expect(rig, (call), GEAR_OK, #call, 0)

/* With AUTO where the device or the codec has no use for desc->attend_kernel. */
gear_cache *e2e_cache(e2e_rig *rig, const gear_cache_desc *desc);
/* attend_bound of the kernel that such a cache runs. */
double e2e_bound(e2e_rig *rig, const gear_cache_desc *desc);
gear_sequence e2e_add(e2e_rig *rig, gear_cache *cache);
uint64_t e2e_length(e2e_rig *rig, const gear_cache *cache, uint32_t layer, gear_sequence sequence, uint64_t *compressed);

/* One layer, window 64, recent 0, no exact tokens, the attend kernel of attend_choice.h; codec of both sides from the plain
 * 2-bit one. Mixed: for head_dim 64, K with channels of 4, 2 and 1 bits, V rotated, deltas of 8 bits. */
gear_codec_pair e2e_codec(gear_backbone backbone, uint32_t bits, uint32_t rank, float outliers);
gear_cache_desc e2e_desc(const gear_codec_pair *codec, uint32_t kv_heads, uint32_t query_heads, uint32_t dim, uint64_t tokens);

/* GEAR_TEST_TINY is set to something else than 0. */
int e2e_tiny(void);

#endif
