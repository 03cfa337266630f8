/* stage_attention.c: see the header. */
#include "stage_attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attend_choice.h"
#include "stage/attend_pieces.h"
#include "stage_slack.h"

/* The splits of a sequence, and where their partial results begin. */
typedef struct division {
    uint32_t splits, share;
    size_t first;
} division;

typedef struct attention {
    stage_world *world;
    const stage_variation *how;
    double bound;
    uint32_t queries[STAGE_SEQS], tails[STAGE_SEQS], most, rows;
    division division[STAGE_SEQS];
    size_t partials;
    stage_buffer list, tensors, q, tail[2], partial, softmax, out, lse, counters;
    gear__attend_call call;
    gear__ref_attention ref[STAGE_SEQS];
} attention;

#define MOST_PIECES (STAGE_SEQS + 64)

/* Cuts the batch, three pieces for each of its sequences on average. */
static void cut(attention *t)
{
    uint32_t *words = (uint32_t *)(void *)t->list.host, *pieces = words + STAGE_SEQS * GEAR__SEQ_WORDS, before = 0;
    const gear__attend_load load = {3 * STAGE_SEQS, 1, 1, t->world->c->recent};
    t->call.share = gear__attend_cut(words, STAGE_SEQS, &load, pieces, &t->call.num_pieces);
    cr_assert_leq(t->call.num_pieces, MOST_PIECES);
    for (uint32_t i = 0; t->call.share && i < STAGE_SEQS; i++) {
        uint32_t splits = 0;
        for (uint32_t n = 0; n < t->call.num_pieces; n++) {
            splits += (pieces[n * GEAR__PIECE_WORDS + GEAR__PIECE_WHICH] & 0xffffu) == i;
        }
        t->division[i] = (division){splits, t->call.share, (size_t)before * t->most * t->world->shape.query_heads};
        before += splits;
    }
    t->partials = (size_t)before * t->most * t->world->shape.query_heads;
}

static uint32_t num_tiles(const attention *t, uint32_t s)
{
    const stage_seq *seq = &t->world->seqs[s];
    return seq->blocks + (seq->exact ? 1 : 0) + (seq->length - seq->first + 63) / 64 + (t->tails[s] + 63) / 64;
}

static void make_list(attention *t)
{
    uint32_t row = 0, tail_row = 0;
    stage_buffer_make(t->world->bench, &t->list, (STAGE_SEQS * GEAR__SEQ_WORDS + MOST_PIECES * GEAR__PIECE_WORDS) * 4);
    memset(t->list.host, 0, (STAGE_SEQS * GEAR__SEQ_WORDS + MOST_PIECES * GEAR__PIECE_WORDS) * 4);
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        uint32_t words[GEAR__SEQ_WORDS];
        stage_seq_words(&t->world->seqs[i], words);
        words[GEAR__SEQ_COUNT] = t->queries[i];
        words[GEAR__SEQ_ROW] = row;
        words[GEAR__SEQ_TAIL] = t->tails[i];
        words[GEAR__SEQ_TAIL_ROW] = tail_row;
        memcpy(t->list.host + i * sizeof words, words, sizeof words);
        t->division[i] = (division){t->how->splits, gear__split_share(words[GEAR__SEQ_BLOCKS], num_tiles(t, i), t->how->splits),
                                    (size_t)row * t->world->shape.query_heads * t->how->splits};
        row += t->queries[i];
        tail_row += t->tails[i];
    }
    t->rows = row * t->world->shape.query_heads;
    t->partials = (size_t)t->rows * t->how->splits;
    if (t->how->cut && gear__attend_merges(t->world->layer.variant->tile.kernel)) {
        cut(t);
    }
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        ((uint32_t *)(void *)t->list.host)[i * GEAR__SEQ_WORDS + GEAR__SEQ_LENGTH] -= t->how->advance;
    }
    stage_put(t->world->bench, &t->list);
}

static float *reconstructed(const stage_world *w, const stage_seq *seq, uint32_t is_v)
{
    uint32_t words[GEAR__SEQ_WORDS];
    gear__ref_store store = stage_ref_store(w);
    float *out = malloc(((size_t)seq->length * w->c->kv_heads * w->c->head_dim + 1) * sizeof *out);
    cr_assert_not_null(out);
    stage_seq_words(seq, words);
    gear__ref_reconstruct(&store, words, is_v, 0, seq->length, out);
    return out;
}

static void attention_open(attention *t, stage_world *w, const stage_variation *how, uint32_t rows, uint32_t work_items)
{
    static const gear_type types[] = {GEAR_F32, GEAR_F16, GEAR_BF16};
    uint32_t heads = w->shape.query_heads, kv = w->c->kv_heads, d = w->c->head_dim;
    float *q[STAGE_SEQS], *tail_k[STAGE_SEQS], *tail_v[STAGE_SEQS];
    memset(t, 0, sizeof *t);
    t->world = w;
    t->how = how;
    t->bound = attend_bound(gear__attend_name(w->layer.variant->tile.kernel));
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        const uint32_t long_tail = stage_tiny() ? 5 : 70, wanted = i + 1 + how->splits;
        t->tails[i] = how->tails ? (i == 1 ? long_tail : i) : 0;
        t->queries[i] = 1 + wanted % w->c->max_queries;
        uint32_t total = w->seqs[i].length + t->tails[i];
        t->queries[i] = t->queries[i] < total ? t->queries[i] : total;
        t->most = t->queries[i] > t->most ? t->queries[i] : t->most;
    }
    t->call = (gear__attend_call){.layer = &w->layer,
                                  .num_seqs = STAGE_SEQS,
                                  .max_queries = t->most,
                                  .advance = how->advance,
                                  .splits = how->splits,
                                  .rows = rows,
                                  .work_items = work_items,
                                  .soft_cap = how->soft_cap,
                                  .has_lse = 1};
    make_list(t);
    t->call.seqs = t->list.mem;
    t->call.words = (const uint32_t *)(const void *)t->list.host;
    t->call.scale = how->scale > 0 ? how->scale : (float)(1 / sqrt((double)d));
    t->call.q = stage_tensor_make(t->world, how->strided, &t->q, heads, t->queries, types[how->splits % 3], 11, q);
    t->call.tail_k =
        stage_tensor_make(t->world, how->strided, &t->tail[0], kv, t->tails, types[(how->splits + 1) % 3], 12, tail_k);
    t->call.tail_v =
        stage_tensor_make(t->world, how->strided, &t->tail[1], kv, t->tails, types[(how->splits + 2) % 3], 13, tail_v);
    stage_buffer_make(w->bench, &t->partial, t->partials * d * 4);
    stage_buffer_make(w->bench, &t->softmax, t->partials * 8);
    stage_buffer_make(w->bench, &t->out, (size_t)t->rows * d * 4);
    stage_buffer_make(w->bench, &t->lse, (size_t)t->rows * 4);
    stage_put(w->bench, &t->partial);
    stage_put(w->bench, &t->softmax);
    stage_put(w->bench, &t->out);
    stage_put(w->bench, &t->lse);
    const uint32_t tiles = (w->c->group * t->most + GEAR__ATTEND_LEAST_ROWS - 1) / GEAR__ATTEND_LEAST_ROWS;
    stage_buffer_make(w->bench, &t->counters, (size_t)STAGE_SEQS * kv * tiles * 4);
    memset(t->counters.host, 0, (size_t)STAGE_SEQS * kv * tiles * 4);
    stage_put(w->bench, &t->counters);
    stage_buffer_make(w->bench, &t->tensors, GEAR__CALL_WORDS * 4);
    gear__attend_tensors(&t->call, (uint32_t *)(void *)t->tensors.host);
    stage_put(w->bench, &t->tensors);
    t->call.tensors = t->tensors.mem;
    t->call.partial = t->partial.mem;
    t->call.softmax = t->softmax.mem;
    t->call.lse = t->lse.mem;
    t->call.counters = t->counters.mem;
    t->call.out = (gear__tensor){t->out.mem, 0, 0, d, (cl_ulong)heads * d, GEAR_F32};
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        t->ref[i] = (gear__ref_attention){.head_dim = d,
                                          .kv_heads = kv,
                                          .query_heads = heads,
                                          .tokens = w->seqs[i].length,
                                          .tail = t->tails[i],
                                          .queries = t->queries[i],
                                          .k = reconstructed(w, &w->seqs[i], 0),
                                          .v = reconstructed(w, &w->seqs[i], 1),
                                          .tail_k = tail_k[i],
                                          .tail_v = tail_v[i],
                                          .q = q[i],
                                          .scale = (double)t->call.scale,
                                          .soft_cap = (double)how->soft_cap};
    }
}

static void attention_close(attention *t)
{
    stage_buffer *buffers[] = {&t->list,    &t->tensors, &t->q,   &t->tail[0], &t->tail[1],
                               &t->partial, &t->softmax, &t->out, &t->lse,     &t->counters};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        stage_buffer_free(buffers[i]);
    }
    for (uint32_t i = 0; i < STAGE_SEQS; i++) {
        const float *memory[] = {t->ref[i].k, t->ref[i].v, t->ref[i].tail_k, t->ref[i].tail_v, t->ref[i].q};
        for (size_t n = 0; n < sizeof memory / sizeof *memory; n++) {
            free((void *)(uintptr_t)memory[n]);
        }
    }
}

/* First position of tile `index` of a sequence without exact tokens; the length of all for the end. */
static uint32_t tile_start(const attention *t, uint32_t s, uint32_t index)
{
    const stage_world *w = t->world;
    const stage_seq *seq = &w->seqs[s];
    const uint32_t *row = (const uint32_t *)(const void *)w->table.host + (size_t)seq->slot * w->table_row * GEAR__BLOCK_WORDS;
    uint32_t window = (seq->length - seq->first + 63) / 64;
    if (index < seq->blocks) {
        return row[(1 + index) * GEAR__BLOCK_WORDS + GEAR__BLOCK_FIRST];
    }
    index -= seq->blocks;
    uint32_t at = index < window ? seq->first + 64 * index : seq->length + 64 * (index - window);
    return at < seq->length + t->tails[s] ? at : seq->length + t->tails[s];
}

/* Where the device keeps (sequence, query head, query, split). */
static size_t entry_of(const attention *t, uint32_t s, uint32_t row, uint32_t split)
{
    uint32_t head = row / t->queries[s], query = row % t->queries[s];
    return t->division[s].first + (size_t)(query * t->world->shape.query_heads + head) * t->division[s].splits + split;
}

/* The largest |v| that attention can see. */
static double largest_value(const gear__ref_attention *ref)
{
    double most = 1;
    for (size_t i = 0; i < (size_t)ref->kv_heads * ref->tokens * ref->head_dim; i++) {
        most = fmax(most, fabs((double)ref->v[i]));
    }
    for (size_t i = 0; i < (size_t)ref->kv_heads * ref->tail * ref->head_dim; i++) {
        most = fmax(most, fabs((double)ref->tail_v[i]));
    }
    return most;
}

/* One sequence: partials one by one (no exact tokens), then joined on the host; `merged` and `lse` are the device's. */
static void check_sequence(const attention *t, uint32_t s, const float *partial, const float *softmax, const float *merged,
                           const float *lse)
{
    const gear__ref_attention *ref = &t->ref[s];
    const uint32_t d = ref->head_dim, rows = ref->query_heads * ref->queries, splits = t->division[s].splits;
    const uint32_t *words = (const uint32_t *)(const void *)t->list.host + s * GEAR__SEQ_WORDS;
    size_t n = (size_t)rows * splits, values = (size_t)rows * d;
    double *memory = calloc(n * (d + 2) + 4 * values + 5 * rows, sizeof *memory), largest = 0;
    cr_assert_not_null(memory);
    double *max = memory, *sum = max + n, *sums = sum + n, *want = sums + n * d, *joined = want + values,
           *range = joined + values;
    double *want_lse = range + values, *joined_lse = want_lse + rows, *range_max = joined_lse + rows,
           *range_sum = range_max + rows, *slack = range_sum + rows, *out_slack = slack + rows;
    gear__ref_attend(ref, want, want_lse);
    if (t->bound > 1e-5 && stage_has_slack(t->world)) {
        stage_slack(t->world, &t->world->seqs[s], ref, want, slack, out_slack);
    }
    for (size_t i = 0; i < values; i++) {
        largest = fmax(largest, fabs(want[i]));
    }
    /* 16-bit kernels round each probability by up to 2^-11 of it: in the sum over a few tokens of a split that is up to 2^-11
     * of the sum of p |v|, however small the sum of p v. */
    const double reach = t->bound > 1e-5 ? largest_value(ref) : 1;
    for (uint32_t split = 0; split < splits; split++) {
        uint32_t tiles = num_tiles(t, s), blocks = t->world->seqs[s].blocks;
        uint32_t share = t->division[s].share, lo = gear__tile_at(blocks, tiles, split * share);
        uint32_t hi = split + 1 < splits ? gear__tile_at(blocks, tiles, (split + 1) * share) : tiles;
        int alone = !t->world->shape.exact_max;
        if (alone) {
            gear__ref_attend_1_partial(ref, tile_start(t, s, lo), tile_start(t, s, hi), range_max, range_sum, range);
        }
        for (uint32_t row = 0; row < rows; row++) {
            size_t at = entry_of(t, s, row, split), to = (size_t)split * rows + row;
            max[to] = softmax[2 * at] > -1e29f ? (double)softmax[2 * at] : -INFINITY;
            sum[to] = (double)softmax[2 * at + 1];
            for (uint32_t c = 0; c < d; c++) {
                sums[to * d + c] = (double)partial[at * d + c];
            }
            if (alone && range_sum[row] <= 0) {
                STAGE_EXPECT(sum[to] == 0, "%s: row %u saw something in split %u", t->world->c->name, row, split);
            } else if (alone) {
                double scale = range_sum[row], top = range_max[row], v_most = 0;
                for (uint32_t c = 0; c < d; c++) {
                    v_most = fmax(v_most, fabs(range[row * d + c]));
                }
                /* 16-bit kernels take another reference than the largest score; it cancels below */
                STAGE_EXPECT(t->bound > 1e-5 || fabs(max[to] - top) <= t->bound * fmax(1, fabs(top)),
                             "%s: largest score %g, not %g", t->world->c->name, max[to], top);
                double shift = exp(max[to] - top), grown = expm1(slack[row]) * scale;
                STAGE_EXPECT(fabs(sum[to] * shift - scale) <= 10 * t->bound * scale + grown, "%s: sum", t->world->c->name);
                for (uint32_t c = 0; c < d; c++) {
                    STAGE_EXPECT(fabs(sums[to * d + c] * shift - range[row * d + c]) <=
                                     t->bound * fmax(v_most, scale * reach) + grown * reach,
                                 "%s: partial", t->world->c->name);
                }
            }
        }
    }
    gear__ref_attend_2_merge(splits, rows, d, max, sum, sums, joined, joined_lse);
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t head = row / ref->queries, query = row % ref->queries;
        const float *out = merged + ((size_t)(words[GEAR__SEQ_ROW] + query) * ref->query_heads + head) * d;
        double device_lse = (double)lse[(size_t)words[GEAR__SEQ_ROW] * ref->query_heads + row];
        const double lse_bound = t->bound * fmax(1, fabs(want_lse[row])) + slack[row];
        STAGE_EXPECT(fabs(joined_lse[row] - want_lse[row]) <= lse_bound, "%s: lse", t->world->c->name);
        STAGE_EXPECT(fabs(device_lse - want_lse[row]) <= lse_bound, "%s: lse of the merge", t->world->c->name);
        for (uint32_t c = 0; c < d; c++) {
            double wanted = want[(size_t)row * d + c], on_host = joined[(size_t)row * d + c];
            double most = t->bound * largest + out_slack[(size_t)row * d + c];
            STAGE_EXPECT(fabs(on_host - wanted) <= most, "%s, %s, %u splits, sequence %u, row %u, channel %u: %g, not %g",
                         t->world->c->name, gear__attend_name(t->world->layer.variant->tile.kernel), splits, s, row, c, on_host,
                         wanted);
            STAGE_EXPECT(fabs((double)out[c] - wanted) <= most, "%s, sequence %u, row %u, channel %u, merged: %g, not %g",
                         t->world->c->name, s, row, c, (double)out[c], wanted);
        }
    }
    free(memory);
}

int stage_attend(stage_world *w, const stage_variation *how, uint32_t rows, uint32_t work_items)
{
    attention t;
    attention_open(&t, w, how, rows, work_items);
    const int is_cut = t.call.num_pieces != 0;
    STAGE_LAUNCH(w->bench, gear__attend_1_partial(&stream, &t.call, &error));
    if (!gear__attend_merges(w->layer.variant->tile.kernel)) {
        STAGE_LAUNCH(w->bench, gear__attend_2_merge(&stream, &t.call, &error));
    }
    uint8_t *partial = stage_get(w->bench, &t.partial), *softmax = stage_get(w->bench, &t.softmax);
    uint8_t *out = stage_get(w->bench, &t.out), *lse = stage_get(w->bench, &t.lse);
    for (uint32_t s = 0; s < STAGE_SEQS; s++) {
        check_sequence(&t, s, (float *)(void *)partial, (float *)(void *)softmax, (float *)(void *)out, (float *)(void *)lse);
    }
    stage_same(w->bench, &t.list, "list");
    stage_same(w->bench, &t.q, "q");
    stage_same(w->bench, &t.counters, "counters");
    free(partial);
    free(softmax);
    free(out);
    free(lse);
    attention_close(&t);
    return is_cut;
}
