/* forward.c: the layers one after the other, see forward.h. */
#include "forward.h"

#include <math.h>
#include <stdlib.h>

enum { NORM_LANES = 64, TOP1_LANES = 256 };

/* Device buffers by what they hold; sizes at creation. */
typedef enum buffer {
    IDS,
    POSITIONS,
    WANTED,
    FIRST_ROWS, /* where each sequence begins */
    BEST,       /* top-1 */
    TURNS,      /* RoPE table */
    X,          /* [rows][width] */
    NORMED,     /* [rows][width] */
    Q,          /* [rows][heads][head_dim] */
    KEYS,       /* [rows][KV heads][head_dim] */
    VALUES,
    ATTENDED, /* as Q */
    GATE,     /* [rows][feed] */
    UP,
    SQUARES, /* [sequences][KV heads][head_dim] */
    LOGITS,  /* [logits][vocabulary] */
    BUFFERS
} buffer;

struct forward {
    const device *dev;
    kernels *k;
    const model *m;
    const weights *w;
    forward_limits limits;
    linear *products;
    cl_mem mem[BUFFERS];
    uint64_t bytes;
    uint32_t *words; /* host staging: [max(rows, sequences + 1)] */
    cl_kernel norm, rope, swiglu, top1, squares, embed;
    uint32_t num_wanted; /* of the last call */
};

/* What one call works on. */
typedef struct pass {
    const forward_batch *batch;
    uint32_t rows;
    const forward_target *targets; /* prompt; NULL: a step */
    uint32_t num_targets;
    const kv_cache *kv; /* step */
    const gear_sequence *sequences;
    bool squares; /* a target orders its channels */
} pass;

static bool get_kernels(forward *f, host_error *error)
{
    const kernel_options norm = {.lanes = kernels_lanes(f->k, NORM_LANES)}, top1 = {.lanes = kernels_lanes(f->k, TOP1_LANES)};
    const kernel_options plain = {0}, embed = {.weight_type = &f->w->embedding.type};
    return kernels_get(f->k, "rms_norm", &norm, &f->norm, error) && kernels_get(f->k, "top1", &top1, &f->top1, error) &&
           kernels_get(f->k, "rope", &plain, &f->rope, error) && kernels_get(f->k, "swiglu", &plain, &f->swiglu, error) &&
           kernels_get(f->k, "query_squares", &plain, &f->squares, error) &&
           kernels_get(f->k, "embed", &embed, &f->embed, error);
}

static bool create_buffers(forward *f, host_error *error)
{
    const model *m = f->m;
    const forward_limits *l = &f->limits;
    const size_t rows = l->rows, q = (size_t)m->heads * m->head_dim, kv = (size_t)m->kv_heads * m->head_dim;
    const size_t words[BUFFERS] = {[IDS] = rows,
                                   [POSITIONS] = rows,
                                   [WANTED] = l->logits,
                                   [FIRST_ROWS] = (size_t)l->sequences + 1,
                                   [BEST] = l->logits,
                                   [TURNS] = (size_t)l->positions * m->head_dim,
                                   [X] = rows * m->width,
                                   [NORMED] = (rows > l->logits ? rows : l->logits) * m->width,
                                   [Q] = rows * q,
                                   [KEYS] = rows * kv,
                                   [VALUES] = rows * kv,
                                   [ATTENDED] = rows * q,
                                   [GATE] = rows * m->feed,
                                   [UP] = rows * m->feed,
                                   [SQUARES] = l->sequences * kv,
                                   [LOGITS] = (size_t)l->logits * m->vocabulary};
    for (int i = 0; i < BUFFERS; ++i) {
        cl_int code;
        f->mem[i] = clCreateBuffer(f->dev->context, CL_MEM_READ_WRITE, 4 * words[i], NULL, &code);
        if (code != CL_SUCCESS)
            return fail(error, EXIT_DEVICE, "no room on the device for %zu bytes of activations (OpenCL code %d)", 4 * words[i],
                        (int)code);
        f->bytes += 4 * words[i];
    }
    return true;
}

static bool write_words(const forward *f, buffer to, const void *words, size_t count, host_error *error)
{
    return cl_ok(clEnqueueWriteBuffer(f->dev->queue, f->mem[to], CL_TRUE, 0, 4 * count, words, 0, NULL, NULL),
                 "clEnqueueWriteBuffer", error);
}

/* cos and sin of every position and pair, in double precision before they are rounded. */
static bool write_turns(forward *f, host_error *error)
{
    const model *m = f->m;
    const size_t pairs = m->head_dim / 2, count = f->limits.positions * pairs;
    const float *factors = m->rope_factors ? m->rope_factors->data : NULL;
    float *turns = malloc(count * 2 * sizeof *turns);
    if (!turns)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    for (size_t i = 0; i < pairs; ++i) {
        double step = pow((double)m->rope_base, -2.0 * (double)i / m->head_dim) / (double)m->rope_scale;
        step /= factors ? (double)factors[i] : 1.0;
        for (size_t position = 0; position < f->limits.positions; ++position) {
            turns[2 * (position * pairs + i)] = (float)cos((double)position * step);
            turns[2 * (position * pairs + i) + 1] = (float)sin((double)position * step);
        }
    }
    bool ok = write_words(f, TURNS, turns, 2 * count, error);
    free(turns);
    return ok;
}

bool forward_create(const device *dev, kernels *k, const model *m, const weights *w, const forward_limits *limits,
                    forward **out, host_error *error)
{
    if (limits->positions > m->context)
        return fail(error, EXIT_INPUT, "%u tokens are more than the model's context of %u", limits->positions, m->context);
    forward *f = calloc(1, sizeof *f);
    if (!f)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    *f = (forward){.dev = dev, .k = k, .m = m, .w = w, .limits = *limits};
    const size_t words = limits->rows > limits->sequences ? limits->rows : (size_t)limits->sequences + 1;
    f->words = malloc(words * sizeof *f->words);
    bool ok = f->words || fail(error, EXIT_DEVICE, "host memory exhausted");
    const uint32_t most = limits->rows > limits->logits ? limits->rows : limits->logits;
    ok = ok && get_kernels(f, error) && create_buffers(f, error) && write_turns(f, error) &&
         linear_create(dev, k, w, most, &f->products, error);
    if (ok)
        *out = f;
    else
        forward_destroy(f);
    return ok;
}

void forward_destroy(forward *f)
{
    if (!f)
        return;
    for (int i = 0; i < BUFFERS; ++i)
        if (f->mem[i])
            clReleaseMemObject(f->mem[i]);
    linear_destroy(f->products);
    free(f->words);
    free(f);
}

uint64_t forward_bytes(const forward *f)
{
    return f->bytes + linear_bytes(f->products);
}

static bool norm(forward *f, const matrix *w, bool listed, uint32_t rows, host_error *error)
{
    const size_t lanes = kernels_lanes(f->k, NORM_LANES);
    const kernel_range range = {1, {rows * lanes, 1, 1}, {lanes, 1, 1}};
    cl_uint by_list = listed;
    return KERNELS_RUN(f->k, f->norm, &range, error, KERNEL_ARG(f->mem[X]), KERNEL_ARG(w->mem), KERNEL_ARG(f->mem[WANTED]),
                       KERNEL_ARG(by_list), KERNEL_ARG(f->m->width), KERNEL_ARG(f->m->norm_eps), KERNEL_ARG(f->mem[NORMED]));
}

static bool rope(forward *f, buffer what, uint32_t heads, uint32_t rows, host_error *error)
{
    const size_t pairs = f->m->head_dim / 2;
    const kernel_range range = {3, {pairs, heads, rows}, {pairs, 1, 1}};
    return KERNELS_RUN(f->k, f->rope, &range, error, KERNEL_ARG(f->mem[what]), KERNEL_ARG(f->mem[TURNS]),
                       KERNEL_ARG(f->mem[POSITIONS]));
}

/* The range of a kernel that does 8 values a work-item. */
static kernel_range by_eighths(cl_ulong eighths)
{
    return (kernel_range){1, {(size_t)(eighths + 63) / 64 * 64, 1, 1}, {64, 1, 1}};
}

/* Of a packed tensor with `heads` heads, from `row` on. */
static gear_view view(const forward *f, buffer what, uint32_t heads, uint32_t row)
{
    const size_t token = (size_t)heads * f->m->head_dim;
    return (gear_view){
        .mem = f->mem[what], .offset = 4 * token * row, .stride_head = f->m->head_dim, .stride_token = token, .type = GEAR_F32};
}

/* The queries of one sequence, a few at a time, over the keys and values of its own prompt. */
static bool attend_prompt(forward *f, const pass *p, uint32_t layer, uint32_t index, uint32_t row, host_error *error)
{
    const forward_target *target = &p->targets[0];
    const uint32_t tokens = p->batch->tokens[index], most = target->kv->query_tokens;
    const gear_view keys = view(f, KEYS, f->m->kv_heads, row), values = view(f, VALUES, f->m->kv_heads, row);
    gear_error detail = {0};
    for (uint32_t first = 0; first < tokens; first += most) {
        const uint32_t count = tokens - first < most ? tokens - first : most, end = first + count;
        const gear_view q = view(f, Q, f->m->heads, row + first), out = view(f, ATTENDED, f->m->heads, row + first);
        const gear_batch batch = {.count = 1, .sequences = &target->sequences[index], .tokens_each = count};
        const gear_sync sync = {.queue = f->dev->queue};
        gear_attend_desc desc;
        gear_attend_desc_init(&desc);
        desc.tail_k = &keys;
        desc.tail_v = &values;
        desc.tail_tokens = &end;
        if (!gear_ok(gear_attend(target->kv->cache, layer, &batch, &q, &desc, &out, &sync, &detail), &detail, error))
            return false;
    }
    return true;
}

static bool query_squares(forward *f, const pass *p, host_error *error)
{
    const model *m = f->m;
    const kernel_range range = {3, {m->head_dim, m->kv_heads, p->batch->count}, {m->head_dim, 1, 1}};
    cl_uint group = m->heads / m->kv_heads;
    return KERNELS_RUN(f->k, f->squares, &range, error, KERNEL_ARG(f->mem[Q]), KERNEL_ARG(f->mem[FIRST_ROWS]),
                       KERNEL_ARG(group), KERNEL_ARG(f->mem[SQUARES]));
}

static bool append(forward *f, const pass *p, const kv_cache *kv, const gear_sequence *sequences, uint32_t layer,
                   host_error *error)
{
    const gear_view keys = view(f, KEYS, f->m->kv_heads, 0), values = view(f, VALUES, f->m->kv_heads, 0);
    const gear_batch batch = {.count = p->batch->count, .sequences = sequences, .tokens = p->batch->tokens};
    const gear_sync sync = {.queue = f->dev->queue};
    gear_error detail = {0};
    gear_append_desc desc;
    gear_append_desc_init(&desc);
    desc.query_squares = p->squares ? f->mem[SQUARES] : NULL;
    return gear_ok(gear_append_weighted(kv->cache, layer, &batch, &keys, &values, &desc, &sync, &detail), &detail, error);
}

static bool attention_of_prompt(forward *f, const pass *p, uint32_t layer, host_error *error)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < p->batch->count; row += p->batch->tokens[i++])
        if (!attend_prompt(f, p, layer, i, row, error))
            return false;
    if (p->squares && !query_squares(f, p, error))
        return false;
    for (uint32_t i = 0; i < p->num_targets; ++i)
        if (!append(f, p, p->targets[i].kv, p->targets[i].sequences, layer, error))
            return false;
    return true;
}

static bool attention_of_step(forward *f, const pass *p, uint32_t layer, host_error *error)
{
    const gear_view q = view(f, Q, f->m->heads, 0), out = view(f, ATTENDED, f->m->heads, 0);
    const gear_batch batch = {.count = p->batch->count, .sequences = p->sequences, .tokens = p->batch->tokens};
    const gear_sync sync = {.queue = f->dev->queue};
    gear_error detail = {0};
    return append(f, p, p->kv, p->sequences, layer, error) &&
           gear_ok(gear_attend(p->kv->cache, layer, &batch, &q, NULL, &out, &sync, &detail), &detail, error);
}

static bool product(forward *f, const matrix *w, buffer from, uint32_t rows, buffer to, bool add, host_error *error)
{
    return linear_apply(f->products, w, f->mem[from], rows, f->mem[to], add, error);
}

static bool swiglu(forward *f, uint32_t rows, host_error *error)
{
    cl_ulong count = (cl_ulong)rows * f->m->feed / 8;
    const kernel_range range = by_eighths(count);
    return KERNELS_RUN(f->k, f->swiglu, &range, error, KERNEL_ARG(f->mem[GATE]), KERNEL_ARG(f->mem[UP]), KERNEL_ARG(count));
}

static bool run_layer(forward *f, const pass *p, uint32_t layer, host_error *error)
{
    const matrix *w = f->w->layers[layer].roles;
    const uint32_t rows = p->rows;
    return norm(f, &w[MODEL_ATTENTION_NORM], false, rows, error) && product(f, &w[MODEL_Q], NORMED, rows, Q, false, error) &&
           product(f, &w[MODEL_K], NORMED, rows, KEYS, false, error) &&
           product(f, &w[MODEL_V], NORMED, rows, VALUES, false, error) && rope(f, Q, f->m->heads, rows, error) &&
           rope(f, KEYS, f->m->kv_heads, rows, error) &&
           (p->targets ? attention_of_prompt : attention_of_step)(f, p, layer, error) &&
           product(f, &w[MODEL_O], ATTENDED, rows, X, true, error) && norm(f, &w[MODEL_FEED_NORM], false, rows, error) &&
           product(f, &w[MODEL_GATE], NORMED, rows, GATE, false, error) &&
           product(f, &w[MODEL_UP], NORMED, rows, UP, false, error) && swiglu(f, rows, error) &&
           product(f, &w[MODEL_DOWN], GATE, rows, X, true, error);
}

/* Embeds the tokens: the first activations. */
static bool embed(forward *f, uint32_t rows, host_error *error)
{
    const size_t eighths = f->m->width / 8;
    const kernel_range range = {2, {eighths, rows, 1}, {4, 1, 1}};
    cl_ulong row_bytes = f->w->embedding.row_bytes;
    cl_uint units = f->m->width / 32;
    return KERNELS_RUN(f->k, f->embed, &range, error, KERNEL_ARG(f->w->embedding.mem), KERNEL_ARG(row_bytes),
                       KERNEL_ARG(f->mem[IDS]), KERNEL_ARG(units), KERNEL_ARG(f->mem[X]));
}

static bool check(const forward *f, const forward_batch *b, uint32_t *rows, host_error *error)
{
    uint64_t sum = 0, last = 0;
    for (uint32_t i = 0; i < b->count; ++i) {
        uint64_t end = (b->first ? b->first[i] : 0u) + (uint64_t)b->tokens[i];
        sum += b->tokens[i];
        last = end > last ? end : last;
    }
    if (sum > f->limits.rows || b->count > f->limits.sequences || b->num_wanted > f->limits.logits ||
        last > f->limits.positions)
        return fail(error, EXIT_DEVICE, "a batch of %llu tokens to position %llu is beyond what was asked for at the start",
                    (unsigned long long)sum, (unsigned long long)last);
    for (uint64_t i = 0; i < sum; ++i)
        if (b->ids[i] >= f->m->vocabulary)
            return fail(error, EXIT_INPUT, "token %u is not in the vocabulary of %u", b->ids[i], f->m->vocabulary);
    *rows = (uint32_t)sum;
    return true;
}

/* Positions of the rows, then where the sequences begin. */
static bool write_batch(forward *f, const forward_batch *b, uint32_t rows, host_error *error)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < b->count; ++i)
        for (uint32_t t = 0; t < b->tokens[i]; ++t)
            f->words[row++] = (b->first ? b->first[i] : 0) + t;
    if (!write_words(f, IDS, b->ids, rows, error) || !write_words(f, POSITIONS, f->words, rows, error))
        return false;
    f->words[0] = 0;
    for (uint32_t i = 0; i < b->count; ++i)
        f->words[i + 1] = f->words[i] + b->tokens[i];
    return write_words(f, FIRST_ROWS, f->words, (size_t)b->count + 1, error) &&
           (!b->num_wanted || write_words(f, WANTED, b->wanted, b->num_wanted, error));
}

static bool run(forward *f, pass *p, host_error *error)
{
    const forward_batch *b = p->batch;
    if (!check(f, b, &p->rows, error) || !write_batch(f, b, p->rows, error) || !embed(f, p->rows, error))
        return false;
    for (uint32_t layer = 0; layer < f->m->layers; ++layer)
        if (!run_layer(f, p, layer, error))
            return false;
    f->num_wanted = b->num_wanted;
    return !b->num_wanted || (norm(f, &f->w->output_norm, true, b->num_wanted, error) &&
                              product(f, &f->w->output, NORMED, b->num_wanted, LOGITS, false, error));
}

bool forward_prompt(forward *f, const forward_target *targets, uint32_t num_targets, const forward_batch *batch,
                    host_error *error)
{
    pass p = {.batch = batch, .targets = targets, .num_targets = num_targets};
    for (uint32_t i = 0; i < num_targets; ++i)
        p.squares = p.squares || targets[i].kv->ordered;
    return run(f, &p, error);
}

bool forward_step(forward *f, const kv_cache *kv, const gear_sequence *sequences, const forward_batch *batch, host_error *error)
{
    pass p = {.batch = batch, .kv = kv, .sequences = sequences};
    return run(f, &p, error);
}

bool forward_logits(forward *f, float *out, host_error *error)
{
    const size_t bytes = 4 * (size_t)f->num_wanted * f->m->vocabulary;
    return cl_ok(clEnqueueReadBuffer(f->dev->queue, f->mem[LOGITS], CL_TRUE, 0, bytes, out, 0, NULL, NULL),
                 "clEnqueueReadBuffer", error);
}

bool forward_top1(forward *f, uint32_t *out, host_error *error)
{
    const size_t lanes = kernels_lanes(f->k, TOP1_LANES);
    const kernel_range range = {1, {f->num_wanted * lanes, 1, 1}, {lanes, 1, 1}};
    return KERNELS_RUN(f->k, f->top1, &range, error, KERNEL_ARG(f->mem[LOGITS]), KERNEL_ARG(f->m->vocabulary),
                       KERNEL_ARG(f->mem[BEST])) &&
           cl_ok(clEnqueueReadBuffer(f->dev->queue, f->mem[BEST], CL_TRUE, 0, 4 * (size_t)f->num_wanted, out, 0, NULL, NULL),
                 "clEnqueueReadBuffer", error);
}
