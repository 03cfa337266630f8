/* test_verbs.c: the verbs with one wrong argument at a time: the documented status, field and value in the message, and a cache
 * that answers exactly as before. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rig_cache.h"
#include "wrap_cl.h"

/* The arguments of a call; a trial spoils one of them. */
typedef struct call {
    gear_cache *cache;
    uint32_t layer;
    gear_batch batch;
    gear_view a, b; /* k, v; or q, out */
    gear_append_desc append;
    gear_attend_desc attend;
    gear_sync sync;
    int no_batch, no_a, no_b, no_sync; /* NULL instead */
} call;

typedef enum verb { APPEND, ATTEND, FLUSH } verb;

static call fresh(rig_cache *r, verb which)
{
    call c = {.cache = r->cache,
              .batch = {RIG_SEQS, r->names, NULL, which == APPEND ? RIG_TOKENS : RIG_QUERIES},
              .a = which == APPEND ? r->k.view : r->q.view,
              .b = which == APPEND ? r->v.view : r->out.view,
              .sync = r->rig.sync};
    gear_append_desc_init(&c.append);
    c.append.query_squares = r->squares;
    gear_attend_desc_init(&c.attend);
    c.attend.lse = r->lse;
    c.attend.tail_k = &r->tail_k.view;
    c.attend.tail_v = &r->tail_v.view;
    return c;
}

static gear_status issue(rig_cache *r, verb which, const call *c)
{
    const gear_batch *batch = c->no_batch ? NULL : &c->batch;
    const gear_view *a = c->no_a ? NULL : &c->a, *b = c->no_b ? NULL : &c->b;
    const gear_sync *sync = c->no_sync ? NULL : &c->sync;
    gear_error *e = &r->rig.error;
    memset(e, 0, sizeof *e);
    switch (which) {
    case APPEND: return gear_append_weighted(c->cache, c->layer, batch, a, b, &c->append, sync, e);
    case ATTEND: return gear_attend(c->cache, c->layer, batch, a, &c->attend, b, sync, e);
    default: return gear_flush(c->cache, c->layer, batch, sync, e);
    }
}

static uint64_t expected_digest;

/* Refuses, enqueues nothing, changes nothing. */
static void try_call(rig_cache *r, verb which, const call *c, gear_status want, const char *text)
{
    static const char *const names[] = {"gear_append", "gear_attend", "gear_flush"};
    long objects = wrap_live_all();
    wrap_reset_calls();
    rig_refused(r, issue(r, which, c), want, text, names[which]);
    cr_assert_str_eq(r->rig.error.where, names[which]);
    cr_assert_eq(wrap_calls(WRAP_ENQUEUE), 0, "%s, '%s': commands were enqueued", names[which], text);
    cr_assert_eq(wrap_live_all(), objects, "%s, '%s': objects were left", names[which], text);
    cr_assert_eq(rig_cache_digest(r), expected_digest, "%s, '%s': the cache has changed", names[which], text);
}

#define BAD(which, spoil, status, text)                                                                                        \
  do {                                                                                                                         \
    call c = fresh(&r, which);                                                                                                 \
    spoil;                                                                                                                     \
    try_call(&r, which, &c, GEAR_ERROR_##status, text);                                                                        \
  } while (0)

static void common_arguments(rig_cache *given, verb which)
{
    rig_cache r = *given;
    const gear_sequence unknown[] = {r.names[0], 12345}, zero[] = {0, r.names[1]}, twice[] = {r.names[0], r.names[0]};
    test_cl other;
    cl_event foreign, none = NULL;
    cl_int code;
    test_cl_open(&other);
    foreign = clCreateUserEvent(other.context, &code);
    (void)clSetUserEventStatus(foreign, CL_COMPLETE); /* NVIDIA's driver hangs when a context with an open one closes */
    BAD(which, c.cache = NULL, ARGUMENT, "cache is NULL");
    BAD(which, c.layer = 1, ARGUMENT, "layer is 1");
    BAD(which, c.no_batch = 1, ARGUMENT, "batch is NULL");
    BAD(which, c.batch.sequences = NULL, ARGUMENT, "batch.sequences is NULL");
    BAD(which, c.batch.count = 0, ARGUMENT, "batch.count is 0");
    BAD(which, c.batch.count = 3, ARGUMENT, "batch.count is 3");
    BAD(which, c.batch.sequences = unknown, SEQUENCE, "batch.sequences[1] is 12345");
    BAD(which, c.batch.sequences = zero, SEQUENCE, "batch.sequences[0] is 0");
    BAD(which, c.batch.sequences = twice, ARGUMENT, "batch.sequences[1] is ");
    BAD(which, c.no_sync = 1, ARGUMENT, "sync is NULL");
    BAD(which, c.sync.queue = NULL, ARGUMENT, "sync.queue is NULL");
    BAD(which, c.sync.queue = other.queue, ARGUMENT, "sync.queue is of another OpenCL context");
    BAD(which, c.sync.num_wait = 1, ARGUMENT, "sync.wait is NULL");
    BAD(which, (c.sync.num_wait = 1, c.sync.wait = &none), ARGUMENT, "sync.wait[0] is NULL");
    BAD(which, (c.sync.num_wait = 1, c.sync.wait = &foreign), ARGUMENT, "sync.wait[0] is of another OpenCL context");
    (void)clReleaseEvent(foreign);
    test_cl_close(&other);
}

/* Memory that no verb takes. */
typedef struct strangers {
    test_cl other;
    cl_mem foreign, small, image; /* of another context, of 2 bytes, not a buffer (NULL where the device has no images) */
} strangers;

static void strangers_open(strangers *s, const rig_cache *r)
{
    const cl_image_format format = {CL_RGBA, CL_FLOAT};
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 256, .image_height = 256};
    cl_bool images = CL_FALSE;
    cl_int code;
    memset(s, 0, sizeof *s);
    test_cl_open(&s->other);
    s->foreign = clCreateBuffer(s->other.context, CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    s->small = clCreateBuffer(r->rig.cl.context, CL_MEM_READ_WRITE, 2, NULL, &code);
    cr_assert(s->foreign && s->small);
    (void)clGetDeviceInfo(r->rig.cl.device, CL_DEVICE_IMAGE_SUPPORT, sizeof images, &images, NULL);
    if (images) {
        s->image = clCreateImage(r->rig.cl.context, CL_MEM_READ_WRITE, &format, &desc, NULL, &code);
        cr_assert_eq(code, CL_SUCCESS);
    }
}

static void strangers_close(strangers *s)
{
    (void)clReleaseMemObject(s->foreign);
    (void)clReleaseMemObject(s->small);
    if (s->image) {
        (void)clReleaseMemObject(s->image);
    }
    test_cl_close(&s->other);
}

/* A buffer of floats in the descriptor of a verb, as large as it must be: its field `mem`, and the field `offset`. */
#define LENT(which, mem, offset, name)                                                                                         \
  do {                                                                                                                         \
    strangers s;                                                                                                               \
    strangers_open(&s, &r);                                                                                                    \
    BAD(which, c.mem = s.foreign, ARGUMENT, name " belongs to another OpenCL context");                                        \
    BAD(which, c.mem = s.small, BUFFER, name " has 2 bytes");                                                                  \
    BAD(which, c.offset = 2, BUFFER, name "_offset is 2; it must be a multiple of 4");                                         \
    BAD(which, c.offset = 4, BUFFER, "; offset 4 and ");                                                                       \
    BAD(which, c.offset = SIZE_MAX - 3, BUFFER, name " has ");                                                                 \
    if (s.image) {                                                                                                             \
      BAD(which, c.mem = s.image, ARGUMENT, name " is not a buffer");                                                          \
    }                                                                                                                          \
    strangers_close(&s);                                                                                                       \
  } while (0)

/* The two tensors of append and attend, called x and y in messages. */
static void tensors(rig_cache *given, verb which, const char *x, const char *y)
{
    rig_cache r = *given;
    char text[64];
    strangers s;
    static const uint32_t no_tokens[] = {1, 0};
    strangers_open(&s, &r);
#define BOTH(field, value, status, suffix)                                                                                     \
  do {                                                                                                                         \
    (void)snprintf(text, sizeof text, "%s%s", x, suffix);                                                                      \
    BAD(which, c.a.field = value, status, text);                                                                               \
    (void)snprintf(text, sizeof text, "%s%s", y, suffix);                                                                      \
    BAD(which, c.b.field = value, status, text);                                                                               \
  } while (0)
    BOTH(mem, NULL, ARGUMENT, ".mem is NULL");
    BOTH(mem, s.foreign, ARGUMENT, ".mem belongs to another OpenCL context");
    BOTH(mem, s.small, BUFFER, ".mem has 2 bytes");
    if (s.image) {
        BOTH(mem, s.image, ARGUMENT, ".mem is not a buffer");
    }
    BOTH(offset, 6, BUFFER, ".offset is 6");
    BOTH(offset, (size_t)1 << 40, BUFFER, ".mem has ");
    BOTH(offset, SIZE_MAX - 3, BUFFER, ".mem has ");
    BOTH(stride_head, RIG_DIM - 1, ARGUMENT, ".stride_head is 63");
    BOTH(stride_token, 0, ARGUMENT, ".stride_token is 0");
    BOTH(stride_token, SIZE_MAX / 2, BUFFER, ": the strides reach beyond any buffer");
    BOTH(stride_seq, SIZE_MAX / 8, BUFFER, "");
    BOTH(type, (gear_type)3, ARGUMENT, ".type is 3");
    BAD(which, c.no_a = 1, ARGUMENT, "is NULL");
    BAD(which, c.no_b = 1, ARGUMENT, "is NULL");
    BAD(which, c.batch.tokens_each = 0, ARGUMENT, "batch.tokens[0] is 0");
    BAD(which, c.batch.tokens = no_tokens, ARGUMENT, "batch.tokens[1] is 0");
    strangers_close(&s);
}

Test(verbs, append)
{
    static rig_cache r;
    rig_cache_open(&r);
    expected_digest = rig_cache_digest(&r);
    common_arguments(&r, APPEND);
    tensors(&r, APPEND, "k", "v");
    BAD(APPEND, c.append.struct_size = 1, STRUCT_SIZE, "desc.struct_size is 1");
    BAD(APPEND, c.append.reserved[5] = 1, ARGUMENT, "desc.reserved[5]");
    BAD(APPEND, (c.append.query_squares = NULL, c.append.reserved[0] = 1), ARGUMENT, "desc.reserved[0]");
    LENT(APPEND, append.query_squares, append.query_squares_offset, "desc.query_squares");
    rig_cache_close(&r);
}

Test(verbs, flush)
{
    static rig_cache r;
    rig_cache_open(&r);
    expected_digest = rig_cache_digest(&r);
    common_arguments(&r, FLUSH);
    rig_cache_close(&r);
}

Test(verbs, attend)
{
    static rig_cache r;
    rig_cache_open(&r);
    expected_digest = rig_cache_digest(&r);
    common_arguments(&r, ATTEND);
    tensors(&r, ATTEND, "q", "out");
    BAD(ATTEND,
        (c.batch.tokens_each = 3, c.attend.tail_k = c.attend.tail_v = NULL, c.attend.lse = NULL, c.a.stride_seq = 64,
         c.a.stride_head = 64, c.a.stride_token = 64, c.b.stride_seq = 64, c.b.stride_head = 64, c.b.stride_token = 64),
        ARGUMENT, "batch.tokens[0] is 3; max_query_tokens is 2");
    BAD(ATTEND, c.attend.struct_size = 1, STRUCT_SIZE, "desc.struct_size is 1");
    BAD(ATTEND, c.attend.scale = NAN, ARGUMENT, "desc.scale is ");
    BAD(ATTEND, c.attend.scale = INFINITY, ARGUMENT, "desc.scale is inf");
    BAD(ATTEND, c.attend.soft_cap = -1, ARGUMENT, "desc.soft_cap is -1");
    BAD(ATTEND, c.attend.soft_cap = NAN, ARGUMENT, "desc.soft_cap is ");
    BAD(ATTEND, c.attend.tail_k = NULL, ARGUMENT, "desc.tail_k is NULL");
    BAD(ATTEND, c.attend.tail_v = NULL, ARGUMENT, "desc.tail_v is NULL");
    BAD(ATTEND, c.attend.reserved[5] = 1, ARGUMENT, "desc.reserved[5]");
    LENT(ATTEND, attend.lse, attend.lse_offset, "desc.lse");
    gear_view tail = r.tail_k.view;
    tail.offset += 2;
    BAD(ATTEND, c.attend.tail_k = &tail, BUFFER, "desc.tail_k.offset is ");
    tail = r.tail_v.view;
    tail.stride_token = 3;
    BAD(ATTEND, c.attend.tail_v = &tail, ARGUMENT, "desc.tail_v.stride_token is 3");
    const uint32_t long_tail[] = {1, 100000};
    BAD(ATTEND, c.attend.tail_tokens = long_tail, BUFFER, "desc.tail_k.mem has ");
    rig_cache_close(&r);
}

Test(verbs, queries_of_an_empty_sequence)
{
    static rig_cache r;
    rig_cache_open(&r);
    E2E_OK(&r.rig, gear_sequence_clear(r.cache, r.names[1], &r.rig.error));
    expected_digest = rig_cache_digest(&r);
    BAD(ATTEND, c.attend.tail_k = c.attend.tail_v = NULL, ARGUMENT,
        "batch.tokens[1] is 2; the sequence and its tail have 0 tokens");
    E2E_OK(&r.rig, gear_sequence_remove(r.cache, r.names[1], &r.rig.error));
    for (int which = APPEND; which <= FLUSH; which++) {
        call c = fresh(&r, (verb)which);
        rig_refused(&r, issue(&r, (verb)which, &c), GEAR_ERROR_SEQUENCE, "batch.sequences[1] is ", "removed");
    }
    gear_sequence again = e2e_add(&r.rig, r.cache);
    cr_assert_neq(again, r.names[1], "a name was used again");
    rig_cache_close(&r);
}

Test(verbs, reconstruct)
{
    static rig_cache r;
    rig_cache_open(&r);
    expected_digest = rig_cache_digest(&r);
    const gear_view *k = &r.dense_k.view, *v = &r.dense_v.view;
    const gear_sync *sync = &r.rig.sync;
    gear_view bad = *k;
    gear_error *e = &r.rig.error;
    bad.offset = 2;
#define REFUSED(status, text, ...)                                                                                             \
  rig_refused(&r, gear_reconstruct(__VA_ARGS__, e), GEAR_ERROR_##status, text, "gear_reconstruct")
    REFUSED(ARGUMENT, "cache is NULL", NULL, 0, r.names[0], 0, RIG_TOKENS, k, v, sync);
    REFUSED(ARGUMENT, "layer is 9", r.cache, 9, r.names[0], 0, RIG_TOKENS, k, v, sync);
    REFUSED(SEQUENCE, "sequence 5", r.cache, 0, 5, 0, RIG_TOKENS, k, v, sync);
    REFUSED(ARGUMENT, "tokens 0 + 0", r.cache, 0, r.names[0], 0, 0, k, v, sync);
    REFUSED(ARGUMENT, "tokens 98 + 3", r.cache, 0, r.names[0], 98, RIG_TOKENS, k, v, sync);
    REFUSED(ARGUMENT, "tokens 100 + 1", r.cache, 0, r.names[0], 100, 1, k, v, sync);
    REFUSED(ARGUMENT, "tokens 18446744073709551615 + 2", r.cache, 0, r.names[0], UINT64_MAX, 2, k, v, sync);
    REFUSED(ARGUMENT, "k and v are both NULL", r.cache, 0, r.names[0], 0, RIG_TOKENS, NULL, NULL, sync);
    REFUSED(BUFFER, "k.offset is 2", r.cache, 0, r.names[0], 0, RIG_TOKENS, &bad, v, sync);
    REFUSED(BUFFER, "v.mem has ", r.cache, 0, r.names[0], 0, 90, NULL, v, sync);
    REFUSED(ARGUMENT, "sync is NULL", r.cache, 0, r.names[0], 0, RIG_TOKENS, k, v, NULL);
    cr_assert_eq(rig_cache_digest(&r), expected_digest);
    E2E_OK(&r.rig, gear_reconstruct(r.cache, 0, r.names[0], 97, RIG_TOKENS, k, NULL, sync, e));
    E2E_OK(&r.rig, gear_reconstruct(r.cache, 0, r.names[0], 62, RIG_TOKENS, NULL, v, sync, e));
    e2e_download(&r.rig, &r.dense_k, "k");
    e2e_download(&r.rig, &r.dense_v, "v");
    cr_assert(isfinite(e2e_get(&r.dense_v, 0, 1, 2, 63)) && isfinite(e2e_get(&r.dense_k, 0, 1, 2, 63)));
    rig_cache_close(&r);
}
