/* run.c: see run.h. */
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tensors of an attend call, halves [sequence][query head][query][head_dim]. */
typedef struct attend_call {
    world *w;
    cl_mem q, out;
} attend_call;

static bool call_attend(void *user, cl_command_queue queue, cl_event *signal, host_error *error)
{
    attend_call *a = user;
    const bench_shape *s = a->w->shape;
    gear_error detail = {0};
    size_t head = (size_t)s->queries * s->head_dim;
    gear_view q = {.mem = a->q,
                   .stride_seq = head * s->kv_heads * s->group,
                   .stride_head = head,
                   .stride_token = s->head_dim,
                   .type = GEAR_F16};
    gear_view out = q;
    gear_batch batch = {.count = s->batch, .sequences = a->w->sequences, .tokens_each = s->queries};
    gear_sync sync = {.queue = queue, .signal = signal};
    out.mem = a->out;
    return gear_ok(gear_attend(a->w->cache, 0, &batch, &q, NULL, &out, &sync, &detail), &detail, error);
}

static bool read_output(const attend_call *a, uint16_t *to, host_error *error)
{
    return cl_ok(
        clEnqueueReadBuffer(a->w->dev->queue, a->out, CL_TRUE, 0, output_values(a->w->shape) * sizeof *to, to, 0, NULL, NULL),
        "clEnqueueReadBuffer", error);
}

static bool measure_attend(bench *b, world *w, result *r, host_error *error)
{
    const bench_shape *s = w->shape;
    size_t values = output_values(s);
    uint16_t *first = malloc(values * sizeof *first), *again = malloc(values * sizeof *again);
    attend_call a = {.w = w};
    bool ok = (first && again) || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && world_fill(w, error);
    a.q = ok ? buffer_of(b->dev, values * sizeof *first, error) : NULL;
    a.out = a.q ? buffer_of(b->dev, values * sizeof *first, error) : NULL;
    ok = a.out &&
         generate(&b->data, b->dev->queue, a.q, DATA_Q, s->batch, s->kv_heads * s->group, 0, s->queries, s->head_dim, error) &&
         call_attend(&a, b->dev->queue, NULL, error) && read_output(&a, first, error) &&
         verify_attend(w, first, &r->check, error) && clocks_time(&b->clocks, call_attend, NULL, &a, &r->time, error) &&
         read_output(&a, again, error) && verify_repeat(w, first, again, &r->check, error);
    const gear_bytes *n = &w->bytes;
    r->moved = n->codes + n->scales + n->lowrank + n->outliers + n->exact + n->tables + n->window + 2 * values * sizeof *first;
    r->new_tokens = (double)s->batch * s->queries;
    r->peak = b->peaks.read;
    if (a.q)
        clReleaseMemObject(a.q);
    if (a.out)
        clReleaseMemObject(a.out);
    free(first);
    free(again);
    return ok;
}

static bool call_append(void *user, cl_command_queue queue, cl_event *signal, host_error *error)
{
    return world_append_all(user, queue, signal, error);
}

static bool ready_append(void *user, host_error *error)
{
    return world_clear(user, error);
}

static bool measure_append(bench *b, world *w, result *r, host_error *error)
{
    verdict again;
    bool ok = world_stage_all(w, error) && world_append_all(w, b->dev->queue, NULL, error) &&
              cl_ok(clFinish(b->dev->queue), "clFinish", error) && verify_append(w, &r->check, error) &&
              clocks_time(&b->clocks, call_append, ready_append, w, &r->time, error) && verify_append(w, &again, error) &&
              world_count(w, error);
    r->moved = w->tokens * w->shape->kv_heads * w->shape->head_dim * 2 * sizeof(uint16_t);
    r->new_tokens = (double)w->tokens;
    r->peak = b->peaks.copy;
    return ok;
}

void run_shape(bench *b, const bench_shape *shape, unsigned verb, result *r)
{
    host_error error = {0};
    world w;
    bool refused = false;
    *r = (result){.shape = *shape, .verb = verb, .of_16bit = (double)NAN, .openmp_ms = (double)NAN};
    bool ok = world_open(&w, b->dev, b->context, &b->data, &r->shape, b->kernel, &refused, &error);
    memcpy(r->variant, w.plan.variant, sizeof r->variant);
    memcpy(r->variant_reason, w.plan.variant_reason, sizeof r->variant_reason);
    ok = ok && (verb == VERB_ATTEND ? measure_attend(b, &w, r, &error) : measure_append(b, &w, r, &error));
    r->bytes = w.bytes;
    r->tokens = w.tokens;
    r->compressed = w.compressed;
    r->bits = ok ? world_bits(&w) : (double)NAN;
    world_close(&w);
    clFinish(b->dev->queue);
    if (!ok) {
        memcpy(r->problem, error.text, sizeof r->problem);
        r->wrong = !refused;
    }
}
