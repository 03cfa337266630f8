/* decode_block.c: see decode_block.h. */
#include "decode_block.h"

/* Tokens after which a step completes no block, and the lists are known: three behind the compressed ones and the recent. */
static uint32_t step_length(const world *w)
{
    return w->shape->tokens + w->shape->recipe.recent + 3;
}

/* Tokens of a sequence whose next one completes a block. */
static uint32_t full_length(const world *w)
{
    return w->shape->tokens + w->shape->recipe.recent + w->shape->recipe.window;
}

/* Every sequence gets its compressed tokens and `length` - 1 in all at once, and one more by itself: together with it they
 * would be compressed, too, where the window is full. */
static bool bring_to(world *w, uint32_t length, host_error *error)
{
    return world_clear(w, error) && world_append_staged(w, 0, length - 1, w->dev->queue, NULL, error) &&
           world_append_staged(w, length - 1, 1, w->dev->queue, NULL, error);
}

bool decode_block_ready(void *user, host_error *error)
{
    world *w = user;
    return bring_to(w, full_length(w), error) && cl_ok(clFinish(w->dev->queue), "clFinish", error);
}

bool decode_block_append(void *user, cl_command_queue queue, cl_event *signal, host_error *error)
{
    world *w = user;
    return world_append_staged(w, full_length(w), 1, queue, signal, error);
}

bool decode_step_ready(void *user, host_error *error)
{
    attend_run *a = user;
    world *w = a->w;
    return bring_to(w, step_length(w) - 1, error) && attend_call(a, w->dev->queue, NULL, error) &&
           world_append_staged(w, step_length(w) - 1, 1, w->dev->queue, NULL, error) &&
           attend_call(a, w->dev->queue, NULL, error) && cl_ok(clFinish(w->dev->queue), "clFinish", error);
}

bool decode_step(void *user, cl_command_queue queue, cl_event *signal, host_error *error)
{
    attend_run *a = user;
    return world_append_staged(a->w, step_length(a->w), 1, queue, NULL, error) && attend_call(a, queue, signal, error);
}
