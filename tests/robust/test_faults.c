/* test_faults.c: every OpenCL call and every host allocation of the library fails once. The call that met it returns a status,
 * nothing leaks, the cache answers as before and the next try works. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "rig_cache.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

#define MOST 4000

static const uint32_t seed = 77; /* of rig_cache */

/* Creates a cache, in a context of its own when `context` is NULL, with the n-th call (allocation) failing, until none meets
 * it. Programs that the context holds already are not compiled again, so that every n can be tried; without them only every
 * `stride`-th is, after the first 40. */
static void fail_create(e2e_rig *rig, gear_context *given, int in_allocator, long stride)
{
    gear_context_desc context_desc;
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, 1, 1, 64, 100);
    gear_context_desc_init(&context_desc);
    context_desc.context = rig->cl.context;
    context_desc.device = rig->cl.device;
    context_desc.allocator = wrap_allocator();
    long objects = wrap_live_all(), blocks = wrap_alloc_live(), n = 0;
    for (int met = 1; met && n < MOST;) {
        gear_context *context = given;
        gear_cache *cache = NULL;
        gear_status status = GEAR_OK;
        long first = wrap_alloc_count();
        n += n < 40 ? 1 : stride;
        memset(&rig->error, 0, sizeof rig->error);
        (in_allocator ? wrap_alloc_fail_at : wrap_fail_at)(n);
        if (!given) {
            status = gear_context_create(&context_desc, &context, &rig->error);
        }
        status = status ? status : gear_cache_create(context, &desc, &cache, &rig->error);
        met = in_allocator ? wrap_alloc_count() - first >= n : wrap_failed() != NULL;
        wrap_fail_at(0);
        wrap_alloc_fail_at(0);
        /* Some failures have a fallback, and then all is well. */
        cr_assert_eq(status == GEAR_OK, cache != NULL, "failure %ld", n);
        cr_assert(met || !status, "no failure: %s", rig->error.message);
        cr_assert(!status || rig->error.message[0], "failure %ld has no message", n);
        cr_assert(!status ||
                      (in_allocator ? status == GEAR_ERROR_MEMORY
                                    : status == GEAR_ERROR_OPENCL || status == GEAR_ERROR_BUILD || status == GEAR_ERROR_DEVICE),
                  "failure %ld: %s: %s", n, gear_status_name(status), rig->error.message);
        gear_cache_destroy(cache);
        if (!given) {
            gear_context_destroy(context);
        }
        cr_assert_eq(wrap_live_all(), objects, "failure %ld: %ld objects left", n, wrap_live_all() - objects);
        cr_assert_eq(wrap_alloc_live(), blocks, "failure %ld: %ld blocks left", n, wrap_alloc_live() - blocks);
    }
    cr_assert_lt(n, MOST);
    cr_assert_gt(n, 10);
}

Test(faults, creation)
{
    e2e_rig rig;
    e2e_open(&rig);
    gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(&codec, 1, 1, 64, 100);
    gear_cache_destroy(e2e_cache(&rig, &desc)); /* the context has the programs from here on */
    fail_create(&rig, rig.context, 0, 1);
    fail_create(&rig, rig.context, 1, 1);
    fail_create(&rig, NULL, 0, 13);
    fail_create(&rig, NULL, 1, 7);
    e2e_close(&rig);
}

typedef enum verb { APPEND, APPEND_DECODE, APPEND_PROMPT, FLUSH, ATTEND, RECONSTRUCT, VERBS } verb;

static gear_status issue(rig_cache *r, verb which, const gear_sync *sync)
{
    const gear_batch append = {RIG_SEQS, r->names, NULL, RIG_TOKENS}, attend = {RIG_SEQS, r->names, NULL, RIG_QUERIES};
    const gear_batch flush = {RIG_SEQS, r->names, NULL, 0}, one = {1, r->names, NULL, RIG_TOKENS};
    switch (which) {
    case APPEND: return gear_append(r->cache, 0, &append, &r->k.view, &r->v.view, sync, &r->rig.error);
    case APPEND_DECODE:
    case APPEND_PROMPT: return gear_append(r->cache, 0, &one, &r->k.view, &r->v.view, sync, &r->rig.error);
    case FLUSH: return gear_flush(r->cache, 0, &flush, sync, &r->rig.error);
    case ATTEND: return gear_attend(r->cache, 0, &attend, &r->q.view, NULL, &r->out.view, sync, &r->rig.error);
    default:
        return gear_reconstruct(r->cache, 0, r->names[0], 60, RIG_TOKENS, &r->dense_k.view, &r->dense_v.view, sync,
                                &r->rig.error);
    }
}

/* Before a verb that is to compress: 64 tokens in the window of sequence 0 are a complete segment, 63 make a prompt segment
 * with what comes. */
static void fill_window(rig_cache *r, verb which)
{
    uint32_t wanted = which == APPEND_PROMPT ? 63 : 64;
    if (which != APPEND_DECODE && which != APPEND_PROMPT && which != FLUSH) {
        return;
    }
    const e2e_source source = e2e_synthetic(&seed, 0);
    uint64_t compressed, length = e2e_length(&r->rig, r->cache, 0, r->names[0], &compressed);
    while (length - compressed != wanted) {
        uint32_t n = (uint32_t)(length - compressed > wanted ? 1 : wanted - (length - compressed));
        e2e_append(&r->rig, r->cache, &r->desc, r->names[0], &source, (uint32_t)length, n);
        length = e2e_length(&r->rig, r->cache, 0, r->names[0], &compressed);
    }
}

/* One verb on one queue, each of its OpenCL calls failing in turn. */
static void fail_verb(rig_cache *r, verb which, cl_command_queue queue, int with_signal)
{
    fill_window(r, which);
    uint64_t before = rig_cache_digest(r);
    long objects = wrap_live_all(), blocks = wrap_alloc_live(), n = 0;
    for (gear_status status = GEAR_ERROR_OPENCL; status && ++n < MOST;) {
        cl_event event = NULL;
        const gear_sync sync = {queue, 0, NULL, with_signal ? &event : NULL};
        r->cache->counters_unknown = 1; /* a kernel that counts has them filled first, with a call that can fail too */
        wrap_fail_at(n);
        status = issue(r, which, &sync);
        int met = wrap_failed() != NULL;
        wrap_fail_at(0);
        (void)clFinish(queue);
        cr_assert_eq(met, status != GEAR_OK, "verb %d, call %ld", (int)which, n);
        if (status) {
            cr_assert_null(event, "verb %d, call %ld: an event in spite of the failure", (int)which, n);
            cr_assert(status == GEAR_ERROR_OPENCL || status == GEAR_ERROR_ARGUMENT, "verb %d, call %ld: %s", (int)which, n,
                      gear_status_name(status));
            cr_assert_eq(rig_cache_digest(r), before, "verb %d, call %ld (%s): the cache has changed", (int)which, n,
                         r->rig.error.where);
        } else if (event) {
            (void)clReleaseEvent(event);
        }
        cr_assert_eq(wrap_live_all(), objects, "verb %d, call %ld: %ld objects left", (int)which, n, wrap_live_all() - objects);
        cr_assert_eq(wrap_alloc_live(), blocks);
    }
    cr_assert_lt(n, MOST);
    cr_assert_gt(n, 3);
}

Test(faults, verbs)
{
    static rig_cache r, twin;
    rig_cache_open(&r);
    for (int which = 0; which < VERBS; which++) {
        fail_verb(&r, (verb)which, r.rig.cl.queue, which % 2);
        if (r.rig.cl.out_of_order) {
            fail_verb(&r, (verb)which, r.rig.cl.out_of_order, 1);
        }
    }
    /* The same successful calls without the failures between give the same cache. */
    uint64_t after = rig_cache_digest(&r);
    int rounds = r.rig.cl.out_of_order ? 2 : 1;
    rig_cache_close(&r);
    rig_cache_open(&twin);
    for (int which = 0; which < VERBS; which++) {
        for (int i = 0; i < rounds; i++) {
            fill_window(&twin, (verb)which);
            e2e_expect(&twin.rig, issue(&twin, (verb)which, &twin.rig.sync), GEAR_OK, "twin", which);
        }
    }
    cr_assert_eq(rig_cache_digest(&twin), after);
    rig_cache_close(&twin);
}

/* Verbs fill the counters before kernels that count, which not every device has: here without a kernel. */
Test(faults, counters_stay_unknown_until_they_are_filled)
{
    static rig_cache r;
    rig_cache_open(&r);
    const cl_uint left = 3;
    const size_t bytes = r.cache->counter_bytes;
    cl_command_queue queue = r.rig.cl.queue;
    cl_uint *counters = malloc(bytes);
    cr_assert_not_null(counters);
    cr_assert_eq(clEnqueueFillBuffer(queue, r.cache->counters, &left, sizeof left, 0, bytes, 0, NULL, NULL), CL_SUCCESS);
    r.cache->counters_unknown = 1;
    for (long n = 1; n <= 2; n++) { /* the one call fails, then none */
        gear__stream stream;
        const gear_sync sync = {queue, 0, NULL, NULL};
        e2e_expect(&r.rig, gear__stream_begin(&stream, &r.rig.context->device, &sync, "test", &r.rig.error), GEAR_OK, "begin",
                   0);
        wrap_fail_at(n);
        gear_status status = gear__counters_ready(r.cache, &stream, &r.rig.error);
        const char *failed = wrap_failed();
        wrap_fail_at(0);
        status = gear__stream_end(&stream, status, &r.rig.error);
        cr_assert_eq(status, n == 1 ? GEAR_ERROR_OPENCL : GEAR_OK, "call %ld: %s", n, gear_status_name(status));
        cr_assert_eq(failed != NULL, n == 1);
        cr_assert_eq(r.cache->counters_unknown, n == 1);
        cr_assert_eq(clEnqueueReadBuffer(queue, r.cache->counters, CL_TRUE, 0, bytes, counters, 0, NULL, NULL), CL_SUCCESS);
        for (size_t i = 0; i < bytes / sizeof *counters; i++) {
            cr_assert_eq(counters[i], n == 1 ? left : 0);
        }
    }
    free(counters);
    rig_cache_close(&r);
}
