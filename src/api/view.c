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

/* Refuses rows that may share memory: the axes in order of their strides, each stride must span those before it. */
static gear_status check_overlap(const gear_cache *cache, const gear_view *view, const char *name, uint32_t heads,
                                 uint32_t num_seqs, const uint32_t *counts, uint32_t each, const char *where, gear_error *error)
{
    typedef struct axis {
        const char *name;
        uint64_t count;
        size_t stride;
    } axis;
    uint64_t sum = 0, longest = 0, span = cache->desc.head_dim;
    for (uint32_t i = 0; i < num_seqs; i++) {
        uint64_t count = counts ? counts[i] : each;
        sum += count;
        longest = count > longest ? count : longest;
    }
    /* packed sequences are one run of tokens */
    int packed = !view->stride_seq;
    axis axes[3] = {{"head", heads, view->stride_head},
                    {"token", packed ? sum : longest, view->stride_token},
                    {"seq", packed ? 1 : num_seqs, view->stride_seq}};
    for (int done = 0; done < 3; done++) {
        int least = done;
        for (int i = done + 1; i < 3; i++) {
            least = axes[i].stride < axes[least].stride ? i : least;
        }
        const axis a = axes[least];
        axes[least] = axes[done];
        if (a.count > 1 && a.stride < span) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, where,
                              "%s.stride_%s is %zu; below %llu the outputs of the smaller strides overlap", name, a.name,
                              a.stride, (unsigned long long)span);
        }
        span += a.count > 1 ? (a.count - 1) * a.stride : 0;
    }
    return GEAR_OK;
}

static gear_status check_view(const gear_cache *cache, const gear_view *view, const char *name, uint32_t heads,
                              uint32_t num_seqs, const uint32_t *counts, uint32_t each, int is_output, const char *where,
                              gear__tensor *tensor, gear_error *error)
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
    const gear__region region = {view->mem, view->offset, element, bytes, name, ".mem", ".offset", is_output};
    gear_status status = gear__region_check(cache, &region, where, error);
    if (!status) {
        *tensor = (gear__tensor){view->mem,         view->offset,       view->stride_seq,
                                 view->stride_head, view->stride_token, (cl_uint)view->type};
    }
    return status;
}

gear_status gear__view_check(const gear_cache *cache, const gear_view *view, const char *name, uint32_t heads,
                             uint32_t num_seqs, const uint32_t *counts, uint32_t each, const char *where, gear__tensor *tensor,
                             gear_error *error)
{
    return check_view(cache, view, name, heads, num_seqs, counts, each, 0, where, tensor, error);
}

gear_status gear__output_check(const gear_cache *cache, const gear_view *view, const char *name, uint32_t heads,
                               uint32_t num_seqs, const uint32_t *counts, uint32_t each, const char *where,
                               gear__tensor *tensor, gear_error *error)
{
    gear_status status = check_view(cache, view, name, heads, num_seqs, counts, each, 1, where, tensor, error);
    return status ? status : check_overlap(cache, view, name, heads, num_seqs, counts, each, where, error);
}
