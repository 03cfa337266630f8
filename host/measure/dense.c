/* dense.c: see dense.h. */
#include "dense.h"

bool dense_open(dense *d, world *w, host_error *error)
{
    *d = (dense){.w = w};
    d->mem = buffer_of(w->dev, sizeof(float) * w->shape->kv_heads * DENSE_PIECE * w->shape->head_dim, error);
    return d->mem != NULL;
}

void dense_close(dense *d)
{
    if (d->mem)
        clReleaseMemObject(d->mem);
    d->mem = NULL;
}

static bool piece(dense *d, uint32_t sequence, bool is_v, uint32_t first, uint32_t count, host_error *error)
{
    world *w = d->w;
    gear_error detail = {0};
    gear_view view = {
        .mem = d->mem, .stride_head = (size_t)count * w->shape->head_dim, .stride_token = w->shape->head_dim, .type = GEAR_F32};
    gear_sync sync = {.queue = w->dev->queue};
    return gear_ok(gear_reconstruct(w->cache, 0, w->sequences[sequence], first, count, is_v ? NULL : &view, is_v ? &view : NULL,
                                    &sync, &detail),
                   &detail, error);
}

static bool read(dense *d, size_t offset, size_t values, float *out, host_error *error)
{
    return cl_ok(
        clEnqueueReadBuffer(d->w->dev->queue, d->mem, CL_TRUE, offset * sizeof *out, values * sizeof *out, out, 0, NULL, NULL),
        "clEnqueueReadBuffer", error);
}

bool dense_head(dense *d, uint32_t sequence, bool is_v, uint32_t head, uint32_t first, uint32_t count, float *out,
                host_error *error)
{
    size_t dim = d->w->shape->head_dim;
    for (uint32_t at = 0; at < count; at += DENSE_PIECE) {
        uint32_t n = count - at < DENSE_PIECE ? count - at : DENSE_PIECE;
        if (!piece(d, sequence, is_v, first + at, n, error) || !read(d, head * n * dim, n * dim, out + at * dim, error))
            return false;
    }
    return true;
}

bool dense_all(dense *d, uint32_t sequence, bool is_v, uint32_t first, uint32_t count, float *out, host_error *error)
{
    return piece(d, sequence, is_v, first, count, error) &&
           read(d, 0, (size_t)d->w->shape->kv_heads * count * d->w->shape->head_dim, out, error);
}
