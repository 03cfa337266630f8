/* run.c: see run.h. */
#include "run.h"

#include <math.h>
#include <string.h>

#include "../measure/attend.h"
#include "../measure/decode_block.h"

static bool measure_attend(bench *b, world *w, result *r, host_error *error)
{
    attend_run a = {0};
    reference_output e = {0};
    bool ok = attend_open(&a, w, &e, error) && attend_time(&a, &b->clocks, &r->time, error);
    const gear_bytes *n = &w->bytes;
    r->check = a.check;
    r->moved =
        n->codes + n->scales + n->lowrank + n->outliers + n->exact + n->tables + n->window + attend_tensor_bytes(w->shape);
    r->new_tokens = (double)w->shape->batch * w->shape->queries;
    r->peak = b->peaks.read;
    attend_close(&a);
    reference_free(&e);
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

/* A step without a block, its append and attention. */
static bool measure_step(bench *b, world *w, result *r, host_error *error)
{
    attend_run a = {0};
    bool ok = attend_prepare(&a, w, error) && clocks_time(&b->clocks, decode_step, decode_step_ready, &a, &r->step, error);
    attend_close(&a);
    return ok;
}

static bool measure_decode_block(bench *b, world *w, result *r, host_error *error)
{
    verdict again;
    b->clocks.one_a_round = true;
    bool ok = world_stage_all(w, error) && decode_block_ready(w, error) && decode_block_append(w, b->dev->queue, NULL, error) &&
              cl_ok(clFinish(b->dev->queue), "clFinish", error) && verify_append(w, &r->check, error) &&
              clocks_time(&b->clocks, decode_block_append, decode_block_ready, w, &r->time, error) &&
              verify_append(w, &again, error) && world_count(w, error) && measure_step(b, w, r, error);
    b->clocks.one_a_round = false;
    r->new_tokens = (double)w->shape->batch;
    r->moved =
        (uint64_t)w->shape->batch * w->shape->recipe.window * w->shape->kv_heads * w->shape->head_dim * 2 * sizeof(uint16_t);
    r->peak = b->peaks.copy;
    return ok;
}

static bool measure(bench *b, world *w, result *r, host_error *error)
{
    if (r->verb == VERB_ATTEND)
        return measure_attend(b, w, r, error);
    return w->shape->decode_block ? measure_decode_block(b, w, r, error) : measure_append(b, w, r, error);
}

void run_shape(bench *b, const bench_shape *shape, unsigned verb, result *r)
{
    host_error error = {0};
    world w;
    bool refused = false;
    const world_choice choice = {.kernel = b->kernel};
    *r = (result){.shape = *shape, .verb = verb, .of_16bit = (double)NAN, .openmp = {(double)NAN, (double)NAN}};
    bool ok = world_open(&w, b->dev, b->context, &b->data, &r->shape, &choice, &refused, &error);
    r->layer = shape->real ? b->data.real.numbers[w.layer] : 0;
    memcpy(r->variant, w.plan.variant, sizeof r->variant);
    memcpy(r->variant_reason, w.plan.variant_reason, sizeof r->variant_reason);
    r->tile_rows = w.plan.tuning.rows;
    ok = ok && measure(b, &w, r, &error);
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
