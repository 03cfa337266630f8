/* dense.c: see dense.h. */
#include "dense.h"

enum { SIDE_BYTES = 256 << 20 };

bool dense_open(dense *d, world *w, host_error *error)
{
    size_t token = sizeof(float) * w->shape->kv_heads * w->shape->head_dim, fit = SIDE_BYTES / token;
    uint32_t longest = DENSE_PIECE;
    for (uint32_t i = 0; i < w->shape->batch; ++i)
        longest = w->lengths[i] > longest ? w->lengths[i] : longest;
    *d = (dense){.w = w, .piece = fit < DENSE_PIECE ? DENSE_PIECE : fit < longest ? (uint32_t)fit : longest};
    d->side[0].mem = buffer_of(w->dev, token * d->piece, error);
    d->side[1].mem = d->side[0].mem ? buffer_of(w->dev, token * d->piece, error) : NULL;
    return d->side[1].mem != NULL;
}

void dense_close(dense *d)
{
    for (int i = 0; i < 2; ++i)
        if (d->side[i].mem)
            clReleaseMemObject(d->side[i].mem);
    *d = (dense){0};
}

static bool fetch(dense *d, uint32_t sequence, bool is_v, uint32_t first, uint32_t count, host_error *error)
{
    world *w = d->w;
    dense_side *side = &d->side[is_v];
    if (side->count == count && side->sequence == sequence && side->first == first)
        return true;
    gear_error detail = {0};
    gear_view view = {.mem = side->mem,
                      .stride_head = (size_t)count * w->shape->head_dim,
                      .stride_token = w->shape->head_dim,
                      .type = GEAR_F32};
    gear_sync sync = {.queue = w->dev->queue};
    *side = (dense_side){side->mem, sequence, first, count};
    return gear_ok(gear_reconstruct(w->cache, 0, w->sequences[sequence], first, count, is_v ? NULL : &view, is_v ? &view : NULL,
                                    &sync, &detail),
                   &detail, error);
}

static bool read(dense *d, bool is_v, size_t offset, size_t values, float *out, host_error *error)
{
    return cl_ok(clEnqueueReadBuffer(d->w->dev->queue, d->side[is_v].mem, CL_TRUE, offset * sizeof *out, values * sizeof *out,
                                     out, 0, NULL, NULL),
                 "clEnqueueReadBuffer", error);
}

bool dense_head(dense *d, uint32_t sequence, bool is_v, uint32_t head, uint32_t first, uint32_t count, float *out,
                host_error *error)
{
    size_t dim = d->w->shape->head_dim;
    for (uint32_t at = 0; at < count; at += d->piece) {
        uint32_t n = count - at < d->piece ? count - at : d->piece;
        if (!fetch(d, sequence, is_v, first + at, n, error) || !read(d, is_v, head * n * dim, n * dim, out + at * dim, error))
            return false;
    }
    return true;
}

bool dense_all(dense *d, uint32_t sequence, bool is_v, uint32_t first, uint32_t count, float *out, host_error *error)
{
    return fetch(d, sequence, is_v, first, count, error) &&
           read(d, is_v, 0, (size_t)d->w->shape->kv_heads * count * d->w->shape->head_dim, out, error);
}
