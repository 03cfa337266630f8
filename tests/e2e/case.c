/* case.c: see the header. What is compared with what, and within which bound:
 *   gear_attend with double-precision attention on the cache as gear_reconstruct gives it (f32). The bound of an output is that
 *   of the kernel (attend_choice.h) times the largest output of its sequence, for sums of products in float32 in another order,
 *   plus half an ulp of the output's type, for its rounding. lse has the same relative bound, of |lse| or 1.
 *   gear_reconstruct with the input: bit for bit in the window and for exact tokens, and within a coarse bound elsewhere. */
#include "case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e_attention.h"
#include "model/half.h"

typedef struct run {
    e2e_rig *rig;
    const e2e_case *c;
    gear_cache *cache;
    gear_sequence sequences[E2E_MAX_SEQS];
    uint32_t layer, lengths[E2E_MAX_SEQS], queries[E2E_MAX_SEQS], tails[E2E_MAX_SEQS], max_query, query_heads;
    uint32_t seed, tail_seed;
    char name[64];
    double bound;
} run;

/* Bits of a side; K of the mixed backbone has several, and counts as 2. */
static uint32_t bits_of(const e2e_case *c, int is_v)
{
    uint32_t bits = is_v ? c->v_bits : c->k_bits;
    return c->backbone != GEAR_BACKBONE_MIXED ? bits : !is_v ? 2 : bits > 4 ? 4 : bits;
}

/* The lists of column `segments`: channels in quarters of head_dim, 0 for the rest; the last in steps of 16. */
static void put_segments(const e2e_case *c, gear_codec *codec)
{
    static const gear_segment lists[][4] = {{{1, 4}, {0, 2}}, {{1, 4}, {1, 2}, {0, 1}}, {{1, 4}, {1, 3}, {0, 2}},
                                            {{2, 4}, {0, 3}}, {{1, 5}, {0, 4}},         {{1, 8}, {1, 5}, {1, 3}, {0, 1}}};
    uint32_t unit = c->segments == 5 ? 16 : (c->head_dim / 4 + 8) / 16 * 16, left = c->head_dim;
    for (uint32_t i = 0; i < 4 && lists[c->segments][i].bits; i++) {
        uint32_t channels = lists[c->segments][i].channels ? lists[c->segments][i].channels * unit : left;
        codec->segments[i] = (gear_segment){(uint16_t)channels, lists[c->segments][i].bits};
        left -= channels;
    }
}

static gear_codec codec_of(const e2e_case *c, int is_v)
{
    static const float fractions[] = {0.0f, 0.02f, 0.02f, 0.1f};
    uint32_t bits = bits_of(c, is_v);
    gear_codec codec;
    gear_codec_init(&codec);
    codec.backbone = (gear_backbone)c->backbone;
    codec.bits = bits;
    codec.group = !is_v && c->backbone == GEAR_BACKBONE_KIVI && c->group > 64 ? 64 : c->group;
    codec.factor_bits = c->factor_bits;
    codec.delta_bits = c->delta_bits;
    if (c->backbone == GEAR_BACKBONE_MIXED && is_v) {
        codec.rotate = c->rotate;
        codec.levels = (gear_levels)c->levels;
    } else if (c->backbone == GEAR_BACKBONE_MIXED) {
        put_segments(c, &codec);
    }
    if (bits < 16) {
        codec.rank_prompt = c->rank_prompt;
        codec.rank_decode = c->rank_decode;
        codec.outlier_fraction = fractions[c->outliers];
        codec.outlier_rule = c->outliers == 2 ? GEAR_OUTLIER_BLOCK : GEAR_OUTLIER_VECTOR;
    }
    return codec;
}

gear_codec_pair case_codecs(const e2e_case *c)
{
    return (gear_codec_pair){codec_of(c, 0), codec_of(c, 1)};
}

/* Lengths, tails and queries of every sequence. */
static void size_sequences(run *r)
{
    static const uint32_t edges[] = {64, 1, 129, 63, 200, 65, 128, 191, 20, 127, 193}, tails[] = {5, 0, 70, 1, 64};
    const e2e_case *c = r->c;
    uint32_t most = c->slack ? 17 : c->queries;
    for (uint32_t i = 0; i < c->batch; i++) {
        r->lengths[i] = i ? edges[(c->row + 3 * i) % 11] : c->length;
        r->queries[i] = i ? 1 + (c->queries - 1 + 5 * i) % most : c->queries;
        r->tails[i] = c->tail == 2 ? tails[(c->row + i) % 5] : c->tail ? r->queries[i] : 0;
        if (r->queries[i] > r->lengths[i] + r->tails[i]) {
            r->queries[i] = r->lengths[i] + r->tails[i];
            r->tails[i] = c->tail == 1 ? r->queries[i] : r->tails[i];
        }
    }
    r->max_query = c->slack && most > c->queries ? most : c->queries;
}

static void open_cache(run *r)
{
    const e2e_case *c = r->c;
    const gear_codec_pair pair = case_codecs(c);
    uint64_t total = 0, longest = 0;
    for (uint32_t i = 0; i < c->batch; i++) {
        total += r->lengths[i];
        longest = r->lengths[i] > longest ? r->lengths[i] : longest;
    }
    r->layer = c->row % 2;
    r->query_heads = c->kv_heads * c->group_heads;
    gear_cache_desc desc = e2e_desc(&pair, c->kv_heads, r->query_heads, c->head_dim, total); /* exactly full */
    desc.num_layers = 1 + r->layer;
    desc.capacity_sequences = c->batch;
    desc.max_sequence_tokens = longest;
    desc.max_query_tokens = r->max_query;
    desc.window = c->window;
    desc.recent = c->recent;
    desc.exact_first = c->exact == 99 ? GEAR_EXACT_AUTO : c->exact;
    desc.max_segment_tokens = c->segment;
    r->cache = e2e_cache(r->rig, &desc);
    r->bound = e2e_bound(r->rig, &desc);
    for (uint32_t i = 0; i < c->batch; i++) {
        r->sequences[i] = e2e_add(r->rig, r->cache);
    }
}

/* Tokens of the next append of a sequence that has `done` of `length`. */
static uint32_t next_chunk(const e2e_case *c, uint32_t done, uint32_t length)
{
    uint32_t left = length - done, prompt = length > 5 ? length - 5 : length;
    uint32_t size = c->arrival == 0 ? length : c->arrival == 1 ? 33 : c->arrival < 4 ? 16 : done < prompt ? prompt - done : 1;
    return size < left ? size : left;
}

/* Mean squares of queries for `count` sequences, one of them no number, behind three floats of something else. */
static cl_mem make_weights(const run *r, uint32_t count, const uint32_t *from)
{
    const uint32_t values = r->c->kv_heads * r->c->head_dim, first = 3;
    float *weights = malloc((first + count * values) * sizeof *weights);
    cl_int code;
    cr_assert_not_null(weights);
    for (uint32_t i = 0; i < first + count * values; i++) {
        float x = i < first ? 0 : e2e_noise(r->seed, from[(i - first) / values], (i - first) % values, 8, 9);
        weights[i] = i == first + 5 ? NAN : x * x;
    }
    cl_mem mem = clCreateBuffer(r->rig->cl.context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                                (first + count * values) * sizeof *weights, weights, &code);
    cr_assert_eq(code, CL_SUCCESS);
    free(weights);
    return mem;
}

static void append_all(run *r)
{
    const e2e_case *c = r->c;
    uint32_t done[E2E_MAX_SEQS] = {0};
    for (;;) {
        gear_sequence sequences[E2E_MAX_SEQS];
        uint32_t tokens[E2E_MAX_SEQS], first[E2E_MAX_SEQS], from[E2E_MAX_SEQS], count = 0;
        for (uint32_t i = 0; i < c->batch; i++) {
            uint32_t n = next_chunk(c, done[i], r->lengths[i]);
            if (n) {
                sequences[count] = r->sequences[i];
                tokens[count] = n;
                from[count] = i;
                first[count++] = done[i];
                done[i] += n;
            }
        }
        if (!count) {
            break;
        }
        e2e_tensor k, v;
        const gear_batch batch = {count, sequences, tokens, 0};
        e2e_tensor_open(r->rig, &k, (gear_type)c->in_type, (e2e_layout)c->in_layout, c->kv_heads, c->head_dim, count, tokens);
        e2e_tensor_open(r->rig, &v, (gear_type)c->in_type, (e2e_layout)c->in_layout, c->kv_heads, c->head_dim, count, tokens);
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t h = 0; h < c->kv_heads; h++) {
                for (uint32_t n = 0; n < tokens[i]; n++) {
                    for (uint32_t d = 0; d < c->head_dim; d++) {
                        e2e_put(&k, i, h, n, d, c->key(&r->seed, from[i], h, first[i] + n, d));
                        e2e_put(&v, i, h, n, d, c->value(&r->seed, from[i], h, first[i] + n, d));
                    }
                }
            }
        }
        e2e_upload(r->rig, &k);
        e2e_upload(r->rig, &v);
        gear_append_desc desc;
        gear_append_desc_init(&desc);
        desc.query_squares = c->weights ? make_weights(r, count, from) : NULL;
        desc.query_squares_offset = 12;
        e2e_expect(r->rig,
                   gear_append_weighted(r->cache, r->layer, &batch, &k.view, &v.view, c->weights ? &desc : NULL, &r->rig->sync,
                                        &r->rig->error),
                   GEAR_OK, r->name, done[0]);
        (void)clFinish(r->rig->cl.queue);
        if (desc.query_squares) {
            (void)clReleaseMemObject(desc.query_squares);
        }
        e2e_tensor_close(&k);
        e2e_tensor_close(&v);
    }
    if (c->arrival == 3) {
        const gear_batch batch = {c->batch, r->sequences, NULL, 0};
        e2e_expect(r->rig, gear_flush(r->cache, r->layer, &batch, &r->rig->sync, &r->rig->error), GEAR_OK, r->name, -1);
    }
}

/* The cache against what was appended. */
static void check_reconstruction(const run *r, uint32_t seq, const e2e_dense *dense, int is_v)
{
    const e2e_case *c = r->c;
    uint32_t bits = bits_of(c, is_v);
    const float *got = is_v ? dense->v : dense->k;
    double off = 0, norm = 0;
    uint64_t compressed;
    uint64_t length = e2e_length(r->rig, r->cache, r->layer, r->sequences[seq], &compressed);
    uint32_t exact = c->exact == 99 ? 1 : c->exact;
    cr_assert_eq(length, r->lengths[seq], "%s: sequence %u has %llu tokens", r->name, seq, (unsigned long long)length);
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        for (uint32_t t = 0; t < length; t++) {
            for (uint32_t d = 0; d < c->head_dim; d++) {
                float x = (is_v ? c->value : c->key)(&r->seed, seq, h, t, d);
                float want = gear__float_from_half(gear__half_saturate(e2e_round((gear_type)c->in_type, x)));
                float y = got[((size_t)h * dense->rows + t) * c->head_dim + d];
                if (bits == 16 || c->exact_codes || t >= compressed || t < exact) {
                    cr_assert_eq(y, want, "%s: %c of sequence %u head %u token %u channel %u: %g, not %g", r->name,
                                 is_v ? 'V' : 'K', seq, h, t, d, (double)y, (double)want);
                }
                cr_assert(isfinite(y), "%s: %c of sequence %u token %u is %g", r->name, is_v ? 'V' : 'K', seq, t, (double)y);
                off += ((double)y - (double)want) * ((double)y - (double)want);
                norm += (double)want * (double)want;
            }
        }
    }
    double coarse = bits == 2 ? 2 : bits == 3 ? 1 : bits == 4 ? 0.5 : 0.03;
    cr_assert(c->unbounded || off <= coarse * coarse * norm, "%s: %c of sequence %u is off by %g", r->name, is_v ? 'V' : 'K',
              seq, sqrt(off / norm));
}

typedef struct answer {
    e2e_tensor q, out, tail_k, tail_v;
    float *lse;
    double scale, soft_cap;
} answer;

static void check_outputs(const run *r, uint32_t seq, const answer *a, uint32_t first_row)
{
    const e2e_case *c = r->c;
    uint32_t m = r->queries[seq], d = c->head_dim, rows = r->query_heads * m;
    e2e_dense dense;
    e2e_dense_open(r->rig, &dense, r->cache, r->layer, r->sequences[seq], c->kv_heads, d, r->tails[seq]);
    check_reconstruction(r, seq, &dense, 0);
    check_reconstruction(r, seq, &dense, 1);
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        for (uint32_t t = 0; t < r->tails[seq]; t++) {
            for (uint32_t i = 0; i < d; i++) {
                size_t at = ((size_t)h * dense.rows + dense.length + t) * d + i;
                dense.k[at] = e2e_get(&a->tail_k, seq, h, t, i);
                dense.v[at] = e2e_get(&a->tail_v, seq, h, t, i);
            }
        }
    }
    float *q = malloc((size_t)rows * d * sizeof *q);
    double *out = malloc((size_t)rows * d * sizeof *out), *lse = malloc(rows * sizeof *lse);
    cr_assert(q && out && lse);
    for (size_t i = 0; i < (size_t)rows * d; i++) {
        uint32_t row = (uint32_t)(i / d);
        q[i] = e2e_get(&a->q, seq, row / m, row % m, (uint32_t)(i % d));
    }
    const e2e_question question = {c->group_heads, m, a->scale, a->soft_cap};
    double most = e2e_attention(&dense, &question, q, out, lse);
    for (uint32_t row = 0; row < rows; row++) {
        double got_lse = (double)a->lse[first_row * r->query_heads + row], by = fabs(lse[row]) > 1 ? fabs(lse[row]) : 1;
        cr_assert(fabs(got_lse - lse[row]) <= r->bound * by, "%s: lse of sequence %u row %u: %.9g, not %.9g", r->name, seq, row,
                  got_lse, lse[row]);
        for (uint32_t i = 0; i < d; i++) {
            double got = (double)e2e_get(&a->out, seq, row / m, row % m, i), want = out[(size_t)row * d + i];
            double bound = r->bound * most + e2e_half_ulp((gear_type)c->out_type, fabs(want) + r->bound * most);
            cr_assert(fabs(got - want) <= bound,
                      "%s: sequence %u (%u tokens, %u queries, tail %u) head %u query %u channel %u: "
                      "%.9g, not %.9g, bound %.3g",
                      r->name, seq, r->lengths[seq], m, r->tails[seq], row / m, row % m, i, got, want, bound);
        }
    }
    free(q);
    free(out);
    free(lse);
    e2e_dense_close(&dense);
}

static void attend(run *r)
{
    const e2e_case *c = r->c;
    const size_t guard = 8;
    uint32_t rows = 0;
    answer a;
    cl_int code;
    gear_attend_desc desc;
    for (uint32_t i = 0; i < c->batch; i++) {
        rows += r->queries[i];
    }
    e2e_tensor_open(r->rig, &a.q, (gear_type)c->q_type, (e2e_layout)((c->out_layout + 1) % 3), r->query_heads, c->head_dim,
                    c->batch, r->queries);
    e2e_tensor_open(r->rig, &a.out, (gear_type)c->out_type, (e2e_layout)c->out_layout, r->query_heads, c->head_dim, c->batch,
                    r->queries);
    e2e_tensor_open(r->rig, &a.tail_k, (gear_type)c->in_type, (e2e_layout)c->in_layout, c->kv_heads, c->head_dim, c->batch,
                    r->tails);
    e2e_tensor_open(r->rig, &a.tail_v, (gear_type)c->q_type, (e2e_layout)c->in_layout, c->kv_heads, c->head_dim, c->batch,
                    r->tails);
    e2e_fill(r->rig, &a.q, e2e_query, &r->seed, NULL);
    e2e_fill(r->rig, &a.tail_k, e2e_key, &r->tail_seed, NULL);
    e2e_fill(r->rig, &a.tail_v, e2e_value, &r->tail_seed, NULL);

    size_t lse_count = (size_t)rows * r->query_heads + 2 * guard;
    a.lse = malloc(lse_count * sizeof(float));
    cr_assert_not_null(a.lse);
    memset(a.lse, 0xff, lse_count * sizeof(float));
    gear_attend_desc_init(&desc);
    desc.lse =
        clCreateBuffer(r->rig->cl.context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, lse_count * sizeof(float), a.lse, &code);
    cr_assert_eq(code, CL_SUCCESS);
    desc.lse_offset = guard * sizeof(float);
    desc.scale = c->fixed_scale != 0 ? (float)c->fixed_scale : c->scale ? 0.2f : 0.0f;
    desc.soft_cap = (float)c->soft_cap;
    if (c->tail) {
        desc.tail_k = &a.tail_k.view;
        desc.tail_v = &a.tail_v.view;
        desc.tail_tokens = c->tail == 2 ? r->tails : NULL;
    }
    a.scale = desc.scale != 0.0f ? (double)desc.scale : (double)(float)(1 / sqrt(c->head_dim));
    a.soft_cap = (double)desc.soft_cap;
    const gear_batch batch = {c->batch, r->sequences, c->batch > 1 ? r->queries : NULL, r->queries[0]};
    e2e_expect(r->rig, gear_attend(r->cache, r->layer, &batch, &a.q.view, &desc, &a.out.view, &r->rig->sync, &r->rig->error),
               GEAR_OK, r->name, 0);
    e2e_download(r->rig, &a.out, r->name);
    cr_assert_eq(clEnqueueReadBuffer(r->rig->cl.queue, desc.lse, CL_TRUE, 0, lse_count * sizeof(float), a.lse, 0, NULL, NULL),
                 CL_SUCCESS);
    for (size_t i = 0; i < guard * sizeof(float); i++) {
        const unsigned char *bytes = (const unsigned char *)a.lse;
        cr_assert(bytes[i] == 0xff && bytes[lse_count * sizeof(float) - 1 - i] == 0xff, "%s: a byte around lse has changed",
                  r->name);
    }
    float *all = a.lse;
    a.lse += guard;
    for (uint32_t i = 0, first = 0; i < c->batch; first += r->queries[i++]) {
        check_outputs(r, i, &a, first);
    }
    free(all);
    (void)clReleaseMemObject(desc.lse);
    e2e_tensor_close(&a.q);
    e2e_tensor_close(&a.out);
    e2e_tensor_close(&a.tail_k);
    e2e_tensor_close(&a.tail_v);
}

void case_run(e2e_rig *rig, const e2e_case *given)
{
    e2e_case c = *given;
    run r = {.rig = rig, .c = &c, .seed = 100 * c.row, .tail_seed = 100 * c.row + 50};
    c.key = c.key ? c.key : e2e_key;
    c.value = c.value ? c.value : e2e_value;
    (void)snprintf(r.name, sizeof r.name, "case of row %u@%u", c.row, c.cycle);
    size_sequences(&r);
    open_cache(&r);
    append_all(&r);
    attend(&r);
    gear_cache_destroy(r.cache);
}
