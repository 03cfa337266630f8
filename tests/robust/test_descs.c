/* test_descs.c: every field of the structs that create things, out of its range: the documented status, field and value in the
 * message, nothing made. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "e2e_rig.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

/* The message must contain `text`: the field and the value. */
static void refused(const e2e_rig *rig, gear_status got, gear_status want, const char *text)
{
    cr_assert_eq(got, want, "%s: %s, not %s (%s)", text, gear_status_name(got), gear_status_name(want),
                 got ? rig->error.message : "");
    cr_assert_eq(rig->error.status, want);
    cr_assert(rig->error.where && !strncmp(rig->error.where, "gear_", 5), "%s: where is %s", text, rig->error.where);
    cr_assert_not_null(strstr(rig->error.message, text), "'%s' is not in '%s'", text, rig->error.message);
}

typedef struct trial {
    e2e_rig rig;
    gear_codec_pair codec;
    gear_cache_desc desc;
} trial;

static void reset(trial *t)
{
    t->codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 0, 0);
    t->desc = e2e_desc(&t->codec, 2, 4, 64, 100);
}

/* Create and query refuse alike, and neither leaves or makes anything. */
static void try_desc(trial *t, gear_status want, const char *text)
{
    gear_cache *cache = NULL;
    gear_cache_plan plan;
    long objects = wrap_live_all(), blocks = wrap_alloc_live();
    gear_cache_plan_init(&plan);
    refused(&t->rig, gear_cache_create(t->rig.context, &t->desc, &cache, &t->rig.error), want, text);
    cr_assert_null(cache);
    refused(&t->rig, gear_cache_query(t->rig.context, &t->desc, &plan, &t->rig.error), want, text);
    cr_assert_eq(gear_cache_create(t->rig.context, &t->desc, &cache, NULL), want);
    cr_assert_eq(wrap_live_all(), objects, "%s: objects were left", text);
    cr_assert_eq(wrap_alloc_live(), blocks, "%s: memory was left", text);
    reset(t);
}

#define BAD(field, value, status, text)                                                                                        \
  do {                                                                                                                         \
    t.field = value;                                                                                                           \
    try_desc(&t, GEAR_ERROR_##status, text);                                                                                   \
  } while (0)

Test(descs, cache)
{
    trial t;
    e2e_open(&t.rig);
    reset(&t);
    BAD(desc.struct_size, 8, STRUCT_SIZE, "desc.struct_size is 8");
    BAD(desc.num_layers, 0, ARGUMENT, "num_layers is 0");
    BAD(desc.num_layers, UINT32_MAX, ARGUMENT, "num_layers is 4294967295");
    BAD(desc.num_kv_heads, 0, ARGUMENT, "num_kv_heads is 0");
    BAD(desc.num_kv_heads, 100000, ARGUMENT, "num_kv_heads is 100000");
    BAD(desc.num_query_heads, 3, ARGUMENT, "num_query_heads is 3");
    BAD(desc.num_query_heads, 1000000, ARGUMENT, "num_query_heads is 1000000");
    BAD(desc.head_dim, 0, UNSUPPORTED, "head_dim is 0");
    BAD(desc.head_dim, 72, UNSUPPORTED, "head_dim is 72");
    BAD(desc.capacity_sequences, 0, ARGUMENT, "capacity_sequences is 0");
    BAD(desc.capacity_tokens, 0, ARGUMENT, "capacity_tokens is 0");
    BAD(desc.capacity_tokens, UINT64_MAX, ARGUMENT, "capacity_tokens is 18446744073709551615");
    BAD(desc.max_sequence_tokens, UINT64_MAX, ARGUMENT, "max_sequence_tokens is 18446744073709551615");
    BAD(desc.max_query_tokens, 1000000, ARGUMENT, "max_query_tokens is 1000000");
    BAD(desc.window, 65, ARGUMENT, "window is 65");
    BAD(desc.window, 8192, ARGUMENT, "window is 8192");
    BAD(desc.recent, UINT32_MAX, ARGUMENT, "recent is 4294967295");
    BAD(desc.exact_first, 65, ARGUMENT, "exact_first is 65");
    BAD(desc.max_segment_tokens, 100, ARGUMENT, "max_segment_tokens is 100");
    BAD(desc.max_segment_tokens, 32768, ARGUMENT, "max_segment_tokens is 32768");
    BAD(desc.codecs, NULL, ARGUMENT, "codecs is NULL");
    BAD(desc.num_codecs, 0, ARGUMENT, "num_codecs is 0");
    BAD(desc.num_codecs, 2, ARGUMENT, "num_codecs is 2");
    BAD(desc.reserved[7], 5, ARGUMENT, "reserved[7] is 5");
    BAD(desc.attend_kernel, (gear_attend_kernel)77, ARGUMENT, "attend_kernel is 77");
    t.desc.head_dim = 256; /* with these groups and ranks no block fits the local memory of the NVIDIA kernel */
    t.codec.k.group = t.codec.v.group = 16;
    t.codec.k.rank_prompt = t.codec.k.rank_decode = t.codec.v.rank_prompt = t.codec.v.rank_decode = 8;
    BAD(desc.attend_kernel, GEAR_ATTEND_NVIDIA, UNSUPPORTED, "attend_kernel is nvidia: ");
    e2e_close(&t.rig);
}

Test(descs, codec)
{
    trial t;
    e2e_open(&t.rig);
    reset(&t);
    BAD(codec.k.struct_size, 0, STRUCT_SIZE, "codecs[0].k.struct_size is 0");
    BAD(codec.v.struct_size, 4, STRUCT_SIZE, "codecs[0].v.struct_size is 4");
    BAD(codec.k.backbone, (gear_backbone)4, ARGUMENT, "codecs[0].k.backbone is 4");
    BAD(codec.k.bits, 5, ARGUMENT, "codecs[0].k.bits is 5");
    BAD(codec.v.bits, 1, ARGUMENT, "codecs[0].v.bits is 1");
    BAD(codec.k.group, 48, ARGUMENT, "codecs[0].k.group is 48");
    BAD(codec.k.group, 128, ARGUMENT, "codecs[0].k.group is 128");
    BAD(codec.v.group, 256, ARGUMENT, "codecs[0].v.group is 256");
    BAD(codec.k.rank_prompt, 9, ARGUMENT, "codecs[0].k.rank_prompt is 9");
    BAD(codec.v.rank_decode, 9, ARGUMENT, "codecs[0].v.rank_decode is 9");
    BAD(codec.k.power_iterations, 17, ARGUMENT, "codecs[0].k.power_iterations is 17");
    BAD(codec.k.factor_bits, 2, ARGUMENT, "codecs[0].k.factor_bits is 2");
    BAD(codec.k.outlier_fraction, -0.1f, ARGUMENT, "codecs[0].k.outlier_fraction is -0.1");
    BAD(codec.k.outlier_fraction, 0.2f, ARGUMENT, "codecs[0].k.outlier_fraction is 0.2");
    BAD(codec.v.outlier_fraction, NAN, ARGUMENT, "codecs[0].v.outlier_fraction is ");
    BAD(codec.v.outlier_rule, (gear_outlier_rule)7, ARGUMENT, "codecs[0].v.outlier_rule is 7");
    BAD(codec.k.delta_bits, 4, ARGUMENT, "codecs[0].k.delta_bits is 4");
    BAD(codec.v.delta_bits, 32, ARGUMENT, "codecs[0].v.delta_bits is 32");
    BAD(codec.v.reserved[0], 1, ARGUMENT, "codecs[0].v.reserved[0] is 1");
    t.codec.v.bits = 16;
    BAD(codec.v.rank_prompt, 1, ARGUMENT, "codecs[0].v.bits is 16");
    t.codec.k.bits = 16;
    BAD(codec.k.outlier_fraction, 0.01f, ARGUMENT, "codecs[0].k.bits is 16");

    t.codec.k.bits = 16;
    t.codec.v.bits = 4; /* one side's bits say nothing of the other's group */
    BAD(codec.v.group, 48, ARGUMENT, "codecs[0].v.group is 48");

    /* the mixed backbone: 16x4 + 48x2 on K, 2 bits on V */
#define BAD_MIXED(field, value, text)                                                                                          \
  do {                                                                                                                         \
    t.codec.k.backbone = t.codec.v.backbone = GEAR_BACKBONE_MIXED;                                                             \
    t.codec.k.segments[0] = (gear_segment){16, 4};                                                                             \
    t.codec.k.segments[1] = (gear_segment){48, 2};                                                                             \
    BAD(codec.field, value, ARGUMENT, "codecs[0]." text);                                                                      \
  } while (0)
    BAD_MIXED(k.segments[1].channels, 32, "k.segments have 48 channels; head_dim is 64");
    BAD_MIXED(k.segments[1].channels, 40, "k.segments[1] is 40x2");
    BAD_MIXED(k.segments[1].bits, 6, "k.segments[1] is 48x6");
    BAD_MIXED(k.segments[3].channels, 16, "k.segments[3] is 16x0");
    BAD_MIXED(v.bits, 8, "v.bits is 8");
    BAD_MIXED(v.rotate, 2, "v.rotate is 2");
    BAD_MIXED(v.levels, (gear_levels)2, "v.levels is 2");
    e2e_close(&t.rig);
}

/* Where nothing is grouped, `group` is ignored, whatever it is: the same plan to the byte. */
Test(descs, ignored_group)
{
    static const struct {
        gear_backbone backbone;
        uint32_t bits;
    } codecs[] = {{GEAR_BACKBONE_KIVI, 16}, {GEAR_BACKBONE_TOKEN, 16}, {GEAR_BACKBONE_KCVT, 16}, {GEAR_BACKBONE_KCVT, 4}};
    static const uint32_t groups[] = {128, 48, 0, UINT32_MAX};
    trial t;
    gear_cache *cache = NULL;
    e2e_open(&t.rig);
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        gear_cache_plan plain, other;
        reset(&t);
        t.codec.k.backbone = t.codec.v.backbone = codecs[i].backbone;
        t.codec.k.bits = t.codec.v.bits = codecs[i].bits;
        gear_cache_plan_init(&plain);
        E2E_OK(&t.rig, gear_cache_query(t.rig.context, &t.desc, &plain, &t.rig.error));
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
            t.codec.k.group = t.codec.v.group = groups[g];
            gear_cache_plan_init(&other);
            E2E_OK(&t.rig, gear_cache_query(t.rig.context, &t.desc, &other, &t.rig.error));
            cr_assert(!memcmp(&plain, &other, sizeof plain), "codec %zu, group %u", i, groups[g]);
        }
    }
    reset(&t);
    t.codec.k.bits = 16;
    t.codec.k.group = 128;
    E2E_OK(&t.rig, gear_cache_create(t.rig.context, &t.desc, &cache, &t.rig.error));
    gear_cache_destroy(cache);
    e2e_close(&t.rig);
}

Test(descs, context)
{
    e2e_rig rig;
    test_cl other;
    gear_context_desc good, desc;
    gear_context *context = NULL;
    e2e_open(&rig);
    test_cl_open(&other);
    gear_context_desc_init(&good);
    good.context = rig.cl.context;
    good.device = rig.cl.device;
#define TRY(status, text) refused(&rig, gear_context_create(&desc, &context, &rig.error), GEAR_ERROR_##status, text)
    desc = good;
    desc.struct_size--;
    TRY(STRUCT_SIZE, "desc.struct_size is ");
    desc = good;
    desc.context = NULL;
    TRY(ARGUMENT, "desc.context is NULL");
    desc = good;
    desc.device = NULL;
    TRY(ARGUMENT, "desc.device is NULL");
    desc = good;
    desc.allocator.allocate = wrap_allocator().allocate;
    TRY(ARGUMENT, "allocator");
    desc = good;
    desc.program_cache_dir = "";
    TRY(ARGUMENT, "program_cache_dir is empty");
    desc = good;
    desc.kernel_source_dir = "";
    TRY(ARGUMENT, "kernel_source_dir is empty");
    desc = good;
    desc.reserved[7] = 1;
    TRY(ARGUMENT, "desc.reserved[7]");
    refused(&rig, gear_context_create(NULL, &context, &rig.error), GEAR_ERROR_ARGUMENT, "desc is NULL");
    refused(&rig, gear_context_create(&good, NULL, &rig.error), GEAR_ERROR_ARGUMENT, "context is NULL");
    cr_assert_null(context);
    test_cl_close(&other);
    e2e_close(&rig);
}

/* NULL in place of every pointer of the functions that are not verbs. */
Test(descs, null_pointers)
{
    trial t;
    gear_cache *cache;
    gear_cache_plan plan;
    gear_bytes bytes;
    gear_health health;
    gear_sequence sequence;
    uint64_t tokens;
    e2e_open(&t.rig);
    reset(&t);
    gear_error *e = &t.rig.error;
    cache = e2e_cache(&t.rig, &t.desc);
    sequence = e2e_add(&t.rig, cache);
    gear_cache_plan_init(&plan);
    refused(&t.rig, gear_cache_create(NULL, &t.desc, &cache, e), GEAR_ERROR_ARGUMENT, "context is NULL");
    refused(&t.rig, gear_cache_create(t.rig.context, NULL, &cache, e), GEAR_ERROR_ARGUMENT, "desc is NULL");
    refused(&t.rig, gear_cache_create(t.rig.context, &t.desc, NULL, e), GEAR_ERROR_ARGUMENT, "cache is NULL");
    refused(&t.rig, gear_cache_query(NULL, &t.desc, &plan, e), GEAR_ERROR_ARGUMENT, "context is NULL");
    refused(&t.rig, gear_cache_query(t.rig.context, NULL, &plan, e), GEAR_ERROR_ARGUMENT, "desc is NULL");
    refused(&t.rig, gear_cache_query(t.rig.context, &t.desc, NULL, e), GEAR_ERROR_ARGUMENT, "plan is NULL");
    plan.struct_size = 3;
    refused(&t.rig, gear_cache_query(t.rig.context, &t.desc, &plan, e), GEAR_ERROR_STRUCT_SIZE, "plan.struct_size is 3");
    refused(&t.rig, gear_sequence_add(NULL, &sequence, e), GEAR_ERROR_ARGUMENT, "cache is NULL");
    refused(&t.rig, gear_sequence_add(cache, NULL, e), GEAR_ERROR_ARGUMENT, "sequence is NULL");
    refused(&t.rig, gear_sequence_add(cache, &sequence, e), GEAR_ERROR_CAPACITY, "all 1 sequences");
    refused(&t.rig, gear_sequence_remove(NULL, sequence, e), GEAR_ERROR_ARGUMENT, "cache is NULL");
    refused(&t.rig, gear_sequence_remove(cache, 0, e), GEAR_ERROR_SEQUENCE, "sequence 0");
    refused(&t.rig, gear_sequence_clear(NULL, sequence, e), GEAR_ERROR_ARGUMENT, "cache is NULL");
    refused(&t.rig, gear_sequence_clear(cache, 99, e), GEAR_ERROR_SEQUENCE, "sequence 99");
    refused(&t.rig, gear_sequence_length(NULL, sequence, 0, &tokens, NULL, e), GEAR_ERROR_ARGUMENT, "cache is NULL");
    refused(&t.rig, gear_sequence_length(cache, 7, 0, &tokens, NULL, e), GEAR_ERROR_SEQUENCE, "sequence 7");
    refused(&t.rig, gear_sequence_length(cache, sequence, 1, &tokens, NULL, e), GEAR_ERROR_ARGUMENT, "layer is 1");
    refused(&t.rig, gear_sequence_length(cache, sequence, 0, NULL, NULL, e), GEAR_ERROR_ARGUMENT, "tokens is NULL");
    refused(&t.rig, gear_cache_bytes(NULL, 0, &bytes, e), GEAR_ERROR_ARGUMENT, "cache is NULL");
    refused(&t.rig, gear_cache_bytes(cache, 0, NULL, e), GEAR_ERROR_ARGUMENT, "bytes is NULL");
    refused(&t.rig, gear_cache_bytes(cache, 1, &bytes, e), GEAR_ERROR_ARGUMENT, "layer is 1");
    refused(&t.rig, gear_cache_health(NULL, t.rig.cl.queue, &health, e), GEAR_ERROR_ARGUMENT, "cache is NULL");
    refused(&t.rig, gear_cache_health(cache, NULL, &health, e), GEAR_ERROR_ARGUMENT, "queue is NULL");
    refused(&t.rig, gear_cache_health(cache, t.rig.cl.queue, NULL, e), GEAR_ERROR_ARGUMENT, "health is NULL");
    gear_context_desc_init(NULL);
    gear_codec_init(NULL);
    gear_cache_desc_init(NULL);
    gear_append_desc_init(NULL);
    gear_attend_desc_init(NULL);
    gear_cache_plan_init(NULL);
    gear_context_destroy(NULL);
    gear_cache_destroy(NULL);
    gear_cache_destroy(cache);
    e2e_close(&t.rig);
}
