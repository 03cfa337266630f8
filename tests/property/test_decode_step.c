/* test_decode_step.c: a decode step in one launch against the same step stage by stage, on the work-groups of GPUs whatever the
 * device: the same bytes in pool, page table and window; and how many launches a step takes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "e2e_drive.h"
#include "wrap_cl.h"

enum { DIM = 64, MOST_SEQS = 2 * GEAR__DECODE_SEQS + 1, STEPS = 70, MOST_NEW = 3 };

/* A cache that makes decode steps in one launch and one that does not, of the same sequences. */
typedef struct twins {
    e2e_rig rig;
    gear_codec_pair codec;
    gear_cache_desc desc;
    gear_cache *cache[2];
    gear_sequence names[2][MOST_SEQS];
    uint32_t count, at, room; /* tokens of each sequence in k and v: used up, all */
    cl_mem k, v;
} twins;

static void zero(twins *t, cl_mem mem)
{
    const cl_uint nothing = 0;
    size_t bytes = 0;
    cr_assert_eq(clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof bytes, &bytes, NULL), CL_SUCCESS);
    cr_assert_eq(clEnqueueFillBuffer(t->rig.cl.queue, mem, &nothing, sizeof nothing, 0, bytes, 0, NULL, NULL), CL_SUCCESS);
}

static cl_mem make_input(twins *t, e2e_maker make)
{
    const uint32_t seed = 3, heads = t->desc.num_kv_heads, dim = t->desc.head_dim;
    const size_t values = (size_t)t->count * heads * t->room * dim;
    float *x = malloc(values * sizeof *x);
    cl_int code;
    cr_assert_not_null(x);
    for (size_t i = 0; i < values; i++) {
        const size_t row = i / dim, of_head = row / t->room;
        x[i] = make(&seed, (uint32_t)(of_head / heads), (uint32_t)(of_head % heads), (uint32_t)(row % t->room),
                    (uint32_t)(i % dim));
    }
    cl_mem mem = clCreateBuffer(t->rig.cl.context, CL_MEM_COPY_HOST_PTR, values * sizeof *x, x, &code);
    cr_assert_eq(code, CL_SUCCESS);
    free(x);
    return mem;
}

/* Tokens a sequence starts with: more than the window holds, so that blocks complete at different steps. */
static uint32_t start_of(const twins *t, uint32_t i)
{
    return t->desc.recent + 65 + 17 * i % 64;
}

static void append(twins *t, uint32_t twin, const uint32_t *tokens)
{
    const size_t dim = t->desc.head_dim, head = t->room * dim;
    gear_view k = {t->k, t->at * dim * sizeof(float), t->desc.num_kv_heads * head, head, dim, GEAR_F32}, v = k;
    const gear_batch batch = {t->count, t->names[twin], tokens, 0};
    v.mem = t->v;
    E2E_OK(&t->rig, gear_append(t->cache[twin], 0, &batch, &k, &v, &t->rig.sync, &t->rig.error));
}

static void open_twins(twins *t, uint32_t count)
{
    uint32_t tokens[MOST_SEQS];
    t->count = count;
    t->at = 0;
    t->room = t->desc.recent + 130 + STEPS * MOST_NEW;
    t->desc.capacity_sequences = count;
    t->desc.max_sequence_tokens = t->room;
    t->desc.capacity_tokens = (uint64_t)count * t->room;
    t->desc.codecs = &t->codec;
    t->k = make_input(t, e2e_key);
    t->v = make_input(t, e2e_value);
    for (uint32_t twin = 0; twin < 2; twin++) {
        t->cache[twin] = e2e_cache(&t->rig, &t->desc);
        const gear__layer_memory *m = &t->cache[twin]->layers[0].memory;
        zero(t, m->pool);
        zero(t, m->table);
        zero(t, m->window);
        for (uint32_t i = 0; i < count; i++) {
            t->names[twin][i] = e2e_add(&t->rig, t->cache[twin]);
            tokens[i] = start_of(t, i);
        }
        append(t, twin, tokens);
    }
    t->cache[1]->variants[0].append.has_decode = 0;
    t->at = t->desc.recent + 130;
}

static void close_twins(twins *t)
{
    gear_cache_destroy(t->cache[0]);
    gear_cache_destroy(t->cache[1]);
    clReleaseMemObject(t->k);
    clReleaseMemObject(t->v);
}

/* A context whose device the library takes for a GPU. */
static void open_as_gpu(e2e_rig *rig)
{
    e2e_open(rig);
    rig->context->device.caps.is_cpu = 0;
    rig->context->device.caps.is_gpu = 1;
}

static unsigned char *read_all(twins *t, cl_mem mem, size_t *bytes)
{
    cr_assert_eq(clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof *bytes, bytes, NULL), CL_SUCCESS);
    unsigned char *got = malloc(*bytes);
    cr_assert_not_null(got);
    cr_assert_eq(clEnqueueReadBuffer(t->rig.cl.queue, mem, CL_TRUE, 0, *bytes, got, 0, NULL, NULL), CL_SUCCESS);
    return got;
}

static void compare(twins *t, const char *name)
{
    const gear__layer_memory *a = &t->cache[0]->layers[0].memory, *b = &t->cache[1]->layers[0].memory;
    const struct {
        const char *what;
        cl_mem step, staged;
    } parts[] = {{"table", a->table, b->table}, {"window", a->window, b->window}, {"pool", a->pool, b->pool}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t bytes = 0, wrong = 0, first = 0;
        unsigned char *step = read_all(t, parts[i].step, &bytes), *staged = read_all(t, parts[i].staged, &bytes);
        for (size_t n = bytes; n-- > 0;) {
            wrong += step[n] != staged[n];
            first = step[n] != staged[n] ? n : first;
        }
        cr_assert_eq(wrong, 0, "%s, %u sequences: %zu of %zu bytes of the %s differ, the first at %zu", name, t->count, wrong,
                     bytes, parts[i].what, first);
        free(step);
        free(staged);
    }
}

/* Appends of one to three tokens. */
static void run(twins *t, uint32_t count, const char *name)
{
    open_twins(t, count);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t tokens[MOST_SEQS];
        for (uint32_t i = 0; i < count; i++) {
            tokens[i] = step % 4 == 3 ? 1 + (i + step) % MOST_NEW : 1;
        }
        append(t, 0, tokens);
        append(t, 1, tokens);
        t->at += step % 4 == 3 ? MOST_NEW : 1;
    }
    compare(t, name);
    close_twins(t);
}

typedef struct variation {
    const char *name, *preset; /* preset NULL: KIVI */
    uint32_t k_rank, v_rank, factor_bits, window, recent, exact;
} variation;

static void take(twins *t, const variation *v, uint32_t heads)
{
    t->codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 0, 0);
    t->desc = e2e_desc(&t->codec, heads, heads, DIM, 1);
    if (v->preset) {
        E2E_OK(&t->rig, gear_preset(v->preset, &t->desc, &t->codec, &t->rig.error));
        return;
    }
    t->codec.k.rank_decode = v->k_rank;
    t->codec.v.rank_decode = v->v_rank;
    t->codec.k.factor_bits = t->codec.v.factor_bits = v->factor_bits;
    t->desc.window = v->window;
    t->desc.recent = v->recent;
    t->desc.exact_first = v->exact;
}

Test(decode_step, equals_the_stages)
{
    static const variation variations[] = {
        {"gear_2_6", "gear_2_6", 0, 0, 0, 0, 0, 0},  {"paper_2bit_l", "paper_2bit_l", 0, 0, 0, 0, 0, 0},
        {"mix_2_5", "mix_2_5", 0, 0, 0, 0, 0, 0},    {"rank 8 and none", NULL, 8, 0, 8, 33, 10, 0},
        {"ranks 1 and 5", NULL, 1, 5, 4, 20, 0, 64}, {"K of 1 bit", "mix_2_2", 0, 0, 0, 0, 0, 0},
    };
    static const uint32_t counts[] = {1, 3, MOST_SEQS};
    twins t;
    open_as_gpu(&t.rig);
    for (size_t i = 0; i < sizeof variations / sizeof *variations; i++) {
        for (size_t n = 0; n < 3; n++) {
            const int is_large = counts[n] > 3;
            if (!is_large || i % 2 == 0) {
                take(&t, &variations[i], is_large ? 1 : 2);
                run(&t, counts[n], variations[i].name);
            }
        }
    }
    e2e_close(&t.rig);
}

static uint64_t compressed_of(twins *t)
{
    uint64_t sum = 0, compressed = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        (void)e2e_length(&t->rig, t->cache[0], 0, t->names[0][i], &compressed);
        sum += compressed;
    }
    return sum;
}

/* Launches of one attend of a query token. */
static long attend(twins *t)
{
    const size_t dim = t->desc.head_dim;
    const gear_view q = {t->k, 0, t->desc.num_query_heads * dim, dim, t->desc.num_query_heads * dim, GEAR_F32};
    gear_view out = q;
    const gear_batch batch = {t->count, t->names[0], NULL, 1};
    out.mem = t->v; /* whose tokens have been used up: these are the first */
    wrap_reset_calls();
    E2E_OK(&t->rig, gear_attend(t->cache[0], 0, &batch, &q, NULL, &out, &t->rig.sync, &t->rig.error));
    return wrap_calls(WRAP_ENQUEUE);
}

/* A step that completes blocks takes one launch for GEAR__DECODE_SEQS sequences or as many as there is scratch memory for,
 * one that does not takes one for the tokens and those of attention. The list of the appends is uploaded once, at the first
 * step of the second kind; that of attend when there are other blocks to attend on. */
static void count_launches(twins *t, uint32_t count, const char *name)
{
    const long uploads = (count * GEAR__SEQ_WORDS + GEAR__UPLOAD_WORDS - 1) / GEAR__UPLOAD_WORDS;
    uint32_t tokens[MOST_SEQS], with_blocks = 0, plain = 0;
    open_twins(t, count);
    const uint32_t rows = gear__decode_rows(&t->cache[0]->variants[0].shape);
    const uint32_t room = rows ? t->cache[0]->staging_rows / rows : GEAR__DECODE_SEQS;
    const uint32_t most = room < GEAR__DECODE_SEQS ? room : GEAR__DECODE_SEQS;
    const long decodes = (count + most - 1) / most;
    const long attends = gear__attend_merges(t->cache[0]->variants[0].tile.kernel) ? 1 : 2;
    for (uint32_t step = 0; step < STEPS; step++, t->at++) {
        const uint64_t before = compressed_of(t);
        for (uint32_t i = 0; i < count; i++) {
            tokens[i] = 1;
        }
        wrap_reset_calls();
        append(t, 0, tokens);
        const long appended = wrap_calls(WRAP_ENQUEUE), attended = attend(t);
        const int completes = compressed_of(t) != before;
        const long want = completes ? decodes : plain ? 1 : 1 + uploads, then = attends + (completes ? uploads : 0);
        cr_assert_eq(appended, want, "%s, %u sequences, step %u: append took %ld launches, not %ld", name, count, step,
                     appended, want);
        cr_assert(!step || attended == then, "%s, %u sequences, step %u: attend took %ld launches, not %ld", name, count, step,
                  attended, then);
        *(completes ? &with_blocks : &plain) += 1;
    }
    cr_assert(with_blocks && plain);
    close_twins(t);
}

Test(decode_step, launches)
{
    static const variation variations[] = {{"gear_2_6", "gear_2_6", 0, 0, 0, 0, 0, 0},
                                           {"paper_2bit_l", "paper_2bit_l", 0, 0, 0, 0, 0, 0}};
    twins t;
    open_as_gpu(&t.rig);
    for (size_t i = 0; i < 2; i++) {
        take(&t, &variations[i], 2);
        count_launches(&t, 1, variations[i].name);
        take(&t, &variations[i], 1);
        count_launches(&t, MOST_SEQS, variations[i].name);
    }
    e2e_close(&t.rig);
}
