/* test_rounds.c: an append that takes several rounds of the compressor (src/api/rounds.c) leaves what one call a sequence
 * leaves, whatever a round has room for; and the scratch has room for any segment. */
#include <criterion/criterion.h>

#include "api/internal.h"
#include "e2e_drive.h"
#include "wrap_cl.h"

enum { HEADS = 2, DIM = 64, SEQS = 8, CALLS = 2, MOST = 2000 };

static const uint32_t seed = 21;

/* New tokens of the first so many sequences: in the second call some go on and others open, with segments of 1 to 8 blocks. */
static const uint32_t sequences[CALLS] = {4, SEQS};
static const uint32_t tokens[CALLS][SEQS] = {{320, 320, 700, 64}, {600, 200, 64, 640, 700, 1100, 320, 130}};

static gear_cache *open_cache(e2e_rig *rig, const gear_cache_desc *desc, gear_sequence names[SEQS])
{
    gear_cache *cache = e2e_cache(rig, desc);
    for (uint32_t i = 0; i < SEQS; i++) {
        names[i] = e2e_add(rig, cache);
    }
    return cache;
}

/* Returns the commands it took. */
static long append_batch(e2e_rig *rig, gear_cache *cache, const gear_sequence *names, uint32_t call, const uint32_t *done)
{
    const gear_batch batch = {sequences[call], names, tokens[call], 0};
    e2e_tensor k, v;
    e2e_tensor_open(rig, &k, GEAR_F16, E2E_PACKED, HEADS, DIM, sequences[call], tokens[call]);
    e2e_tensor_open(rig, &v, GEAR_F16, E2E_PACKED, HEADS, DIM, sequences[call], tokens[call]);
    e2e_fill(rig, &k, e2e_key, &seed, done);
    e2e_fill(rig, &v, e2e_value, &seed, done);
    wrap_reset_calls();
    E2E_OK(rig, gear_append(cache, 0, &batch, &k.view, &v.view, &rig->sync, &rig->error));
    const long commands = wrap_calls(WRAP_ENQUEUE);
    (void)clFinish(rig->cl.queue);
    e2e_tensor_close(&k);
    e2e_tensor_close(&v);
    return commands;
}

/* The least scratch with which gear__sizes_of lets a cache go. */
static void lessen(gear_cache *cache)
{
    const uint32_t blocks = cache->desc.max_segment_tokens / 64;
    uint64_t floats = 0;
    for (uint32_t n = 1; n <= blocks; n++) {
        const uint64_t own = (uint64_t)n * GEAR__FIT_SLOT(DIM, n);
        floats = own > floats ? own : floats;
    }
    cr_assert_leq(floats, cache->fit_floats);
    cr_assert_leq(cache->desc.max_segment_tokens, cache->staging_rows);
    cache->fit_floats = floats;
    cache->staging_rows = cache->list_rows = cache->desc.max_segment_tokens;
}

static void compare(e2e_rig *rig, const gear_codec_pair *codec, const char *name)
{
    gear_sequence names[3][SEQS];
    gear_cache_desc desc = e2e_desc(codec, HEADS, HEADS, DIM, SEQS * MOST);
    desc.capacity_sequences = SEQS;
    desc.max_sequence_tokens = MOST;
    desc.exact_first = GEAR_EXACT_AUTO;
    gear_cache *alone = open_cache(rig, &desc, names[0]), *batch = open_cache(rig, &desc, names[1]),
               *small = open_cache(rig, &desc, names[2]);
    uint32_t done[SEQS] = {0};
    lessen(small);
    for (uint32_t call = 0; call < CALLS; call++) {
        const long commands = append_batch(rig, batch, names[1], call, done);
        const long more = append_batch(rig, small, names[2], call, done);
        cr_assert(commands <= more, "%s, call %u: %ld commands with little room, %ld with more", name, call, more, commands);
        for (uint32_t i = 0; i < sequences[call]; i++) {
            const e2e_source source = e2e_synthetic(&seed, i);
            e2e_append(rig, alone, &desc, names[0][i], &source, done[i], tokens[call][i]);
            done[i] += tokens[call][i];
        }
    }
    for (uint32_t i = 0; i < SEQS; i++) {
        const e2e_source source = e2e_synthetic(&seed, i);
        const uint64_t want = e2e_digest(rig, alone, &desc, names[0][i], &source);
        cr_assert_eq(e2e_digest(rig, batch, &desc, names[1][i], &source), want, "%s: sequence %u of the batch", name, i);
        cr_assert_eq(e2e_digest(rig, small, &desc, names[2][i], &source), want, "%s: sequence %u, many rounds", name, i);
    }
    gear_cache_destroy(alone);
    gear_cache_destroy(batch);
    gear_cache_destroy(small);
}

static void compare_all(e2e_rig *rig)
{
    const gear_codec_pair kivi = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0);
    const gear_codec_pair outliers = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    const gear_codec_pair mixed = e2e_codec(GEAR_BACKBONE_MIXED, 2, 2, 0), plain = e2e_codec(GEAR_BACKBONE_MIXED, 2, 0, 0);
    compare(rig, &kivi, "kivi");
    compare(rig, &outliers, "outliers");
    compare(rig, &mixed, "mixed");
    compare(rig, &plain, "mixed without low rank");
}

Test(rounds, leave_what_one_call_a_sequence_leaves)
{
    e2e_rig rig;
    e2e_open(&rig);
    compare_all(&rig);
    e2e_close(&rig);
}

Test(rounds, leave_the_same_on_the_work_groups_of_gpus)
{
    e2e_rig rig;
    e2e_open(&rig);
    rig.context->device.caps.is_cpu = 0;
    rig.context->device.caps.is_gpu = 1;
    compare_all(&rig);
    e2e_close(&rig);
}

/* Devices by number: a CPU device; GPUs, from 2 on NVIDIA's, with little memory, with tensor cores. */
enum { DEVICE_CPU, DEVICE_LITTLE = 3, DEVICE_TENSOR, DEVICES };

/* The least that the kernel of a fit has in its slots: what comes before the parts; the parts of the residual, but not where a
 * work-group keeps what they have; the Gram matrix and its parts, but not where it stays in local memory. */
static uint64_t least_floats(int is_cpu, int is_joined, uint32_t dim, uint32_t blocks)
{
    const uint64_t head = GEAR__FIT_HEAD(dim), parts = GEAR__FIT_PARTS(blocks) * GEAR__FIT_PART(dim);
    const uint64_t gram = (uint64_t)dim * dim + GEAR__GRAM_PARTS(blocks) * GEAR__GRAM_PART(dim);
    const uint32_t alone = is_joined ? GEAR__GRAM_ROWS / 64 : GEAR__FIT_DIRECT_BLOCKS;
    const int has_parts = is_cpu || blocks > alone || (is_joined && blocks > 1);
    return head + (has_parts ? parts : 0) + (blocks > alone ? gram : 0);
}

/* A segment of any length alone in a round, on devices of every class and with little memory. */
Test(rounds, have_room_for_any_segment)
{
    const gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 4, 0);
    for (uint32_t dim = 32; dim <= 256; dim *= 2) {
        for (uint32_t longest = 64; longest <= 16384; longest *= 4) {
            for (uint32_t device = 0; device < DEVICES; device++) {
                gear_cache_desc desc = e2e_desc(&codec, 8, 8, dim, 100000);
                gear__caps caps = {.is_cpu = device == DEVICE_CPU,
                                   .is_gpu = device > DEVICE_CPU,
                                   .is_nvidia = device > 1,
                                   .nv_sm = device == DEVICE_TENSOR ? 90 : 0,
                                   .nv_driver = device == DEVICE_TENSOR ? 580 : 0,
                                   .compute_units = 132,
                                   .max_work_group = 256,
                                   .local_bytes = 48 * 1024,
                                   .max_alloc = device != DEVICE_LITTLE ? UINT64_C(1) << 34 : UINT64_C(1) << 26};
                gear__shape shape;
                gear__sizes sizes = {0};
                desc.max_segment_tokens = longest;
                desc = gear__desc_complete(&desc);
                gear__shape_init(&shape, &desc, &codec);
                const gear__append_tile append = gear__append_tile_of(&caps, &shape);
                const gear__scratch_needs needs = gear__scratch_needs_of(&desc, &caps);
                gear__sizes_of(&desc, &shape, &caps, &needs, &sizes);
                const int is_joined = gear__lowrank_is_joined(&append, &shape, 0);
                cr_assert_eq(is_joined, device == DEVICE_TENSOR && dim <= 128);
                cr_assert(device != DEVICE_TENSOR || (append.has_tensor_cores && append.most_items == 256));
                const uint32_t most = longest > desc.window ? longest : desc.window;
                cr_assert_geq(sizes.staging_rows, most);
                cr_assert_geq(sizes.list_rows, sizes.staging_rows);
                cr_assert(sizes.staging_rows == (most + 63) / 64 * 64 ||
                          (sizes.r_bytes <= caps.max_alloc && sizes.a_bytes <= caps.max_alloc * 2));
                for (uint32_t blocks = 1; blocks <= (most + 63) / 64; blocks++) {
                    cr_assert_leq((uint64_t)blocks * GEAR__FIT_SLOT(dim, blocks), sizes.fit_floats, "%u channels, %u blocks",
                                  dim, blocks);
                    for (uint32_t cls = 0; cls < 2; cls++) {
                        const uint64_t slot = gear__lowrank_slot(&append, &shape, cls, blocks);
                        cr_assert_leq(slot, GEAR__FIT_SLOT(dim, blocks));
                        cr_assert_geq(slot * blocks, least_floats(caps.is_cpu, is_joined, dim, blocks),
                                      "device %u, %u channels, %u blocks, class %u", device, dim, blocks, cls);
                    }
                }
                /* the launch's own, and those of a fit of each block */
                cr_assert(!caps.is_nvidia || sizes.counter_bytes >= (2 * sizes.staging_rows / 64 * 8 + 1) * 4);
                cr_assert_eq(sizes.a_bytes, 8 * 4 * (sizes.staging_rows * GEAR__MAX_RANK + sizes.fit_floats));
            }
        }
    }
}
