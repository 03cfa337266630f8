/* view.c: checks that a caller's tensor is what it says and lies inside its buffer. */
#include "api/internal.h"

static int add_product(uint64_t *sum, uint64_t a, uint64_t b)
{
    return __builtin_mul_overflow(a, b, &a) || __builtin_add_overflow(*sum, a, sum);
}

/* Elements from the view's start to just behind its last value. Returns 0 when that overflows. */
static int view_elements(const gear_cache *cache, const gear_view *view, uint32_t heads, uint32_t num_seqs,
                         const uint32_t *counts, uint32_t each, uint64_t *elements)
{
    uint64_t before = 0, most = 0;
    for (uint32_t i = 0; i < num_seqs; i++) {
        uint64_t count = counts ? counts[i] : each, end = cache->desc.head_dim;
        if (!count) {
            continue;
        }
        int bad = view->stride_seq ? add_product(&end, i, view->stride_seq) : add_product(&end, before, view->stride_token);
        bad |= add_product(&end, count - 1, view->stride_token);
        bad |= add_product(&end, heads - 1, view->stride_head);
        if (bad) {
            return 0;
        }
        most = end > most ? end : most;
        before += count;
    }
    *elements = most;
    return 1;
}

gear_status gear__view_check(const gear_cache *cache, const gear_view *view, const char *name, uint32_t heads,
                             uint32_t num_seqs, const uint32_t *counts, uint32_t each, const char *where, gear__tensor *tensor,
                             gear_error *error)
{
    if (!view || !view->mem) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s%s is NULL", name, view ? ".mem" : "");
    }
    if (view->type != GEAR_F16 && view->type != GEAR_BF16 && view->type != GEAR_F32) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.type is %d; it must be F16, BF16 or F32", name,
                          (int)view->type);
    }
    size_t element = view->type == GEAR_F32 ? 4 : 2, dim = cache->desc.head_dim;
    if (view->stride_head < dim || view->stride_token < dim) {
        int head = view->stride_head < dim;
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.stride_%s is %zu; it must be at least head_dim, %zu", name,
                          head ? "head" : "token", head ? view->stride_head : view->stride_token, dim);
    }
    uint64_t elements, bytes;
    if (!view_elements(cache, view, heads, num_seqs, counts, each, &elements) ||
        __builtin_mul_overflow(elements, element, &bytes)) {
        return gear__fail(error, GEAR_ERROR_BUFFER, where, "%s: the strides reach beyond any buffer", name);
    }
    const gear__region region = {view->mem, view->offset, element, bytes, name, ".mem", ".offset"};
    gear_status status = gear__region_check(cache, &region, where, error);
    if (!status) {
        *tensor = (gear__tensor){view->mem,         view->offset,       view->stride_seq,
                                 view->stride_head, view->stride_token, (cl_uint)view->type};
    }
    return status;
}
