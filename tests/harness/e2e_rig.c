/* e2e_rig.c: see the header. */
#include "e2e_rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attend_choice.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

void e2e_open(e2e_rig *rig)
{
    gear_context_desc desc;
    memset(rig, 0, sizeof *rig);
    test_cl_open(&rig->cl);
    rig->sync.queue = rig->cl.queue;
    gear_context_desc_init(&desc);
    desc.context = rig->cl.context;
    desc.device = rig->cl.device;
    desc.allocator = wrap_allocator();
    E2E_OK(rig, gear_context_create(&desc, &rig->context, &rig->error));
}

void e2e_close(e2e_rig *rig)
{
    (void)clFinish(rig->cl.queue);
    gear_context_destroy(rig->context);
    test_cl_close(&rig->cl);
    cr_assert_eq(wrap_alloc_live(), 0, "%ld host blocks left", wrap_alloc_live());
    cr_assert_eq(wrap_live_all(), 0, "left: contexts %ld, queues %ld, buffers %ld, programs %ld, kernels %ld, events %ld",
                 wrap_live(WRAP_CONTEXT), wrap_live(WRAP_QUEUE), wrap_live(WRAP_BUFFER), wrap_live(WRAP_PROGRAM),
                 wrap_live(WRAP_KERNEL), wrap_live(WRAP_EVENT));
}

void e2e_expect(const e2e_rig *rig, gear_status got, gear_status want, const char *what, long index)
{
    cr_assert_eq(got, want, "%s [%ld]: %s, not %s (%s: %s)", what, index, gear_status_name(got), gear_status_name(want),
                 got && rig->error.where ? rig->error.where : "", got ? rig->error.message : "");
}

gear_cache *e2e_cache(e2e_rig *rig, const gear_cache_desc *desc)
{
    gear_cache *cache = NULL;
    gear_status status = gear_cache_create(rig->context, desc, &cache, &rig->error);
    if (status == GEAR_ERROR_UNSUPPORTED && desc->attend_kernel != GEAR_ATTEND_AUTO) {
        gear_cache_desc other = *desc; /* the kernel under test does not serve this codec */
        other.attend_kernel = GEAR_ATTEND_AUTO;
        status = gear_cache_create(rig->context, &other, &cache, &rig->error);
    }
    e2e_expect(rig, status, GEAR_OK, "gear_cache_create", 0);
    return cache;
}

double e2e_bound(e2e_rig *rig, const gear_cache_desc *desc)
{
    gear_cache_desc used = *desc;
    gear_cache_plan plan;
    gear_cache_plan_init(&plan);
    if (gear_cache_query(rig->context, &used, &plan, NULL)) { /* e2e_cache takes another kernel then */
        used.attend_kernel = GEAR_ATTEND_AUTO;
        E2E_OK(rig, gear_cache_query(rig->context, &used, &plan, &rig->error));
    }
    return attend_bound(plan.variant);
}

gear_sequence e2e_add(e2e_rig *rig, gear_cache *cache)
{
    gear_sequence sequence = 0;
    E2E_OK(rig, gear_sequence_add(cache, &sequence, &rig->error));
    cr_assert_neq(sequence, 0);
    return sequence;
}

uint64_t e2e_length(e2e_rig *rig, const gear_cache *cache, uint32_t layer, gear_sequence sequence, uint64_t *compressed)
{
    uint64_t tokens = 0;
    E2E_OK(rig, gear_sequence_length(cache, sequence, layer, &tokens, compressed, &rig->error));
    return tokens;
}

gear_codec_pair e2e_codec(gear_backbone backbone, uint32_t bits, uint32_t rank, float outliers)
{
    gear_codec_pair pair;
    gear_codec_init(&pair.k);
    pair.k.backbone = backbone;
    pair.k.bits = bits;
    pair.k.rank_prompt = rank;
    pair.k.rank_decode = rank;
    pair.k.outlier_fraction = outliers;
    pair.k.delta_bits = backbone == GEAR_BACKBONE_MIXED ? 8 : 0;
    pair.v = pair.k;
    if (backbone == GEAR_BACKBONE_MIXED) {
        const gear_segment segments[] = {{16, 4}, {16, 2}, {32, 1}};
        memcpy(pair.k.segments, segments, sizeof segments);
        pair.v.rotate = 1;
    }
    return pair;
}

gear_cache_desc e2e_desc(const gear_codec_pair *codec, uint32_t kv_heads, uint32_t query_heads, uint32_t dim, uint64_t tokens)
{
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    desc.num_layers = 1;
    desc.num_kv_heads = kv_heads;
    desc.num_query_heads = query_heads;
    desc.head_dim = dim;
    desc.capacity_sequences = 1;
    desc.capacity_tokens = tokens;
    desc.max_segment_tokens = 512;
    desc.recent = 0;
    desc.exact_first = 0;
    desc.codecs = codec;
    desc.num_codecs = 1;
    desc.attend_kernel = attend_wanted();
    return desc;
}

static int is_on(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] && strcmp(value, "0") != 0;
}

int e2e_tiny(void)
{
    return is_on("GEAR_TEST_TINY");
}
