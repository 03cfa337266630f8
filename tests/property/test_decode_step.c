/* test_decode_step.c: a decode step in one launch against the same step stage by stage, on the work-groups of GPUs whatever the
 * device: the same bytes in pool, page table and window; how many launches a step takes; and that one that fails changes
 * nothing. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/hash.h"
#include "e2e_drive.h"
#include "wrap_cl.h"

enum { MOST_SEQS = 2 * GEAR__DECODE_SEQS + 1, STEPS = 70, MOST_NEW = 3 };

/* A cache that makes decode steps in one launch and one that does not, of the same sequences. */
typedef struct twins {
    e2e_rig rig;
    gear_codec_pair codec;
    gear_cache_desc desc;
    gear_cache *cache[2];
    gear_sequence names[2][MOST_SEQS];
    uint32_t count, at, room; /* tokens of each sequence in k and v: used up, all */
    uint32_t apart;           /* tokens by which the lengths of one sequence and the next differ, modulo 64 */
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

/* Tokens a sequence starts with: more than the window holds. */
static uint32_t start_of(const twins *t, uint32_t i)
{
    return t->desc.recent + 65 + t->apart * i % 64;
}

static gear_status try_append(twins *t, uint32_t twin, const uint32_t *tokens)
{
    const size_t dim = t->desc.head_dim, head = t->room * dim;
    gear_view k = {t->k, t->at * dim * sizeof(float), t->desc.num_kv_heads * head, head, dim, GEAR_F32}, v = k;
    const gear_batch batch = {t->count, t->names[twin], tokens, 0};
    v.mem = t->v;
    return gear_append(t->cache[twin], 0, &batch, &k, &v, &t->rig.sync, &t->rig.error);
}

static void append(twins *t, uint32_t twin, const uint32_t *tokens)
{
    E2E_OK(&t->rig, try_append(t, twin, tokens));
}

/* How the first of them appends. */
static const gear__append_tile *open_twins(twins *t, uint32_t count)
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
    return &t->cache[0]->variants[0].append;
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

typedef struct variation {
    const char *name, *preset; /* preset NULL: KIVI */
    uint32_t dim, most_seqs, k_rank, v_rank, factor_bits, window, recent, exact;
    uint32_t most_items; /* of a work-group; 0: what the device has */
    int is_staged;       /* decode steps go stage by stage */
} variation;

/* Appends of one to three tokens, and a flush. */
static void run(twins *t, uint32_t count, const variation *v)
{
    const gear__append_tile *tile = open_twins(t, count);
    cr_assert_eq(tile->has_decode, !v->is_staged, "%s: steps in one launch: %d", v->name, tile->has_decode);
    cr_assert(!v->most_items || tile->most_items == v->most_items);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t tokens[MOST_SEQS];
        for (uint32_t i = 0; i < count; i++) {
            tokens[i] = step % 4 == 3 ? 1 + (i + step) % MOST_NEW : 1;
        }
        append(t, 0, tokens);
        append(t, 1, tokens);
        t->at += step % 4 == 3 ? MOST_NEW : 1;
    }
    compare(t, v->name);
    for (uint32_t twin = 0; twin < 2; twin++) {
        const gear_batch batch = {count, t->names[twin], NULL, 0};
        E2E_OK(&t->rig, gear_flush(t->cache[twin], 0, &batch, &t->rig.sync, &t->rig.error));
    }
    compare(t, v->name);
    close_twins(t);
}

static void take(twins *t, const variation *v, uint32_t heads)
{
    t->codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 0, 0);
    t->desc = e2e_desc(&t->codec, heads, heads, v->dim, 1);
    t->apart = 17;
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

/* Local memory has room for a block of 256 channels and the fit of its residual: 48 KiB are too little. */
static int has_room(const twins *t, const variation *v)
{
    return v->dim < 256 || t->rig.context->device.caps.local_bytes >= 64 * 1024;
}

Test(decode_step, equals_the_stages)
{
    static const variation variations[] = {
        {.name = "gear_2_6", .preset = "gear_2_6", .dim = 64, .most_seqs = MOST_SEQS},
        {.name = "paper_2bit_l", .preset = "paper_2bit_l", .dim = 128, .most_seqs = 3},
        {.name = "mix_2_5", .preset = "mix_2_5", .dim = 80, .most_seqs = MOST_SEQS},
        {.name = "rank 8 and none",
         .dim = 80,
         .most_seqs = MOST_SEQS,
         .k_rank = 8,
         .factor_bits = 8,
         .window = 33,
         .recent = 10},
        {.name = "ranks 1 and 5",
         .dim = 64,
         .most_seqs = 3,
         .k_rank = 1,
         .v_rank = 5,
         .factor_bits = 4,
         .window = 20,
         .exact = 64,
         .most_items = 64},
        {.name = "256 channels", .preset = "paper_2bit_l", .dim = 256, .most_seqs = 1},
        {.name = "K of 1 bit", .preset = "mix_2_2", .dim = 64, .most_seqs = 1, .is_staged = 1},
    };
    static const uint32_t counts[] = {1, 3, MOST_SEQS};
    twins t;
    open_as_gpu(&t.rig);
    const uint64_t most_items = t.rig.context->device.caps.max_work_group;
    for (size_t i = 0; i < sizeof variations / sizeof *variations; i++) {
        const variation *v = &variations[i];
        t.rig.context->device.caps.max_work_group = v->most_items ? v->most_items : most_items;
        for (size_t n = 0; n < 3 && counts[n] <= v->most_seqs && has_room(&t, v); n++) {
            take(&t, v, counts[n] > 3 ? 1 : 2);
            run(&t, counts[n], v);
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

/* A step that completes blocks takes one launch for GEAR__DECODE_SEQS sequences or as many as there is scratch memory for, and
 * where that is more than one, another for the tokens; a step that completes none takes one for the tokens. Those go by the
 * list of the appends, which is uploaded once; that of attend is when there are other blocks to attend on. */
static void count_launches(twins *t, uint32_t count, const char *name)
{
    const long uploads = (count * GEAR__SEQ_WORDS + GEAR__UPLOAD_WORDS - 1) / GEAR__UPLOAD_WORDS;
    uint32_t tokens[MOST_SEQS], with_blocks = 0, plain = 0;
    int has_list = 0;
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
        const int completes = compressed_of(t) != before, by_list = !completes || decodes > 1;
        const long want = (completes ? decodes : 0) + (by_list ? 1 + (has_list ? 0 : uploads) : 0);
        const long then = attends + (completes ? uploads : 0);
        has_list |= by_list;
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
    static const variation variations[] = {{.name = "gear_2_6", .preset = "gear_2_6", .dim = 64},
                                           {.name = "paper_2bit_l", .preset = "paper_2bit_l", .dim = 64}};
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

/* What of the first cache a failed step has to leave: lengths, bytes in use, the page table as far as it is in use, window. */
static gear__hash128 state_of(twins *t)
{
    const gear_cache *cache = t->cache[0];
    const gear__layer_memory *m = &cache->layers[0].memory;
    gear_bytes used;
    size_t bytes = 0;
    memset(&used, 0, sizeof used);
    E2E_OK(&t->rig, gear_cache_bytes(cache, 0, &used, &t->rig.error));
    unsigned char *table = read_all(t, m->table, &bytes), *window = read_all(t, m->window, &bytes);
    gear__hash128 hash = gear__hash128_add(gear__hash128_of(&used, sizeof used), window, bytes);
    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t tokens[2] = {0, 0};
        const uint32_t at = gear__find_slot(cache, t->names[0][i]), blocks = cache->layers[0].slots[at].num_blocks;
        const size_t entry = GEAR__BLOCK_WORDS * sizeof(uint32_t), row = (size_t)at * (cache->max_blocks + 1) * entry;
        tokens[0] = e2e_length(&t->rig, cache, 0, t->names[0][i], &tokens[1]);
        hash = gear__hash128_add(hash, tokens, sizeof tokens);
        hash = gear__hash128_add(hash, table + row, (1 + blocks) * entry);
    }
    free(table);
    free(window);
    return hash;
}

/* Sequences of which the next token completes a block. */
static uint32_t due(twins *t)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t compressed = 0, length = e2e_length(&t->rig, t->cache[0], 0, t->names[0][i], &compressed);
        gear__plan plan;
        gear__plan_segment segment;
        gear__plan_begin(&plan, (uint32_t)compressed, (uint32_t)length, 1);
        sum += gear__plan_next(&plan, &t->cache[0]->rules, &segment) != 0;
    }
    return sum;
}

/* A step that completes blocks of half the sequences, each of its OpenCL calls failing in turn; then it succeeds. `most`:
 * sequences of a launch. */
static void fail_step(twins *t, uint32_t count, uint32_t most, const char *name)
{
    uint32_t tokens[MOST_SEQS], steps = 0;
    t->apart = 32;
    open_twins(t, count);
    for (uint32_t i = 0; i < count; i++) {
        tokens[i] = 1;
    }
    t->cache[0]->staging_rows = most * gear__decode_rows(&t->cache[0]->variants[0].shape);
    for (; due(t) < 2; t->at++) {
        cr_assert_lt(steps++, STEPS);
        append(t, 0, tokens);
        append(t, 1, tokens);
    }
    const gear__hash128 before = state_of(t);
    gear_status status = GEAR_ERROR_OPENCL;
    long n = 0, launches = 0;
    while (status) {
        wrap_reset_calls();
        wrap_fail_at(++n);
        status = try_append(t, 0, tokens);
        const int met = wrap_failed() != NULL;
        wrap_fail_at(0);
        launches = wrap_calls(WRAP_ENQUEUE);
        cr_assert_eq(met, status != GEAR_OK, "%s: call %ld", name, n);
        const gear__hash128 after = state_of(t);
        cr_assert(!status || !memcmp(&after, &before, sizeof after), "%s: call %ld failed, and the cache has changed", name, n);
    }
    const long decodes = (count + most - 1) / most;
    cr_assert_eq(launches, decodes > 1 ? decodes + 1 : 1, "%s: %ld launches", name, launches);
    append(t, 1, tokens);
    compare(t, name);
    close_twins(t);
}

Test(decode_step, a_failure_changes_nothing)
{
    static const variation v = {.name = "paper_2bit_l", .preset = "paper_2bit_l", .dim = 64};
    twins t;
    open_as_gpu(&t.rig);
    take(&t, &v, 1);
    fail_step(&t, 4, 4, "one launch");
    take(&t, &v, 1);
    fail_step(&t, 5, 2, "three launches");
    e2e_close(&t.rig);
}
