/* test_independence.c: what must not matter: the order of heads, the other sequences of a batch, asking for several query
 * tokens at once, the kind of queue, and what a failed command left behind before a sequence was cleared. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "e2e_drive.h"
#include "stage/attend_kernel.h"

#define HEADS 3u
#define GROUP 2u
#define DIM   64u

static const uint32_t seed = 9, order[HEADS] = {2, 0, 1};

static float permuted_key(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    return e2e_key(user, seq, order[head], token, channel);
}

static float permuted_value(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    return e2e_value(user, seq, order[head], token, channel);
}

static float permuted_query(const void *user, uint32_t seq, uint32_t head, uint32_t token, uint32_t channel)
{
    return e2e_query(user, seq, order[head / GROUP] * GROUP + head % GROUP, token, channel);
}

Test(independence, permuted_heads_permute_outputs)
{
    static float out[2][HEADS * GROUP * DIM];
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t i = 0; i < 4; i++) {
        gear_codec_pair codec = e2e_codec((gear_backbone)i, 2, 2, 0.02f);
        codec.k.outlier_rule = codec.v.outlier_rule =
            GEAR_OUTLIER_BLOCK; /* the vector rule breaks ties between heads by their order */
        gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS * GROUP, DIM, 230);
        desc.exact_first = 4;
        for (int p = 0; p < 2; p++) {
            e2e_source source = e2e_synthetic(&seed, 0);
            if (p) {
                source = (e2e_source){permuted_key, permuted_value, permuted_query, &seed, 0};
            }
            gear_cache *cache = e2e_cache(&rig, &desc);
            gear_sequence sequence = e2e_add(&rig, cache);
            e2e_append(&rig, cache, &desc, sequence, &source, 0, 150);
            e2e_append(&rig, cache, &desc, sequence, &source, 150, 60);
            e2e_append(&rig, cache, &desc, sequence, &source, 210, 20);
            e2e_attend(&rig, cache, &desc, sequence, &source, 1, out[p]);
            gear_cache_destroy(cache);
        }
        for (uint32_t h = 0; h < HEADS * GROUP; h++) {
            uint32_t from = order[h / GROUP] * GROUP + h % GROUP;
            for (uint32_t c = 0; c < DIM; c++) {
                const float *got = out[1] + h * DIM + c, *want = out[0] + from * DIM + c;
                cr_assert(memcmp(got, want, sizeof *got) == 0, "backbone %u: head %u: channel %u: %.9g, not %.9g", i, h, c,
                          (double)*got, (double)*want);
            }
        }
    }
    e2e_close(&rig);
}

/* The attend kernel may split a sequence's tokens between work-groups when the batch alone does not fill the device; then the
 * sums are of another order and the outputs agree within the bound of tests/e2e only. */
static int never_splits(const e2e_rig *rig, const gear_cache_desc *desc)
{
    gear__caps caps;
    gear__shape shape;
    cr_assert_eq(gear__caps_read(rig->cl.device, &caps, NULL), GEAR_OK);
    gear__shape_init(&shape, desc, desc->codecs);
    gear_attend_kernel kernel = gear__attend_choose(desc->attend_kernel, &caps, &shape);
    uint32_t rows = desc->num_query_heads / desc->num_kv_heads * desc->max_query_tokens;
    return caps.compute_units * gear__attend_tile_of(kernel, &caps, &shape, rows, NULL).groups_per_unit <
           2 * desc->num_kv_heads;
}

static void alone_and_in_a_batch(gear_backbone backbone)
{
    enum { SEQS = 4, STEPS = 3 };
    static const uint32_t tokens[STEPS][SEQS] = {{70, 1, 200, 64}, {1, 65, 3, 64}, {20, 20, 20, 20}};
    static float out[SEQS][HEADS * GROUP * DIM];
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(backbone, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS * GROUP, DIM, 600);
    desc.capacity_sequences = SEQS;
    desc.exact_first = GEAR_EXACT_AUTO;
    gear_cache *together = e2e_cache(&rig, &desc);
    gear_sequence names[SEQS];
    uint32_t done[SEQS] = {0};
    for (uint32_t i = 0; i < SEQS; i++) {
        names[i] = e2e_add(&rig, together);
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        e2e_tensor k, v;
        const gear_batch batch = {SEQS, names, tokens[step], 0};
        e2e_tensor_open(&rig, &k, GEAR_F16, E2E_PACKED, HEADS, DIM, SEQS, tokens[step]);
        e2e_tensor_open(&rig, &v, GEAR_F16, E2E_STRIDED, HEADS, DIM, SEQS, tokens[step]);
        e2e_fill(&rig, &k, e2e_key, &seed, done);
        e2e_fill(&rig, &v, e2e_value, &seed, done);
        E2E_OK(&rig, gear_append(together, 0, &batch, &k.view, &v.view, &rig.sync, &rig.error));
        (void)clFinish(rig.cl.queue);
        e2e_tensor_close(&k);
        e2e_tensor_close(&v);
        for (uint32_t i = 0; i < SEQS; i++) {
            done[i] += tokens[step][i];
        }
    }
    const int same = never_splits(&rig, &desc);
    const double bound = 2 * e2e_bound(&rig, &desc);
    static const uint32_t one[SEQS] = {1, 1, 1, 1};
    e2e_tensor q, o;
    const gear_batch batch = {SEQS, names, NULL, 1};
    e2e_tensor_open(&rig, &q, GEAR_F32, E2E_PACKED, HEADS * GROUP, DIM, SEQS, one);
    e2e_tensor_open(&rig, &o, GEAR_F32, E2E_PACKED, HEADS * GROUP, DIM, SEQS, one);
    for (uint32_t i = 0; i < SEQS; i++) {
        done[i]--;
    }
    e2e_fill(&rig, &q, e2e_query, &seed, done);
    E2E_OK(&rig, gear_attend(together, 0, &batch, &q.view, NULL, &o.view, &rig.sync, &rig.error));
    e2e_download(&rig, &o, "out of the batch");

    for (uint32_t i = 0; i < SEQS; i++) {
        const e2e_source source = e2e_synthetic(&seed, i);
        gear_cache *alone = e2e_cache(&rig, &desc);
        gear_sequence sequence = e2e_add(&rig, alone);
        e2e_dense a, b;
        for (uint32_t step = 0, at = 0; step < STEPS; at += tokens[step++][i]) {
            e2e_append(&rig, alone, &desc, sequence, &source, at, tokens[step][i]);
        }
        e2e_dense_open(&rig, &a, together, 0, names[i], HEADS, DIM, 0);
        e2e_dense_open(&rig, &b, alone, 0, sequence, HEADS, DIM, 0);
        size_t bytes = (size_t)HEADS * a.rows * DIM * sizeof(float);
        cr_assert_eq(a.rows, b.rows);
        cr_assert_eq(memcmp(a.k, b.k, bytes), 0, "sequence %u: K", i);
        cr_assert_eq(memcmp(a.v, b.v, bytes), 0, "sequence %u: V", i);
        e2e_attend(&rig, alone, &desc, sequence, &source, 1, out[i]);
        for (uint32_t h = 0; h < HEADS * GROUP; h++) {
            for (uint32_t c = 0; c < DIM; c++) {
                float x = e2e_get(&o, i, h, 0, c), y = out[i][h * DIM + c];
                cr_assert(same ? x == y : fabs((double)x - (double)y) < bound,
                          "sequence %u head %u channel %u: %.9g in the batch, "
                          "%.9g alone",
                          i, h, c, (double)x, (double)y);
            }
        }
        e2e_dense_close(&a);
        e2e_dense_close(&b);
        gear_cache_destroy(alone);
    }
    e2e_tensor_close(&q);
    e2e_tensor_close(&o);
    gear_cache_destroy(together);
    e2e_close(&rig);
}

Test(independence, alone_and_in_a_batch)
{
    alone_and_in_a_batch(GEAR_BACKBONE_KCVT);
    alone_and_in_a_batch(GEAR_BACKBONE_MIXED);
}

/* The last `m` positions asked for at once, and one by one as they arrive. No segment completes in between. */
Test(independence, several_queries_at_once)
{
    enum { M = 7 };
    static float single[M][HEADS * GROUP * DIM], all[HEADS * GROUP * M * DIM];
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS * GROUP, DIM, 220);
    const e2e_source source = e2e_synthetic(&seed, 0);
    desc.max_query_tokens = M;
    const double bound = 2 * e2e_bound(&rig, &desc);
    gear_cache *cache = e2e_cache(&rig, &desc);
    gear_sequence sequence = e2e_add(&rig, cache);
    e2e_append(&rig, cache, &desc, sequence, &source, 0, 200);
    for (uint32_t i = 0; i < M; i++) {
        e2e_append(&rig, cache, &desc, sequence, &source, 200 + i, 1);
        e2e_attend(&rig, cache, &desc, sequence, &source, 1, single[i]);
    }
    e2e_attend(&rig, cache, &desc, sequence, &source, M, all);
    for (uint32_t h = 0; h < HEADS * GROUP; h++) {
        for (uint32_t i = 0; i < M; i++) {
            for (uint32_t c = 0; c < DIM; c++) {
                float x = all[(h * M + i) * DIM + c], y = single[i][h * DIM + c];
                cr_assert(fabs((double)x - (double)y) < bound, "head %u query %u channel %u: %.9g at once, %.9g alone", h, i, c,
                          (double)x, (double)y);
            }
        }
    }
    gear_cache_destroy(cache);
    e2e_close(&rig);
}

/* A prompt, decode steps and attends, each verb waiting for the event of the one before; nothing waits on the host. */
static void decode_loop(e2e_rig *rig, cl_command_queue queue, const gear_cache_desc *desc, float *out, e2e_dense *dense)
{
    enum { CALLS = 90 };
    const uint32_t prompt = 100, one = 1;
    e2e_tensor first[2], step[2], q, o;
    cl_event chain = NULL;
    gear_cache *cache = e2e_cache(rig, desc);
    gear_sequence sequence = e2e_add(rig, cache);
    for (int s = 0; s < 2; s++) {
        e2e_tensor_open(rig, &first[s], GEAR_F32, E2E_HEADS, HEADS, DIM, 1, &prompt);
        e2e_tensor_open(rig, &step[s], GEAR_F32, E2E_HEADS, HEADS, DIM, 1, &one);
        e2e_fill(rig, &first[s], s ? e2e_value : e2e_key, &seed, NULL);
        e2e_fill(rig, &step[s], s ? e2e_value : e2e_key, &seed, &prompt);
    }
    e2e_tensor_open(rig, &q, GEAR_F32, E2E_HEADS, HEADS * GROUP, DIM, 1, &one);
    e2e_tensor_open(rig, &o, GEAR_F32, E2E_HEADS, HEADS * GROUP, DIM, 1, &one);
    e2e_fill(rig, &q, e2e_query, &seed, NULL);
    for (uint32_t i = 0; i < CALLS; i++) {
        const gear_batch append = {1, &sequence, NULL, i ? 1 : prompt}, attend = {1, &sequence, NULL, 1};
        cl_event done = NULL, next = NULL;
        gear_sync sync = {queue, chain ? 1 : 0, &chain, &done};
        E2E_OK(rig, gear_append(cache, 0, &append, i ? &step[0].view : &first[0].view, i ? &step[1].view : &first[1].view,
                                &sync, &rig->error));
        sync = (gear_sync){queue, 1, &done, &next};
        E2E_OK(rig, gear_attend(cache, 0, &attend, &q.view, NULL, &o.view, &sync, &rig->error));
        (void)clReleaseEvent(done);
        if (chain) {
            (void)clReleaseEvent(chain);
        }
        chain = next;
    }
    cr_assert_eq(clWaitForEvents(1, &chain), CL_SUCCESS);
    (void)clReleaseEvent(chain);
    (void)clFinish(queue);
    e2e_download(rig, &o, "out");
    memcpy(out, o.image + o.view.offset, HEADS * GROUP * DIM * sizeof *out);
    e2e_dense_open(rig, dense, cache, 0, sequence, HEADS, DIM, 0);
    for (int s = 0; s < 2; s++) {
        e2e_tensor_close(&first[s]);
        e2e_tensor_close(&step[s]);
    }
    e2e_tensor_close(&q);
    e2e_tensor_close(&o);
    gear_cache_destroy(cache);
}

Test(independence, out_of_order_queue)
{
    static float out[2][HEADS * GROUP * DIM];
    e2e_rig rig;
    e2e_dense dense[2];
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS * GROUP, DIM, 200);
    if (!rig.cl.out_of_order) {
        e2e_close(&rig);
        cr_skip_test("the device has no out-of-order queue");
    }
    decode_loop(&rig, rig.cl.queue, &desc, out[0], &dense[0]);
    decode_loop(&rig, rig.cl.out_of_order, &desc, out[1], &dense[1]);
    size_t bytes = (size_t)HEADS * dense[0].rows * DIM * sizeof(float);
    cr_assert_eq(memcmp(dense[0].k, dense[1].k, bytes), 0);
    cr_assert_eq(memcmp(dense[0].v, dense[1].v, bytes), 0);
    cr_assert_eq(memcmp(out[0], out[1], sizeof out[0]), 0);
    e2e_dense_close(&dense[0]);
    e2e_dense_close(&dense[1]);
    e2e_close(&rig);
}

/* A command that fails on the device may leave counters that its work-groups would have brought back to zero. */
Test(independence, a_cleared_sequence_starts_over)
{
    enum { TOKENS = 700, LEFT = 3 };
    static float out[2][HEADS * GROUP * DIM];
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0);
    gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS * GROUP, DIM, 2 * TOKENS);
    const e2e_source source = e2e_synthetic(&seed, 0);
    for (uint32_t i = 0; i < 2; i++) {
        gear_cache *cache = e2e_cache(&rig, &desc);
        gear_sequence sequence = e2e_add(&rig, cache);
        e2e_append(&rig, cache, &desc, sequence, &source, 0, TOKENS);
        if (i) {
            const cl_uint left = LEFT;
            cr_assert_eq(
                clEnqueueFillBuffer(rig.cl.queue, cache->counters, &left, sizeof left, 0, cache->counter_bytes, 0, NULL, NULL),
                CL_SUCCESS);
            E2E_OK(&rig, gear_sequence_clear(cache, sequence, &rig.error));
            e2e_append(&rig, cache, &desc, sequence, &source, 0, TOKENS);
            const gear__variant *variant = &cache->variants[0];
            cr_assert_eq(cache->counters_unknown, !gear__lowrank_is_joined(&variant->append, &variant->shape, 0));
        }
        e2e_attend(&rig, cache, &desc, sequence, &source, 1, out[i]);
        cr_assert_eq(cache->counters_unknown,
                     !gear__attend_merges(cache->variants[0].tile.kernel) &&
                         !gear__lowrank_is_joined(&cache->variants[0].append, &cache->variants[0].shape, 0));
        gear_cache_destroy(cache);
    }
    cr_assert_arr_eq(out[0], out[1], sizeof out[0]);
    e2e_close(&rig);
}
