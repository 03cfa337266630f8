/* attend.c: see attend.h. */
#include "attend.h"

#include <stdlib.h>

bool attend_call(void *user, cl_command_queue queue, cl_event *signal, host_error *error)
{
    attend_run *a = user;
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

static bool read_output(const attend_run *a, uint16_t *to, host_error *error)
{
    return cl_ok(
        clEnqueueReadBuffer(a->w->dev->queue, a->out, CL_TRUE, 0, output_values(a->w->shape) * sizeof *to, to, 0, NULL, NULL),
        "clEnqueueReadBuffer", error);
}

bool attend_prepare(attend_run *a, world *w, host_error *error)
{
    const bench_shape *s = w->shape;
    size_t bytes = output_values(s) * sizeof *a->first;
    *a = (attend_run){.w = w, .first = malloc(bytes)};
    if (!a->first)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    a->q = buffer_of(w->dev, bytes, error);
    a->out = a->q ? buffer_of(w->dev, bytes, error) : NULL;
    return a->out &&
           generate(w->data, w->dev->queue, a->q, DATA_Q, s->batch, s->kv_heads * s->group, 0, s->queries, s->head_dim, error);
}

bool attend_open(attend_run *a, world *w, reference_output *e, host_error *error)
{
    return attend_prepare(a, w, error) && world_fill(w, error) && attend_call(a, w->dev->queue, NULL, error) &&
           read_output(a, a->first, error) && (e->pairs || reference_make(w, e, error)) &&
           verify_attend(w, e, a->first, &a->check, error);
}

bool attend_time(attend_run *a, clocks *c, timing *out, host_error *error)
{
    uint16_t *again = malloc(output_values(a->w->shape) * sizeof *again);
    bool ok = again || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && clocks_time(c, attend_call, NULL, a, out, error) && read_output(a, again, error) &&
         verify_repeat(a->w, a->first, again, &a->check, error);
    free(again);
    return ok;
}

void attend_close(attend_run *a)
{
    if (a->q)
        clReleaseMemObject(a->q);
    if (a->out)
        clReleaseMemObject(a->out);
    free(a->first);
    *a = (attend_run){0};
}

uint64_t attend_tensor_bytes(const bench_shape *shape)
{
    return 2 * output_values(shape) * sizeof(uint16_t);
}
