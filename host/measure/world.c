/* world.c: see world.h. */
#include "world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STAGE_BYTES = 512 << 20, PASSES = 16, LEAST_PASS = 1024 };

const char *const attend_kernel_names[NUM_ATTEND_KERNELS] = {"auto", "portable", "cpu", "nvidia"};

cl_mem buffer_of(const device *dev, size_t bytes, host_error *error)
{
    cl_int code = CL_SUCCESS;
    cl_mem mem = clCreateBuffer(dev->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    return cl_ok(code, "clCreateBuffer", error) ? mem : NULL;
}

static size_t token_bytes(const world *w)
{
    return (size_t)w->shape->kv_heads * w->shape->head_dim * sizeof(uint16_t);
}

static uint32_t longest(const world *w)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->shape->batch; ++i)
        most = w->lengths[i] > most ? w->lengths[i] : most;
    return most;
}

/* Tokens of one pass of a scattered fill: each pass takes the places that a share of the ballast leaves. */
static uint32_t pass_tokens(const world *w)
{
    uint32_t pass = (longest(w) / PASSES + GEAR_BLOCK_TOKENS - 1) / GEAR_BLOCK_TOKENS * GEAR_BLOCK_TOKENS;
    return pass > LEAST_PASS ? pass : LEAST_PASS;
}

/* Of one sequence of ballast. One token more than the window holds makes a prompt segment; as many as it holds, flushed, decode
 * segments. */
static uint32_t ballast_tokens(const world *w)
{
    const recipe *r = &w->shape->recipe;
    uint32_t segment = r->window > GEAR_BLOCK_TOKENS ? r->window : GEAR_BLOCK_TOKENS;
    return r->recent + segment + (w->shape->decode ? 0 : 1);
}

void world_describe(const bench_shape *s, const world_choice *choice, gear_cache_desc *desc)
{
    uint32_t most = 0;
    gear_cache_desc_init(desc);
    desc->num_layers = 1;
    desc->num_kv_heads = s->kv_heads;
    desc->num_query_heads = s->kv_heads * s->group;
    desc->head_dim = s->head_dim;
    desc->capacity_sequences = s->batch;
    desc->max_query_tokens = s->queries;
    for (uint32_t i = 0; i < s->batch; ++i) {
        uint32_t length = shape_length(s, i) + s->window_fill;
        desc->capacity_tokens += length;
        most = length > most ? length : most;
    }
    desc->attend_kernel = choice->kernel;
    desc->attend_tuning = choice->tuning;
    recipe_apply(&s->recipe, desc);
    desc->max_sequence_tokens = most;
    desc->max_segment_tokens = RECIPE_MOST_SEGMENT_TOKENS;
}

static void add_ballast(const world *w, gear_cache_desc *desc)
{
    desc->capacity_sequences += (uint32_t)w->num_ballast;
    desc->capacity_tokens += w->num_ballast * ballast_tokens(w);
    if (w->num_ballast && desc->max_sequence_tokens < ballast_tokens(w))
        desc->max_sequence_tokens = ballast_tokens(w);
}

bool world_open(world *w, const device *dev, gear_context *context, generator *data, const bench_shape *shape,
                const world_choice *choice, bool *refused, host_error *error)
{
    gear_error detail = {0};
    gear_cache_desc desc;
    *w = (world){.dev = dev, .context = context, .data = data, .shape = shape};
    *refused = false;
    if (shape->real && !real_data_find(&data->real, shape->layer, &w->layer, error))
        return false;
    w->sequences = calloc(shape->batch, sizeof *w->sequences);
    w->lengths = calloc(shape->batch, sizeof *w->lengths);
    if (!w->sequences || !w->lengths)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = 0; i < shape->batch; ++i) {
        w->lengths[i] = shape_length(shape, i) + shape->window_fill;
        if (shape->shuffled)
            w->num_ballast += shape_length(shape, i) / GEAR_BLOCK_TOKENS;
    }
    if (w->num_ballast && !(w->ballast = calloc(w->num_ballast, sizeof *w->ballast)))
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    world_describe(shape, choice, &desc);
    add_ballast(w, &desc);
    gear_cache_plan_init(&w->plan);
    gear_status status = gear_cache_query(context, &desc, &w->plan, &detail);
    status = status ? status : gear_cache_create(context, &desc, &w->cache, &detail);
    *refused = status == GEAR_ERROR_UNSUPPORTED;
    bool ok = gear_ok(status, &detail, error);
    for (uint32_t i = 0; ok && i < shape->batch; ++i)
        ok = gear_ok(gear_sequence_add(w->cache, &w->sequences[i], &detail), &detail, error);
    return ok;
}

void world_close(world *w)
{
    gear_cache_destroy(w->cache);
    if (w->k)
        clReleaseMemObject(w->k);
    if (w->v)
        clReleaseMemObject(w->v);
    free(w->sequences);
    free(w->lengths);
    free(w->ballast);
    *w = (world){0};
}

/* k and v of at least so many bytes each. */
static bool reserve(world *w, size_t bytes, host_error *error)
{
    if (bytes <= w->kv_bytes)
        return true;
    if (w->k)
        clReleaseMemObject(w->k);
    if (w->v)
        clReleaseMemObject(w->v);
    w->kv_bytes = 0;
    w->k = w->v = NULL;
    w->k = buffer_of(w->dev, bytes, error);
    w->v = w->k ? buffer_of(w->dev, bytes, error) : NULL;
    w->kv_bytes = w->v ? bytes : 0;
    return w->v != NULL;
}

static bool generate_kv(world *w, uint32_t sequences, uint32_t first, uint32_t tokens, host_error *error)
{
    const bench_shape *s = w->shape;
    cl_command_queue queue = w->dev->queue;
    const real_data *real = &w->data->real;
    if (!reserve(w, token_bytes(w) * tokens * sequences, error))
        return false;
    if (s->real)
        return real_data_fill(real, queue, w->k, false, w->layer, sequences, s->kv_heads, first, tokens, s->head_dim, error) &&
               real_data_fill(real, queue, w->v, true, w->layer, sequences, s->kv_heads, first, tokens, s->head_dim, error);
    return generate(w->data, queue, w->k, DATA_K, sequences, s->kv_heads, first, tokens, s->head_dim, error) &&
           generate(w->data, queue, w->v, DATA_V, sequences, s->kv_heads, first, tokens, s->head_dim, error);
}

float world_value(const world *w, bool is_v, uint32_t head, uint32_t token, uint32_t channel)
{
    return w->shape->real ? real_data_value(&w->data->real, is_v, w->layer, head, token, channel, w->shape->head_dim)
                          : data_value(is_v ? DATA_V : DATA_K, head, token, channel);
}

static gear_view kv_view(const world *w, cl_mem mem, uint32_t tokens)
{
    size_t head = (size_t)tokens * w->shape->head_dim;
    return (gear_view){.mem = mem,
                       .stride_seq = head * w->shape->kv_heads,
                       .stride_head = head,
                       .stride_token = w->shape->head_dim,
                       .type = GEAR_F16};
}

static bool append(world *w, const gear_sequence *sequences, uint32_t count, uint32_t first, uint32_t tokens, host_error *error)
{
    gear_error detail = {0};
    gear_view k, v;
    gear_batch batch = {.count = count, .sequences = sequences, .tokens_each = tokens};
    gear_sync sync = {.queue = w->dev->queue};
    if (!generate_kv(w, count, first, tokens, error))
        return false;
    k = kv_view(w, w->k, tokens);
    v = kv_view(w, w->v, tokens);
    return gear_ok(gear_append(w->cache, 0, &batch, &k, &v, &sync, &detail), &detail, error);
}

/* Appends up to position `end` of each sequence, `chunk` tokens at a time, as many sequences a call as the staging takes. */
static bool fill_span(world *w, uint32_t begin, uint32_t end, uint32_t chunk, host_error *error)
{
    uint32_t batch = w->shape->batch, fill = w->shape->window_fill;
    for (uint32_t at = begin; at < end; at += chunk) {
        for (uint32_t i = 0, run; i < batch; i += run) {
            uint32_t stop = w->lengths[i] - fill < end ? w->lengths[i] - fill : end;
            uint32_t n = stop > at ? (stop - at < chunk ? stop - at : chunk) : 0;
            run = 1;
            while (n && i + run < batch && w->lengths[i + run] == w->lengths[i] &&
                   (size_t)(run + 1) * n * token_bytes(w) <= STAGE_BYTES)
                ++run;
            if (n && !append(w, w->sequences + i, run, at, n, error))
                return false;
        }
        if (!cl_ok(clFlush(w->dev->queue), "clFlush", error))
            return false;
    }
    return true;
}

/* One block for each sequence of ballast, of the same class and so of the same size as those that will take their places. */
static bool lay_ballast(world *w, host_error *error)
{
    enum { AT_ONCE = 512 };
    gear_error detail = {0};
    gear_sync sync = {.queue = w->dev->queue};
    for (size_t i = 0; i < w->num_ballast; ++i)
        if (!gear_ok(gear_sequence_add(w->cache, &w->ballast[i], &detail), &detail, error))
            return false;
    for (size_t i = 0; i < w->num_ballast; i += AT_ONCE) {
        uint32_t n = (uint32_t)(w->num_ballast - i < AT_ONCE ? w->num_ballast - i : AT_ONCE);
        gear_batch batch = {.count = n, .sequences = w->ballast + i};
        if (!append(w, w->ballast + i, n, 0, ballast_tokens(w), error) ||
            !gear_ok(gear_flush(w->cache, 0, &batch, &sync, &detail), &detail, error))
            return false;
    }
    return true;
}

/* Takes away the ballast of one pass: a share of it, chosen by a hash. */
static bool lift_ballast(world *w, uint32_t pass, uint32_t passes, host_error *error)
{
    gear_error detail = {0};
    for (size_t i = 0; i < w->num_ballast; ++i) {
        uint32_t hash = (uint32_t)i * 2654435761u;
        if ((hash >> 16) % passes != pass || !w->ballast[i])
            continue;
        if (!gear_ok(gear_sequence_remove(w->cache, w->ballast[i], &detail), &detail, error))
            return false;
        w->ballast[i] = 0;
    }
    return true;
}

static bool fill_window(world *w, host_error *error)
{
    uint32_t fill = w->shape->window_fill;
    for (uint32_t i = 0, run; fill && i < w->shape->batch; i += run) {
        run = 1;
        while (i + run < w->shape->batch && w->lengths[i + run] == w->lengths[i])
            ++run;
        if (!append(w, w->sequences + i, run, w->lengths[i] - fill, fill, error))
            return false;
    }
    return true;
}

bool world_fill(world *w, host_error *error)
{
    uint32_t end = longest(w) - w->shape->window_fill, pass = w->num_ballast ? pass_tokens(w) : end;
    uint32_t passes = (end + pass - 1) / pass;
    size_t fit = STAGE_BYTES / token_bytes(w) / 4096 * 4096; /* segments end at multiples of 4096 */
    uint32_t chunk = w->shape->decode ? GEAR_BLOCK_TOKENS : fit < 4096 ? 4096 : fit < end ? (uint32_t)fit : end;
    if (w->num_ballast && !lay_ballast(w, error))
        return false;
    for (uint32_t p = 0; p < passes; ++p) {
        uint32_t stop = (p + 1) * pass < end ? (p + 1) * pass : end;
        if (!lift_ballast(w, p, passes, error) || !fill_span(w, p * pass, stop, chunk, error))
            return false;
    }
    return fill_window(w, error) && cl_ok(clFinish(w->dev->queue), "clFinish", error) && world_count(w, error);
}

bool world_stage_all(world *w, host_error *error)
{
    return generate_kv(w, w->shape->batch, 0, longest(w), error) && cl_ok(clFinish(w->dev->queue), "clFinish", error);
}

bool world_clear(world *w, host_error *error)
{
    gear_error detail = {0};
    for (uint32_t i = 0; i < w->shape->batch; ++i)
        if (!gear_ok(gear_sequence_clear(w->cache, w->sequences[i], &detail), &detail, error))
            return false;
    return true;
}

bool world_append_staged(world *w, uint32_t first, uint32_t tokens, cl_command_queue queue, cl_event *signal, host_error *error)
{
    gear_error detail = {0};
    gear_view k = kv_view(w, w->k, longest(w)), v = kv_view(w, w->v, longest(w));
    gear_batch batch = {.count = w->shape->batch, .sequences = w->sequences, .tokens_each = tokens};
    gear_sync sync = {.queue = queue, .signal = signal};
    k.offset = v.offset = (size_t)first * w->shape->head_dim * sizeof(uint16_t);
    return gear_ok(gear_append(w->cache, 0, &batch, &k, &v, &sync, &detail), &detail, error);
}

bool world_append_all(world *w, cl_command_queue queue, cl_event *signal, host_error *error)
{
    gear_error detail = {0};
    gear_view k = kv_view(w, w->k, longest(w)), v = kv_view(w, w->v, longest(w));
    gear_batch batch = {.count = w->shape->batch, .sequences = w->sequences, .tokens = w->lengths};
    gear_sync sync = {.queue = queue, .signal = signal};
    return gear_ok(gear_append(w->cache, 0, &batch, &k, &v, &sync, &detail), &detail, error);
}

bool world_count(world *w, host_error *error)
{
    gear_error detail = {0};
    w->tokens = w->compressed = 0;
    for (uint32_t i = 0; i < w->shape->batch; ++i) {
        uint64_t tokens = 0, compressed = 0;
        if (!gear_ok(gear_sequence_length(w->cache, w->sequences[i], 0, &tokens, &compressed, &detail), &detail, error))
            return false;
        w->tokens += tokens;
        w->compressed += compressed;
    }
    if (!gear_ok(gear_cache_bytes(w->cache, 0, &w->bytes, &detail), &detail, error))
        return false;
    w->bytes.window = (w->tokens - w->compressed) * token_bytes(w) * 2;
    return true;
}

double world_bits(const world *w)
{
    const gear_bytes *b = &w->bytes;
    double bytes = (double)(b->codes + b->scales + b->lowrank + b->outliers + b->exact + b->tables);
    return w->compressed ? 8 * bytes / (2.0 * (double)w->compressed * w->shape->kv_heads * w->shape->head_dim) : (double)NAN;
}
