/* test_lifetime.c: objects destroyed in every order, also while the device still works, and two threads with a cache each on
 * one context. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "rig_cache.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

static const uint32_t seed = 12;

Test(lifetime, context_before_cache_and_cache_before_its_commands)
{
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, 2, 2, 64, 200);
    const e2e_source source = e2e_synthetic(&seed, 0);
    gear_cache *cache = e2e_cache(&rig, &desc), *other = e2e_cache(&rig, &desc);
    gear_sequence sequence = e2e_add(&rig, cache);
    const uint32_t tokens = 150;
    e2e_tensor k, v, out;
    e2e_tensor_open(&rig, &k, GEAR_F16, E2E_PACKED, 2, 64, 1, &tokens);
    e2e_tensor_open(&rig, &v, GEAR_F16, E2E_PACKED, 2, 64, 1, &tokens);
    e2e_tensor_open(&rig, &out, GEAR_F32, E2E_PACKED, 2, 64, 1, &tokens);
    e2e_fill(&rig, &k, e2e_key, &seed, NULL);
    e2e_fill(&rig, &v, e2e_value, &seed, NULL);

    gear_context_destroy(rig.context);
    rig.context = NULL;
    gear_cache_destroy(other);

    /* The device waits for the user's event; by the time it starts, the handles are gone. */
    cl_int code;
    cl_event gate = clCreateUserEvent(rig.cl.context, &code);
    const gear_batch batch = {1, &sequence, NULL, tokens};
    const gear_sync sync = {rig.cl.queue, 1, &gate, NULL};
    E2E_OK(&rig, gear_append(cache, 0, &batch, &k.view, &v.view, &sync, &rig.error));
    E2E_OK(&rig, gear_reconstruct(cache, 0, sequence, 0, tokens, NULL, &out.view, &rig.sync, &rig.error));
    (void)clFlush(rig.cl.queue);
    gear_cache_destroy(cache);
    cr_assert_eq(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    (void)clReleaseEvent(gate);
    e2e_download(&rig, &out, "out");
    double off = 0, norm = 0;
    for (uint32_t i = 0; i < 2 * tokens * 64; i++) {
        double x = (double)e2e_value(&seed, 0, i / 64 / tokens, i / 64 % tokens, i % 64);
        double y = (double)e2e_get(&out, 0, i / 64 / tokens, i / 64 % tokens, i % 64);
        off += (x - y) * (x - y);
        norm += x * x;
    }
    cr_assert_lt(off, norm, "the commands of a destroyed cache did not run");
    e2e_tensor_close(&k);
    e2e_tensor_close(&v);
    e2e_tensor_close(&out);
    (void)source;
    e2e_close(&rig);
}

/* Removing a sequence does not take its records from commands already enqueued. */
Test(lifetime, sequence_removed_before_its_commands)
{
    static float want[4 * 64];
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, 2, 4, 64, 200);
    const e2e_source source = e2e_synthetic(&seed, 0), another = e2e_synthetic(&seed, 1);
    gear_cache *cache = e2e_cache(&rig, &desc);
    gear_sequence sequence = e2e_add(&rig, cache);
    const uint32_t one = 1, at = 149;
    e2e_tensor q, out;
    e2e_append(&rig, cache, &desc, sequence, &source, 0, 150);
    e2e_attend(&rig, cache, &desc, sequence, &source, 1, want);
    e2e_tensor_open(&rig, &q, GEAR_F32, E2E_HEADS, 4, 64, 1, &one);
    e2e_tensor_open(&rig, &out, GEAR_F32, E2E_HEADS, 4, 64, 1, &one);
    e2e_fill(&rig, &q, e2e_query, &seed, &at);
    cl_int code;
    cl_event gate = clCreateUserEvent(rig.cl.context, &code);
    const gear_batch batch = {1, &sequence, NULL, 1};
    const gear_sync sync = {rig.cl.queue, 1, &gate, NULL};
    E2E_OK(&rig, gear_attend(cache, 0, &batch, &q.view, NULL, &out.view, &sync, &rig.error));
    E2E_OK(&rig, gear_sequence_remove(cache, sequence, &rig.error));
    gear_sequence next = e2e_add(&rig, cache);
    cr_assert_eq(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    e2e_append(&rig, cache, &desc, next, &another, 0, 150); /* behind the attend, in the same queue */
    e2e_download(&rig, &out, "out");
    cr_assert_eq(memcmp(out.image + out.view.offset, want, sizeof want), 0);
    (void)clReleaseEvent(gate);
    e2e_tensor_close(&q);
    e2e_tensor_close(&out);
    gear_cache_destroy(cache);
    e2e_close(&rig);
}

/* A thread's work: a cache of its own on the common context and a queue of its own. Asserts are left to the main thread. */
typedef struct worker {
    e2e_rig rig; /* copied; own queue */
    uint32_t seed;
    gear_status status;
    uint64_t digest;
} worker;

static void work(worker *w)
{
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, 2, 4, 64, 400);
    const e2e_source source = e2e_synthetic(&w->seed, 0);
    for (int round = 0; round < 3; round++) {
        gear_cache *cache = e2e_cache(&w->rig, &desc);
        gear_sequence sequence = e2e_add(&w->rig, cache);
        for (uint32_t done = 0; done < 330; done += 30) {
            w->status = w->status ? w->status : e2e_try_append(&w->rig, cache, &desc, sequence, &source, done, 30);
        }
        w->digest = e2e_digest(&w->rig, cache, &desc, sequence, &source);
        gear_cache_destroy(cache);
    }
}

static void *run_worker(void *argument)
{
    work(argument);
    return NULL;
}

Test(lifetime, two_threads_with_a_cache_each)
{
    e2e_rig rig;
    worker workers[4];
    pthread_t threads[2];
    cl_int code;
    e2e_open(&rig);
    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (worker){.rig = rig, .seed = 40 + i % 2};
        workers[i].rig.cl.queue = clCreateCommandQueue(rig.cl.context, rig.cl.device, 0, &code);
        workers[i].rig.sync.queue = workers[i].rig.cl.queue;
        cr_assert_eq(code, CL_SUCCESS);
    }
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        work(&workers[2 + i]);
        cr_assert_eq(workers[i].status, GEAR_OK);
        cr_assert_eq(workers[i].digest, workers[2 + i].digest, "thread %u saw something else than a thread alone", i);
    }
    for (uint32_t i = 0; i < 4; i++) {
        (void)clReleaseCommandQueue(workers[i].rig.cl.queue);
    }
    e2e_close(&rig);
}
