/* measure.c: runs a recipe on an input, see measure.h. */
#include "measure.h"

#include <math.h>
#include <stdlib.h>

#include "../common/timer.h"
#include "exact.h"

void measurer_free(measurer *m)
{
    gear_cache_destroy(m->cache);
    m->cache = NULL;
}

/* Makes m->cache fit recipe and input. */
static bool prepare(measurer *m, const recipe *r, const input *in, host_error *error)
{
    if (m->cache && recipe_same(&m->made, r) && m->tokens == in->tokens && m->kv_heads == in->kv_heads &&
        m->query_heads == in->query_heads && m->head_dim == in->head_dim && m->queries == in->queries)
        return true;
    measurer_free(m);
    gear_error detail = {0};
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    desc.num_layers = 1;
    desc.num_kv_heads = in->kv_heads;
    desc.num_query_heads = in->query_heads;
    desc.head_dim = in->head_dim;
    desc.capacity_sequences = 1;
    desc.max_query_tokens = in->queries;
    desc.capacity_tokens = in->tokens;
    desc.max_segment_tokens = recipe_segment_tokens(in->tokens);
    recipe_apply(r, &desc);
    if (!gear_ok(gear_cache_create(m->context, &desc, &m->cache, &detail), &detail, error))
        return false;
    m->made = *r;
    m->tokens = in->tokens;
    m->kv_heads = in->kv_heads;
    m->query_heads = in->query_heads;
    m->head_dim = in->head_dim;
    m->queries = in->queries;
    m->warm = false;
    return true;
}

static gear_type element(const npy_array *array)
{
    return array->type == NPY_F16 ? GEAR_F16 : GEAR_F32;
}

static size_t element_bytes(const npy_array *array)
{
    return array->type == NPY_F16 ? 2 : 4;
}

static gear_view dense_view(cl_mem mem, gear_type type, uint64_t tokens, uint32_t head_dim)
{
    return (gear_view){.mem = mem, .type = type, .stride_head = (size_t)tokens * head_dim, .stride_token = head_dim};
}

bool append_input(gear_cache *cache, uint32_t layer, gear_sequence sequence, const input *in, const append_how *how,
                  host_error *error)
{
    gear_error detail = {0};
    const uint64_t prompt = how->prompt && how->prompt < in->tokens ? how->prompt : in->tokens;
    gear_view k = dense_view(in->k_mem, element(&in->k), in->tokens, in->head_dim);
    gear_view v = dense_view(in->v_mem, element(&in->v), in->tokens, in->head_dim);
    gear_sync sync = {.queue = how->queue};
    gear_append_desc desc;
    gear_append_desc_init(&desc);
    desc.query_squares = how->weighted ? in->squares_mem : NULL;
    for (uint64_t first = 0, end = prompt; first < in->tokens; first = end, end += GEAR_BLOCK_TOKENS) {
        end = end < in->tokens ? end : in->tokens;
        gear_batch batch = {.count = 1, .sequences = &sequence, .tokens_each = (uint32_t)(end - first)};
        k.offset = (size_t)first * in->head_dim * element_bytes(&in->k);
        v.offset = (size_t)first * in->head_dim * element_bytes(&in->v);
        if (!gear_ok(gear_append_weighted(cache, layer, &batch, &k, &v, &desc, &sync, &detail), &detail, error))
            return false;
    }
    return true;
}

/* Adds a sequence and appends the whole input; *ms is the verb and the wait for it. */
static bool append(measurer *m, const input *in, gear_sequence *sequence, double *ms, host_error *error)
{
    gear_error detail = {0};
    const append_how how = {m->dev->queue, m->prompt, m->weighted && recipe_ordered(&m->made)};
    if (!gear_ok(gear_sequence_add(m->cache, sequence, &detail), &detail, error))
        return false;
    double start = timer_ms();
    bool ok = append_input(m->cache, 0, *sequence, in, &how, error) && cl_ok(clFinish(m->dev->queue), "clFinish", error);
    *ms = timer_ms() - start;
    return ok;
}

static bool drop(measurer *m, gear_sequence sequence, host_error *error)
{
    gear_error detail = {0};
    return gear_ok(gear_sequence_remove(m->cache, sequence, &detail), &detail, error);
}

static bool attend(measurer *m, const input *in, gear_sequence sequence, double *ms, host_error *error)
{
    gear_error detail = {0};
    gear_attend_desc desc;
    gear_attend_desc_init(&desc);
    desc.scale = in->scale;
    gear_view q = dense_view(in->q_mem, element(&in->q), in->queries, in->head_dim);
    gear_view out = dense_view(in->out_mem, GEAR_F32, in->queries, in->head_dim);
    gear_batch batch = {.count = 1, .sequences = &sequence, .tokens_each = in->queries};
    gear_sync sync = {.queue = m->dev->queue};
    double start = timer_ms();
    bool ok = gear_ok(gear_attend(m->cache, 0, &batch, &q, &desc, &out, &sync, &detail), &detail, error) &&
              cl_ok(clFinish(m->dev->queue), "clFinish", error);
    *ms = timer_ms() - start;
    return ok;
}

/* Sums of squares: of a tensor's error, of the error at its compressed tokens, of the exact tensor. */
typedef struct error_sums {
    double all, compressed, norm;
} error_sums;

static bool compare_side(measurer *m, const input *in, gear_sequence sequence, bool is_v, uint64_t compressed, float *host,
                         error_sums *sums, host_error *error)
{
    gear_error detail = {0};
    gear_view view = dense_view(in->dense_mem, GEAR_F32, in->tokens, in->head_dim);
    gear_sync sync = {.queue = m->dev->queue};
    if (!gear_ok(
            gear_reconstruct(m->cache, 0, sequence, 0, in->tokens, is_v ? NULL : &view, is_v ? &view : NULL, &sync, &detail),
            &detail, error) ||
        !cl_ok(
            clEnqueueReadBuffer(m->dev->queue, in->dense_mem, CL_TRUE, 0, input_values(in) * sizeof *host, host, 0, NULL, NULL),
            "clEnqueueReadBuffer", error))
        return false;
    const float *exact = is_v ? in->v_value : in->k_value;
    size_t head = (size_t)in->tokens * in->head_dim, part = (size_t)compressed * in->head_dim;
    *sums = (error_sums){0};
    for (size_t i = 0; i < input_values(in); ++i) {
        double x = (double)exact[i], d = (double)host[i] - x;
        sums->norm += x * x;
        sums->all += d * d;
        sums->compressed += i % head < part ? d * d : 0;
    }
    return true;
}

static bool compare_output(measurer *m, const input *in, float *host, sample *out, host_error *error)
{
    size_t values = input_query_values(in), head = (size_t)in->queries * in->head_dim;
    size_t first = m->halved ? (size_t)input_first_half(in) * in->head_dim : 0;
    if (!cl_ok(clEnqueueReadBuffer(m->dev->queue, in->out_mem, CL_TRUE, 0, values * sizeof *host, host, 0, NULL, NULL),
               "clEnqueueReadBuffer", error))
        return false;
    error_sums sums = {0}, scored = {0};
    for (size_t i = 0; i < values; ++i) {
        double d = (double)host[i] - in->exact[i], x = in->exact[i];
        sums.all += d * d;
        sums.norm += x * x;
        scored.all += i % head >= first ? d * d : 0;
        scored.norm += i % head >= first ? x * x : 0;
    }
    out->rel_attention = relative(scored.all, scored.norm);
    out->rel_attention_all = relative(sums.all, sums.norm);
    return true;
}

static bool read_health(measurer *m, gear_health *health, host_error *error)
{
    gear_error detail = {0};
    return gear_ok(gear_cache_health(m->cache, m->dev->queue, health, &detail), &detail, error);
}

/* What a run is for. */
typedef enum purpose { EVERYTHING, ATTENTION, RESIDUAL } purpose;

static bool run(measurer *m, const input *in, purpose what, sample *out, host_error *error)
{
    gear_error detail = {0};
    gear_health before, after;
    gear_sequence sequence = 0;
    uint64_t tokens = 0;
    bool warm_up = what == EVERYTHING && !m->warm, ok = false;
    error_sums k = {0}, v = {0};
    size_t most = input_values(in) > input_query_values(in) ? input_values(in) : input_query_values(in);
    float *host = malloc(most * sizeof *host);
    *out = (sample){.rel_attention = (double)NAN, .rel_attention_all = (double)NAN, .attend_ms = (double)NAN};
    if (!host) {
        fail(error, EXIT_DEVICE, "host memory exhausted");
        goto cleanup;
    }
    if (warm_up && (!append(m, in, &sequence, &out->append_ms, error) || !drop(m, sequence, error)))
        goto cleanup;
    if (!read_health(m, &before, error) || !append(m, in, &sequence, &out->append_ms, error) || !read_health(m, &after, error))
        goto cleanup;
    out->replaced.nan_values = after.nan_values - before.nan_values;
    out->replaced.inf_values = after.inf_values - before.inf_values;
    if (!gear_ok(gear_sequence_length(m->cache, sequence, 0, &tokens, &out->compressed, &detail), &detail, error) ||
        !gear_ok(gear_cache_bytes(m->cache, 0, &out->bytes, &detail), &detail, error))
        goto cleanup;
    if (what != RESIDUAL && in->queries) {
        if (warm_up && !attend(m, in, sequence, &out->attend_ms, error))
            goto cleanup;
        if (!attend(m, in, sequence, &out->attend_ms, error) || !compare_output(m, in, host, out, error))
            goto cleanup;
    }
    if (what != ATTENTION && (!compare_side(m, in, sequence, false, out->compressed, host, &k, error) ||
                              !compare_side(m, in, sequence, true, out->compressed, host, &v, error)))
        goto cleanup;
    if (!drop(m, sequence, error))
        goto cleanup;
    out->rel_k = relative(k.all, k.norm);
    out->rel_v = relative(v.all, v.norm);
    out->residual_k = k.compressed;
    out->residual_v = v.compressed;
    m->warm = m->warm || what == EVERYTHING;
    ok = true;
cleanup:
    free(host);
    return ok;
}

bool measure(measurer *m, const recipe *r, const input *in, sample *out, host_error *error)
{
    return prepare(m, r, in, error) && run(m, in, EVERYTHING, out, error);
}

bool measure_attention(measurer *m, const recipe *r, const input *in, sample *out, host_error *error)
{
    return prepare(m, r, in, error) && run(m, in, ATTENTION, out, error);
}

bool measure_residual(measurer *m, const recipe *r, const input *in, sample *out, host_error *error)
{
    return prepare(m, r, in, error) && run(m, in, RESIDUAL, out, error);
}
