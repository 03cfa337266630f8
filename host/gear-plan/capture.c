/* capture.c: see capture.h. */
#include "capture.h"

#include <stdlib.h>

#include "query_squares.h"

enum { MAX_QUERIES = 64 };

bool capture_files(const char *const *k, const char *const *v, const char *const *q, uint32_t layers, float scale,
                   const device *dev, capture *out, host_error *error)
{
    *out = (capture){.inputs = calloc(layers, sizeof *out->inputs), .windows = 1, .layers = layers};
    if (!out->inputs)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = 0; i < layers; ++i) {
        const input *first = &out->inputs[0], *in = &out->inputs[i];
        if (!input_load(&out->inputs[i], k[i], v[i], q[i], scale, dev, error))
            return false;
        if (in->tokens != first->tokens || in->kv_heads != first->kv_heads || in->head_dim != first->head_dim ||
            in->query_heads != first->query_heads || in->queries != first->queries)
            return fail(error, EXIT_INPUT, "%s: shapes differ from those of the first layer", k[i]);
    }
    return true;
}

/* What the watcher of a forward pass fills. */
typedef struct watch {
    const engine *e;
    input *inputs;   /* [layers] of one window */
    uint32_t prompt; /* tokens */
    uint32_t queries;
    float *host; /* [rows][query heads][head_dim] */
} watch;

/* [rows][heads][dim] of the device's, rows `first` on, as [heads][rows][dim]; NULL on failure. */
static float *read_heads(const watch *w, cl_mem mem, uint32_t rows, uint32_t first, uint32_t heads, host_error *error)
{
    const size_t dim = w->e->m.head_dim, count = rows - first;
    float *out = malloc(heads * count * dim * sizeof *out);
    if (!out)
        fail(error, EXIT_DEVICE, "host memory exhausted");
    if (!out ||
        !cl_ok(clEnqueueReadBuffer(w->e->dev.queue, mem, CL_TRUE, 0, rows * heads * dim * sizeof *out, w->host, 0, NULL, NULL),
               "clEnqueueReadBuffer", error)) {
        free(out);
        return NULL;
    }
    for (size_t h = 0; h < heads; ++h)
        for (size_t t = 0; t < count; ++t)
            for (size_t c = 0; c < dim; ++c)
                out[(h * count + t) * dim + c] = w->host[((first + t) * heads + h) * dim + c];
    return out;
}

/* Mean squares of the prompt's queries, which lie in w->host; NULL on failure. */
static float *mean_squares(const watch *w, host_error *error)
{
    const model *m = &w->e->m;
    const query_rows prompt = {.q = w->host,
                               .stride_head = m->head_dim,
                               .stride_token = (size_t)m->heads * m->head_dim,
                               .tokens = w->prompt,
                               .heads = m->heads,
                               .kv_heads = m->kv_heads,
                               .head_dim = m->head_dim};
    float *out = malloc((size_t)m->kv_heads * m->head_dim * sizeof *out);
    if (out)
        query_squares(&prompt, out);
    else
        fail(error, EXIT_DEVICE, "host memory exhausted");
    return out;
}

static bool see_layer(void *user, uint32_t layer, uint32_t rows, cl_mem q, cl_mem k, cl_mem v, host_error *error)
{
    const watch *w = user;
    const model *m = &w->e->m;
    input *in = &w->inputs[layer];
    *in = (input){
        .kv_heads = m->kv_heads, .query_heads = m->heads, .head_dim = m->head_dim, .queries = w->queries, .tokens = rows};
    in->q_value = read_heads(w, q, rows, rows - w->queries, m->heads, error);
    float *squares = in->q_value ? mean_squares(w, error) : NULL;
    in->k_value = squares ? read_heads(w, k, rows, 0, m->kv_heads, error) : NULL;
    in->v_value = in->k_value ? read_heads(w, v, rows, 0, m->kv_heads, error) : NULL;
    const bool ok = in->v_value && input_adopt(in, squares, &w->e->dev, error);
    free(squares);
    return ok;
}

static bool capture_window(engine *e, forward *f, kv_cache *kv, const teacher_text *text, watch *w, host_error *error)
{
    const uint32_t rows = text->prompt + text->fed;
    gear_sequence sequence;
    w->prompt = text->prompt;
    w->queries = text->fed < MAX_QUERIES ? text->fed : MAX_QUERIES;
    if (!kv_cache_add(kv, &sequence, error))
        return false;
    const forward_target target = {kv, &sequence};
    const forward_batch batch = {.count = 1, .tokens = &rows, .ids = text->ids};
    forward_watch(f, see_layer, w);
    const bool ok = forward_prompt(f, &target, 1, &batch, error);
    return kv_cache_remove(kv, sequence, error) && ok && cl_ok(clFinish(e->dev.queue), "clFinish", error);
}

bool capture_model(engine *e, const windows *w, capture *out, host_error *error)
{
    const model *m = &e->m;
    const uint32_t rows = w->windows[0].prompt + w->windows[0].fed;
    *out = (capture){.inputs = calloc((size_t)w->count * m->layers, sizeof *out->inputs),
                     .windows = w->count,
                     .layers = m->layers,
                     .prompt = w->windows[0].prompt};
    watch seen = {.e = e, .host = malloc((size_t)rows * m->heads * m->head_dim * sizeof *seen.host)};
    const forward_limits limits = {rows, 1, 1, rows};
    const kv_size size = {1, rows, TEACHER_CHUNK};
    kv_cache kv = {0};
    forward *f = NULL;
    bool ok = (out->inputs && seen.host) || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && kv_cache_create(e->context, m, &e->specs.items[0], &size, &kv, error) &&
         forward_create(&e->dev, e->k, m, &e->w, &limits, &f, error);
    progress bar = progress_start(w->count);
    for (uint32_t i = 0; ok && i < w->count; ++i) {
        seen.inputs = out->inputs + (size_t)i * m->layers;
        progress_add(&bar, 0, "reading");
        ok = capture_window(e, f, &kv, &w->windows[i], &seen, error);
        progress_add(&bar, 1, "reading");
    }
    progress_end(&bar);
    forward_destroy(f);
    kv_cache_free(&kv);
    free(seen.host);
    return ok;
}

bool capture_exact(capture *c, host_error *error)
{
    for (size_t i = 0; i < (size_t)c->windows * c->layers; ++i)
        if (!input_exact(&c->inputs[i], error))
            return false;
    return true;
}

void capture_free(capture *c)
{
    for (size_t i = 0; c->inputs && i < (size_t)c->windows * c->layers; ++i)
        input_free(&c->inputs[i]);
    free(c->inputs);
    *c = (capture){0};
}
