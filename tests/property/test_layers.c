/* test_layers.c: layers of different codecs in one cache, and any order of verbs: a cache of several sequences and layers,
 * driven by random batches, answers as caches of one sequence each that see the same calls alone. Lists that a verb leaves
 * on the device for the next one must never be taken for another batch's, layer's or tensor's. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "e2e_drive.h"

enum { SEQS = 4, LAYERS = 4, HEADS = 2, GROUP = 2, DIM = 64, STEPS = 500, CAPACITY = 700 };

typedef struct herd {
    e2e_rig rig;
    double bound; /* between outputs of different splits */
    gear_codec_pair codecs[LAYERS];
    gear_cache *all, *alone[SEQS];
    gear_sequence names[SEQS], alone_names[SEQS];
    uint32_t lengths[SEQS][LAYERS], seed, state;
} herd;

static uint32_t draw(herd *h, uint32_t below)
{
    h->state = h->state * 1664525u + 1013904223u;
    return (h->state >> 10) % below;
}

static void open_herd(herd *h)
{
    memset(h, 0, sizeof *h);
    h->seed = 21;
    e2e_open(&h->rig);
    h->codecs[0] = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    h->codecs[1] = e2e_codec(GEAR_BACKBONE_KCVT, 2, 2, 0.02f);
    h->codecs[2] = h->codecs[0];
    h->codecs[3] = e2e_codec(GEAR_BACKBONE_MIXED, 2, 2, 0.02f);
    gear_cache_desc desc = e2e_desc(h->codecs, HEADS, HEADS * GROUP, DIM, SEQS * CAPACITY);
    desc.num_layers = desc.num_codecs = LAYERS;
    desc.max_sequence_tokens = CAPACITY;
    desc.max_query_tokens = 2;
    desc.exact_first = 4;
    desc.recent = 16;
    desc.capacity_sequences = SEQS;
    h->bound = 2 * e2e_bound(&h->rig, &desc);
    h->all = e2e_cache(&h->rig, &desc);
    desc.capacity_sequences = 1;
    for (uint32_t i = 0; i < SEQS; i++) {
        h->alone[i] = e2e_cache(&h->rig, &desc);
        h->names[i] = e2e_add(&h->rig, h->all);
        h->alone_names[i] = e2e_add(&h->rig, h->alone[i]);
    }
}

/* K and V (or a query) of the members; the caller closes it. */
static void make(herd *h, e2e_tensor *t, e2e_maker maker, uint32_t heads, uint32_t count, const uint32_t *members,
                 const uint32_t *tokens, const uint32_t *first)
{
    e2e_tensor_open(&h->rig, t, GEAR_F32, (e2e_layout)draw(h, E2E_LAYOUTS), heads, DIM, count, tokens);
    for (uint32_t i = 0; maker && i < count; i++) {
        for (uint32_t head = 0; head < heads; head++) {
            for (uint32_t n = 0; n < tokens[i]; n++) {
                for (uint32_t c = 0; c < DIM; c++) {
                    e2e_put(t, i, head, n, c, maker(&h->seed, members[i], head, first[i] + n, c));
                }
            }
        }
    }
    e2e_upload(&h->rig, t);
}

static void append(herd *h, gear_cache *cache, uint32_t layer, uint32_t count, const uint32_t *members,
                   const gear_sequence *names, const uint32_t *tokens, const uint32_t *first)
{
    e2e_tensor k, v;
    const gear_batch batch = {count, names, tokens, 0};
    make(h, &k, e2e_key, HEADS, count, members, tokens, first);
    make(h, &v, e2e_value, HEADS, count, members, tokens, first);
    E2E_OK(&h->rig, gear_append(cache, layer, &batch, &k.view, &v.view, &h->rig.sync, &h->rig.error));
    (void)clFinish(h->rig.cl.queue);
    e2e_tensor_close(&k);
    e2e_tensor_close(&v);
}

/* out[member][query head][query][DIM] */
static void attend(herd *h, gear_cache *cache, uint32_t layer, uint32_t count, const uint32_t *members,
                   const gear_sequence *names, const uint32_t *tokens, const uint32_t *first, float *out)
{
    e2e_tensor q, o;
    const gear_batch batch = {count, names, tokens, 0};
    make(h, &q, e2e_query, HEADS * GROUP, count, members, tokens, first);
    make(h, &o, NULL, HEADS * GROUP, count, members, tokens, first);
    E2E_OK(&h->rig, gear_attend(cache, layer, &batch, &q.view, NULL, &o.view, &h->rig.sync, &h->rig.error));
    e2e_download(&h->rig, &o, "out");
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t row = 0; row < HEADS * GROUP * tokens[i]; row++) {
            for (uint32_t c = 0; c < DIM; c++) {
                *out++ = e2e_get(&o, i, row / tokens[i], row % tokens[i], c);
            }
        }
    }
    e2e_tensor_close(&q);
    e2e_tensor_close(&o);
}

static void compare_state(herd *h, uint32_t step, uint32_t i, uint32_t layer)
{
    e2e_dense a, b;
    uint64_t x, y;
    (void)e2e_length(&h->rig, h->all, layer, h->names[i], &x);
    (void)e2e_length(&h->rig, h->alone[i], layer, h->alone_names[i], &y);
    cr_assert_eq(x, y, "step %u: sequence %u layer %u has %llu compressed, not %llu", step, i, layer, (unsigned long long)x,
                 (unsigned long long)y);
    e2e_dense_open(&h->rig, &a, h->all, layer, h->names[i], HEADS, DIM, 0);
    e2e_dense_open(&h->rig, &b, h->alone[i], layer, h->alone_names[i], HEADS, DIM, 0);
    cr_assert(a.length == b.length && a.length == h->lengths[i][layer]);
    size_t bytes = (size_t)HEADS * a.rows * DIM * sizeof(float);
    cr_assert_eq(memcmp(a.k, b.k, bytes), 0, "step %u: K of sequence %u layer %u", step, i, layer);
    cr_assert_eq(memcmp(a.v, b.v, bytes), 0, "step %u: V of sequence %u layer %u", step, i, layer);
    e2e_dense_close(&a);
    e2e_dense_close(&b);
}

/* One call on a random batch of the herd and on each member alone. */
static void random_step(herd *h, uint32_t step)
{
    static float together[SEQS * HEADS * GROUP * 2 * DIM], single[HEADS * GROUP * 2 * DIM];
    uint32_t members[SEQS], tokens[SEQS], first[SEQS], count = 0, layer = draw(h, LAYERS), verb = draw(h, 10);
    uint32_t start = draw(h, SEQS), turn = draw(h, 2) ? 1 : SEQS - 1, most = draw(h, 4) ? 3 : 90;
    gear_sequence names[SEQS];
    for (uint32_t n = 0; n < SEQS; n++) {
        uint32_t i = (start + turn * n) % SEQS;
        if (draw(h, 3)) {
            uint32_t length = h->lengths[i][layer];
            members[count] = i;
            names[count] = h->names[i];
            tokens[count] = verb < 5 ? 1 + (step % 3 ? 0 : draw(h, most)) : length > 1 ? 1 + draw(h, 2) : 1;
            first[count] = verb < 5 ? length : length - tokens[count];
            count += verb < 5 ? length + tokens[count] <= CAPACITY : length > 0;
        }
    }
    if (!count) {
        return;
    }
    if (verb < 5) {
        append(h, h->all, layer, count, members, names, tokens, first);
        for (uint32_t n = 0; n < count; n++) {
            uint32_t i = members[n];
            append(h, h->alone[i], layer, 1, &i, &h->alone_names[i], &tokens[n], &first[n]);
            h->lengths[i][layer] += tokens[n];
        }
    } else if (verb < 8) {
        const float *x = together;
        attend(h, h->all, layer, count, members, names, tokens, first, together);
        for (uint32_t n = 0; n < count; n++) {
            uint32_t i = members[n], values = HEADS * GROUP * tokens[n] * DIM;
            attend(h, h->alone[i], layer, 1, &i, &h->alone_names[i], &tokens[n], &first[n], single);
            for (uint32_t at = 0; at < values; at++) {
                /* The batch may be split otherwise over the device; see test_independence.c. */
                cr_assert(fabs((double)x[at] - (double)single[at]) < h->bound,
                          "step %u: sequence %u layer %u value %u: %.9g in the batch, %.9g alone", step, i, layer, at,
                          (double)x[at], (double)single[at]);
            }
            x += values;
        }
    } else if (verb == 8) {
        const gear_batch batch = {count, names, NULL, 0};
        E2E_OK(&h->rig, gear_flush(h->all, layer, &batch, &h->rig.sync, &h->rig.error));
        for (uint32_t n = 0; n < count; n++) {
            const gear_batch one = {1, &h->alone_names[members[n]], NULL, 0};
            E2E_OK(&h->rig, gear_flush(h->alone[members[n]], layer, &one, &h->rig.sync, &h->rig.error));
        }
    } else if (draw(h, 4) == 0) {
        uint32_t i = members[0];
        E2E_OK(&h->rig, gear_sequence_clear(h->alone[i], h->alone_names[i], &h->rig.error));
        if (draw(h, 2)) {
            E2E_OK(&h->rig, gear_sequence_clear(h->all, h->names[i], &h->rig.error));
        } else {
            E2E_OK(&h->rig, gear_sequence_remove(h->all, h->names[i], &h->rig.error));
            h->names[i] = e2e_add(&h->rig, h->all);
        }
        memset(h->lengths[i], 0, sizeof h->lengths[i]);
    }
    compare_state(h, step, members[0], layer);
}

Test(layers, random_calls)
{
    static herd h;
    open_herd(&h);
    for (uint32_t step = 0; step < STEPS; step++) {
        random_step(&h, step);
    }
    for (uint32_t i = 0; i < SEQS; i++) {
        for (uint32_t layer = 0; layer < LAYERS; layer++) {
            compare_state(&h, STEPS, i, layer);
        }
        gear_cache_destroy(h.alone[i]);
    }
    gear_cache_destroy(h.all);
    e2e_close(&h.rig);
}

/* Any range of gear_reconstruct is the part of the whole, and nothing but the range is written. */
Test(layers, ranges_of_reconstruct)
{
    enum { TOKENS = 290 };
    static const uint32_t edges[] = {0, 1, 3, 4, 5, 19, 20, 63, 64, 65, 84, 128, 149, 200, 256, 289};
    const uint32_t seed = 4;
    e2e_rig rig;
    e2e_open(&rig);
    for (uint32_t window = 20; window <= 64; window += 44) {
        gear_codec_pair codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
        gear_cache_desc desc = e2e_desc(&codec, HEADS, HEADS, DIM, TOKENS);
        const e2e_source source = e2e_synthetic(&seed, 0);
        e2e_dense whole;
        desc.window = window;
        desc.exact_first = 4;
        gear_cache *cache = e2e_cache(&rig, &desc);
        gear_sequence sequence = e2e_add(&rig, cache);
        for (uint32_t done = 0; done < TOKENS; done += 29) {
            e2e_append(&rig, cache, &desc, sequence, &source, done, 29);
        }
        e2e_dense_open(&rig, &whole, cache, 0, sequence, HEADS, DIM, 0);
        for (uint32_t i = 0; i < sizeof edges / sizeof *edges; i++) {
            for (uint32_t j = i; j < sizeof edges / sizeof *edges; j++) {
                uint32_t first = edges[i], count = edges[j] - edges[i] + 1;
                e2e_tensor k, v;
                e2e_tensor_open(&rig, &k, GEAR_F32, E2E_STRIDED, HEADS, DIM, 1, &count);
                e2e_tensor_open(&rig, &v, GEAR_F16, E2E_PACKED, HEADS, DIM, 1, &count);
                E2E_OK(&rig, gear_reconstruct(cache, 0, sequence, first, count, &k.view, &v.view, &rig.sync, &rig.error));
                e2e_download(&rig, &k, "k");
                e2e_download(&rig, &v, "v");
                for (uint32_t n = 0; n < HEADS * count * DIM; n++) {
                    uint32_t head = n / DIM / count, t = n / DIM % count, c = n % DIM;
                    size_t at = ((size_t)head * TOKENS + first + t) * DIM + c;
                    cr_assert_eq(e2e_get(&k, 0, head, t, c), whole.k[at], "%u + %u: K of token %u", first, count, first + t);
                    cr_assert_eq(e2e_get(&v, 0, head, t, c), e2e_round(GEAR_F16, whole.v[at]), "%u + %u: V of token %u", first,
                                 count, first + t);
                }
                e2e_tensor_close(&k);
                e2e_tensor_close(&v);
            }
        }
        e2e_dense_close(&whole);
        gear_cache_destroy(cache);
    }
    e2e_close(&rig);
}
