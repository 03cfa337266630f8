/* attend.c: gear_attend: checks, brings the batch list up to date, chooses the splits, launches the fused pass and the merge.
 */
#include <math.h>
#include <string.h>

#include "api/internal.h"
#include "stage/attend_pieces.h"

static const char where[] = "gear_attend";

static uint32_t tail_of(const gear_attend_desc *desc, const gear_batch *batch, uint32_t i)
{
    if (!desc->tail_k) {
        return 0;
    }
    return desc->tail_tokens ? desc->tail_tokens[i] : gear__batch_tokens(batch, i);
}

static gear_status check_desc(const gear_attend_desc *desc, gear_error *error)
{
    if (desc->struct_size != sizeof *desc) {
        return gear__fail(error, GEAR_ERROR_STRUCT_SIZE, where,
                          "desc.struct_size is %zu, not %zu (gear_attend_desc_init sets it)", desc->struct_size, sizeof *desc);
    }
    if (!isfinite(desc->scale) || !isfinite(desc->soft_cap) || desc->soft_cap < 0.0f) {
        int scale = !isfinite(desc->scale);
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "desc.%s is %g; it must be finite%s", scale ? "scale" : "soft_cap",
                          scale ? (double)desc->scale : (double)desc->soft_cap, scale ? "" : " and not negative");
    }
    if (!desc->tail_k != !desc->tail_v) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "desc.%s is NULL and the other tail is not",
                          desc->tail_k ? "tail_v" : "tail_k");
    }
    if (desc->tail_tokens && !desc->tail_k) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "desc.tail_tokens is given and desc.tail_k is NULL");
    }
    return GEAR__RESERVED_CHECK(desc, "desc", where, error);
}

/* The most of a sequence. */
typedef struct extent {
    uint32_t queries, tiles;
    uint32_t weight; /* of its tiles, as gear__split_share counts them */
} extent;

/* Checks lengths and writes the batch list. */
static gear_status build_list(gear_cache *cache, const gear__layer *layer, const gear_batch *batch,
                              const gear_attend_desc *desc, extent *most, gear_error *error)
{
    uint64_t row = 0, tail_row = 0;
    *most = (extent){0, 0, 0};
    for (uint32_t i = 0; i < batch->count; i++) {
        const gear__slot *slot = &layer->slots[cache->slots[i]];
        uint32_t queries = gear__batch_tokens(batch, i), tail = tail_of(desc, batch, i);
        uint64_t total = (uint64_t)slot->length + tail;
        if (queries > cache->desc.max_query_tokens) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "batch.tokens[%u] is %u; max_query_tokens is %u", i, queries,
                              cache->desc.max_query_tokens);
        }
        if (queries > total || total > UINT32_MAX / 2) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, where,
                              "batch.tokens[%u] is %u; the sequence and its tail have %llu tokens", i, queries,
                              (unsigned long long)total);
        }
        uint32_t *w = cache->words + i * GEAR__SEQ_WORDS;
        w[GEAR__SEQ_SLOT] = cache->slots[i];
        w[GEAR__SEQ_LENGTH] = slot->length;
        w[GEAR__SEQ_COUNT] = queries;
        w[GEAR__SEQ_ROW] = (uint32_t)row;
        w[GEAR__SEQ_FIRST] = slot->first;
        w[GEAR__SEQ_BLOCKS] = slot->num_blocks;
        w[GEAR__SEQ_TAIL] = tail;
        w[GEAR__SEQ_TAIL_ROW] = (uint32_t)tail_row;
        row += queries;
        tail_row += tail;
        uint32_t dense = (slot->exact ? 1 : 0) + (slot->length - slot->first + 63) / 64 + (tail + 63) / 64;
        uint32_t tiles = slot->num_blocks + dense, weight = slot->num_blocks + GEAR__DENSE_WEIGHT * dense;
        most->tiles = tiles > most->tiles ? tiles : most->tiles;
        most->weight = weight > most->weight ? weight : most->weight;
        most->queries = queries > most->queries ? queries : most->queries;
    }
    return GEAR_OK;
}

static gear_status check_lse(const gear_cache *cache, const gear_batch *batch, const gear_attend_desc *desc, gear_error *error)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        rows += gear__batch_tokens(batch, i);
    }
    uint64_t bytes = rows * cache->desc.num_query_heads * sizeof(cl_float);
    const gear__region region = {desc->lse, desc->lse_offset, sizeof(cl_float), bytes, "desc.lse", "", "_offset", 1};
    return gear__region_check(cache, &region, where, error);
}

/* How work-groups are made for so many query rows of each of `heads` KV heads, counted over all sequences. More rows than one
 * tile has go to wide ones. Of work-groups that are all under way at once the large ones leave fewer splits to join; where many
 * follow one another on a compute unit, small ones hide better how each begins and ends (H100, which has places for 264 large
 * ones: 1024 of them take 165 us, small ones 154; 512 of them 301 and 313). */
static gear__attend_tile tile_for(const gear_cache *cache, const gear__variant *variant, uint32_t rows, uint64_t heads)
{
    gear__attend_tile tile = variant->tile;
    const uint64_t groups = heads * ((rows + tile.rows - 1) / tile.rows);
    if (tile.wide_rows && rows > tile.rows) {
        tile.rows = tile.wide_rows;
        tile.work_items = tile.wide_items;
        tile.tiles = tile.wide_items / 32;
        tile.groups_per_unit = tile.wide_per_unit;
    } else if (tile.least_items < tile.work_items &&
               groups > 3 * (uint64_t)cache->context->device.caps.compute_units * tile.groups_per_unit) {
        tile.tiles = tile.tiles * tile.least_items / tile.work_items;
        tile.work_items = tile.least_items;
        tile.groups_per_unit = tile.least_per_unit;
    }
    return tile;
}

/* Parts that each query row's tiles are split into: enough work-groups to fill the device, no more than there are tiles. Where
 * the kernel joins them itself, one work-group reads all parts of a row tile: of the numbers that let every work-group go over
 * as few tiles, one after the other, the least. */
static uint32_t choose_splits(const gear_cache *cache, const gear__attend_tile *tile, uint64_t groups, const extent *most)
{
    uint64_t splits = (uint64_t)cache->context->device.caps.compute_units * tile->groups_per_unit / groups;
    int merges = gear__attend_merges(tile->kernel);
    uint64_t parts = ((uint64_t)(merges ? most->weight : most->tiles) + tile->tiles - 1) / tile->tiles;
    splits = splits < parts ? splits : parts;
    if (merges && splits > 1) {
        splits = splits < GEAR__MERGED_SPLITS ? splits : GEAR__MERGED_SPLITS;
        const uint64_t rounds = (parts + splits - 1) / splits;
        splits = (parts + rounds - 1) / rounds;
    }
    return splits ? (uint32_t)splits : 1;
}

/* Divides the call between work-groups; *more: words behind the list. */
static void divide(const gear_cache *cache, const gear__variant *variant, const extent *most, gear__attend_call *call,
                   uint32_t *more)
{
    const uint32_t units = cache->context->device.caps.compute_units, count = call->num_seqs;
    const uint32_t heads = cache->desc.num_kv_heads, rows = most->queries * (cache->desc.num_query_heads / heads);
    const gear__attend_tile tile = tile_for(cache, variant, rows, (uint64_t)count * heads);
    const uint32_t head_tiles = heads * ((rows + tile.rows - 1) / tile.rows);
    call->rows = tile.rows;
    call->work_items = tile.work_items;
    call->splits = choose_splits(cache, &tile, (uint64_t)count * head_tiles, most);
    if (count == 1) {
        call->share = (most->weight + call->splits - 1) / call->splits;
    } else if (gear__attend_merges(tile.kernel)) {
        const gear__attend_load load = {units * tile.groups_per_unit / head_tiles, tile.tiles, call->splits,
                                        cache->desc.recent};
        call->share =
            gear__attend_cut(cache->words, count, &load, cache->words + (size_t)count * GEAR__SEQ_WORDS, &call->num_pieces);
    }
    *more = call->num_pieces * GEAR__PIECE_WORDS;
}

static gear_status check_views(const gear_cache *cache, const gear_batch *batch, const gear_view *q,
                               const gear_attend_desc *desc, const gear_view *out, gear__attend_call *call, gear_error *error)
{
    uint32_t n = batch->count, kv = cache->desc.num_kv_heads, heads = cache->desc.num_query_heads;
    gear_status status = gear__view_check(cache, q, "q", heads, n, batch->tokens, batch->tokens_each, where, &call->q, error);
    status = status
                 ? status
                 : gear__output_check(cache, out, "out", heads, n, batch->tokens, batch->tokens_each, where, &call->out, error);
    if (!status && desc->tail_k) {
        const uint32_t *counts = desc->tail_tokens ? desc->tail_tokens : batch->tokens;
        status = gear__view_check(cache, desc->tail_k, "desc.tail_k", kv, n, counts, batch->tokens_each, where, &call->tail_k,
                                  error);
        status = status ? status
                        : gear__view_check(cache, desc->tail_v, "desc.tail_v", kv, n, counts, batch->tokens_each, where,
                                           &call->tail_v, error);
    }
    return status ? status : check_lse(cache, batch, desc, error);
}

/* Uploads the strides and types of the caller's tensors when they changed. */
static gear_status update_tensors(gear_cache *cache, gear__stream *stream, const gear__attend_call *call, gear_error *error)
{
    uint32_t words[GEAR__CALL_WORDS];
    gear__attend_tensors(call, words);
    if (!memcmp(words, cache->tensor_words, sizeof words)) {
        return GEAR_OK;
    }
    memset(cache->tensor_words, 0xff, sizeof cache->tensor_words);
    gear_status status = gear__upload(stream, call->layer->variant, cache->tensors, 0, words, GEAR__CALL_WORDS, error);
    if (!status) {
        memcpy(cache->tensor_words, words, sizeof words);
    }
    return status;
}

gear_status gear_attend(gear_cache *cache, uint32_t layer_index, const gear_batch *batch, const gear_view *q,
                        const gear_attend_desc *desc, const gear_view *out, const gear_sync *sync, gear_error *error)
{
    gear_attend_desc plain;
    gear_attend_desc_init(&plain);
    desc = desc ? desc : &plain;
    gear_status status = gear__verb_check(cache, layer_index, sync, where, error);
    status = status ? status : gear__batch_check(cache, batch, 1, where, error);
    status = status ? status : check_desc(desc, error);
    if (status) {
        return status;
    }
    const gear__layer *layer = &cache->layers[layer_index];
    const gear__tensor none = {.mem = cache->dummy};
    gear__attend_call call = {.layer = &layer->memory,
                              .seqs = cache->attend_list.mem,
                              .tensors = cache->tensors,
                              .words = cache->attend_list.words,
                              .num_seqs = batch->count,
                              .tail_k = none,
                              .tail_v = none,
                              .scale = desc->scale != 0.0f ? desc->scale : (float)(1.0 / sqrt(cache->desc.head_dim)),
                              .soft_cap = desc->soft_cap,
                              .partial = cache->partial,
                              .softmax = cache->softmax,
                              .counters = cache->counters,
                              .lse = desc->lse ? desc->lse : cache->dummy,
                              .lse_offset = desc->lse_offset / 4,
                              .has_lse = desc->lse != NULL};
    extent most;
    status = check_views(cache, batch, q, desc, out, &call, error);
    status = status ? status : build_list(cache, layer, batch, desc, &most, error);
    if (status) {
        return status;
    }
    call.max_queries = most.queries;
    uint32_t more;
    divide(cache, layer->memory.variant, &most, &call, &more);

    gear__stream stream;
    status = gear__stream_begin(&stream, &cache->context->device, sync, where, error);
    if (status) {
        return status;
    }
    status = gear__list_update(cache, &stream, layer, &cache->attend_list, batch->count, more, &call.advance, error);
    status = status ? status : update_tensors(cache, &stream, &call, error);
    const int counts = gear__attend_merges(layer->memory.variant->tile.kernel);
    if (!status && counts) {
        status = gear__counters_ready(cache, &stream, error);
    }
    status = status ? status : gear__attend_1_partial(&stream, &call, error);
    if (!status && !counts) {
        status = gear__attend_2_merge(&stream, &call, error);
    }
    return gear__stream_end(&stream, status, error);
}
