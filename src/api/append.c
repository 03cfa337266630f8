/* append.c: gear_append and gear_flush. A call first plans and takes every record it needs (all or nothing), then enqueues
 * the compressor in rounds of as many tokens as its scratch holds, or the blocks of a decode step at once, and the window write
 * last, since new tokens take the place of compressed ones, and commits the host state when all is enqueued. */
#include <string.h>

#include "api/append_call.h"

/* Takes the records of one segment; fills the page table entries of its blocks. 0 when the pool is full. */
static int take_segment(gear__append_call *call, gear__slot *slot, const gear__plan_segment *segment)
{
    const gear__shape *shape = &call->layer->memory.variant->shape;
    gear__heap *heap = &call->layer->heap;
    uint32_t before = slot->planned, blocks = (segment->tokens + 63) / 64;
    uint32_t exact = slot->exact > segment->first ? slot->exact - segment->first : 0;
    exact = exact < segment->tokens ? exact : segment->tokens;
    uint64_t entries[2];
    for (int s = 0; s < 2; s++) {
        entries[s] = gear__outlier_entries(shape, &shape->side[s], segment->tokens, exact);
    }
    if (slot->planned + blocks > call->cache->max_blocks) {
        return 0;
    }
    uint64_t granules = gear__segment_granules(shape, segment->cls, entries[0], entries[1]);
    uint32_t record = granules < UINT32_MAX ? gear__heap_take_high(heap, (uint32_t)granules) : GEAR__HEAP_NONE;
    if (record == GEAR__HEAP_NONE) {
        return 0;
    }
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t offset = gear__heap_take(heap, gear__block_granules(shape, segment->cls));
        if (offset == GEAR__HEAP_NONE) {
            if (slot->planned == before) {
                gear__heap_give(heap, record, (uint32_t)granules);
            }
            return 0;
        }
        uint32_t tokens = segment->tokens - 64 * i < 64 ? segment->tokens - 64 * i : 64;
        slot->blocks[slot->planned++] = (gear__block){
            .word = {[GEAR__BLOCK_OFFSET] = offset,
                     [GEAR__BLOCK_SEGMENT] = record,
                     [GEAR__BLOCK_FIRST] = segment->first + 64 * i,
                     [GEAR__BLOCK_INFO] = tokens | segment->cls << 8 | i << 16},
            .segment_granules = i ? 0 : (uint32_t)granules,
            .outliers = {i ? 0 : (uint32_t)entries[0], i ? 0 : (uint32_t)entries[1]},
        };
    }
    return 1;
}

/* Takes the channel order and the exact record when the first segment of a sequence is about to be compressed. */
static int take_sequence_records(gear__append_call *call, gear__slot *slot, const gear__plan_segment *segment)
{
    const gear__shape *shape = &call->layer->memory.variant->shape;
    uint32_t wanted = call->cache->desc.exact_first;
    if (!slot->planned && slot->order_record == GEAR__HEAP_NONE && shape->order_bytes) {
        slot->order_record = gear__heap_take_high(&call->layer->heap, (shape->order_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE);
        if (slot->order_record == GEAR__HEAP_NONE) {
            return 0;
        }
    }
    if (slot->planned || slot->exact_record != GEAR__HEAP_NONE || !shape->exact_max) {
        return 1;
    }
    slot->exact_record = gear__heap_take_high(&call->layer->heap, (shape->exact_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE);
    if (slot->exact_record == GEAR__HEAP_NONE) {
        return 0;
    }
    slot->exact = wanted == GEAR_EXACT_AUTO ? (segment->tokens < 256 ? 1 : 4) : wanted;
    return 1;
}

static int plan_sequence(gear__append_call *call, uint32_t i)
{
    gear__slot *slot = gear__slot_of(call, i);
    gear__plan plan;
    gear__plan_segment segment;
    gear__plan_begin(&plan, slot->first, slot->length, gear__new_tokens(call, i));
    while (gear__plan_next(&plan, &call->cache->rules, &segment)) {
        if (!take_sequence_records(call, slot, &segment) || !take_segment(call, slot, &segment)) {
            return 0;
        }
    }
    return 1;
}

static void give_back(gear__append_call *call, uint32_t sequences)
{
    for (uint32_t i = 0; i < sequences; i++) {
        gear__slot *slot = gear__slot_of(call, i);
        gear__slot_release(call->layer, slot, slot->num_blocks);
    }
}

static gear_status plan_all(gear__append_call *call, gear_error *error)
{
    const gear_cache_desc *desc = &call->cache->desc;
    uint64_t total = call->layer->tokens;
    for (uint32_t i = 0; i < call->batch->count; i++) {
        uint64_t length = (uint64_t)gear__slot_of(call, i)->length + gear__new_tokens(call, i);
        total += gear__new_tokens(call, i);
        if (length > desc->max_sequence_tokens) {
            return gear__fail(error, GEAR_ERROR_CAPACITY, call->where,
                              "batch.sequences[%u] would have %llu tokens; max_sequence_tokens is %llu", i,
                              (unsigned long long)length, (unsigned long long)desc->max_sequence_tokens);
        }
    }
    if (total > desc->capacity_tokens) {
        return gear__fail(error, GEAR_ERROR_CAPACITY, call->where, "the layer would hold %llu tokens; capacity_tokens is %llu",
                          (unsigned long long)total, (unsigned long long)desc->capacity_tokens);
    }
    for (uint32_t i = 0; i < call->batch->count; i++) {
        if (!plan_sequence(call, i)) {
            give_back(call, i + 1);
            return gear__fail(error, GEAR_ERROR_CAPACITY, call->where,
                              "no room in the pool for batch.sequences[%u]: %u of %u granules in use", i,
                              call->layer->heap.used, call->layer->heap.size);
        }
    }
    return GEAR_OK;
}

/* The batch where nothing is compressed in rounds. */
static gear_status upload_batch(gear__append_call *call, uint32_t *advance, gear_error *error)
{
    gear_cache *cache = call->cache;
    uint32_t row = 0;
    for (uint32_t i = 0; i < call->batch->count; i++) {
        gear__sequence_words(call, i, &row, cache->words + i * GEAR__SEQ_WORDS);
    }
    return gear__list_update(cache, &call->stream, call->layer, &cache->append_list, call->batch->count, 0, advance, error);
}

static gear_status write_window(gear__append_call *call, uint32_t advance, gear_error *error)
{
    uint32_t longest = 0; /* new tokens that stay */
    for (uint32_t i = 0; i < call->batch->count; i++) {
        const gear__slot *slot = gear__slot_of(call, i);
        uint32_t first = gear__first_after(slot), n = gear__new_tokens(call, i);
        n -= first > slot->length ? first - slot->length : 0;
        longest = n > longest ? n : longest;
    }
    if (!longest) {
        return GEAR_OK;
    }
    return gear__append_6_window(&call->stream, &call->layer->memory, call->cache->append_list.mem, call->batch->count, longest,
                                 advance, &call->k, &call->v, call->cache->health, error);
}

static gear_status enqueue_all(gear__append_call *call, gear_error *error)
{
    uint32_t advance = 0, planned = 0;
    for (uint32_t i = 0; i < call->batch->count; i++) {
        planned += gear__slot_of(call, i)->planned - gear__slot_of(call, i)->num_blocks;
    }
    const int is_step = planned && gear__is_decode_step(call), is_staged = planned && !is_step;
    gear_status status = is_step ? gear__decode_step(call, error) : GEAR_OK;
    if (status || (is_step && gear__decode_writes_window(call)) || (call->is_flush && !is_staged)) {
        return status;
    }
    status = is_staged ? gear__compress_in_rounds(call, error) : upload_batch(call, &advance, error);
    return status ? status : write_window(call, advance, error);
}

static gear_status append_or_flush(gear__append_call *call, const gear_sync *sync, gear_error *error)
{
    gear_status status = gear__stream_begin(&call->stream, &call->cache->context->device, sync, call->where, error);
    if (status) {
        return status;
    }
    status = plan_all(call, error);
    if (status) {
        return gear__stream_end(&call->stream, status, error);
    }
    status = enqueue_all(call, error);
    status = gear__stream_end(&call->stream, status, error);
    if (status) {
        give_back(call, call->batch->count);
        return status;
    }
    for (uint32_t i = 0; i < call->batch->count; i++) {
        gear__slot *slot = gear__slot_of(call, i);
        slot->first = gear__first_after(slot);
        slot->num_blocks = slot->planned;
        slot->length += gear__new_tokens(call, i);
        call->layer->tokens += gear__new_tokens(call, i);
    }
    return GEAR_OK;
}

static gear_status check_weights(const gear_cache *cache, const gear_batch *batch, const gear_append_desc *desc,
                                 const char *where, gear_error *error)
{
    if (desc->struct_size != sizeof *desc) {
        return gear__fail(error, GEAR_ERROR_STRUCT_SIZE, where,
                          "desc.struct_size is %zu, not %zu (gear_append_desc_init sets it)", desc->struct_size, sizeof *desc);
    }
    gear_status status = GEAR__RESERVED_CHECK(desc, "desc", where, error);
    if (status) {
        return status;
    }
    uint64_t bytes = (uint64_t)batch->count * cache->desc.num_kv_heads * cache->desc.head_dim * sizeof(cl_float);
    const gear__region region = {
        desc->query_squares, desc->query_squares_offset, sizeof(cl_float), bytes, "desc.query_squares", "", "_offset", 0};
    return gear__region_check(cache, &region, where, error);
}

gear_status gear_append(gear_cache *cache, uint32_t layer, const gear_batch *batch, const gear_view *k, const gear_view *v,
                        const gear_sync *sync, gear_error *error)
{
    return gear_append_weighted(cache, layer, batch, k, v, NULL, sync, error);
}

gear_status gear_append_weighted(gear_cache *cache, uint32_t layer, const gear_batch *batch, const gear_view *k,
                                 const gear_view *v, const gear_append_desc *desc, const gear_sync *sync, gear_error *error)
{
    static const char where[] = "gear_append";
    gear_status status = gear__verb_check(cache, layer, sync, where, error);
    status = status ? status : gear__batch_check(cache, batch, 1, where, error);
    status = status || !desc ? status : check_weights(cache, batch, desc, where, error);
    if (status) {
        return status;
    }
    gear__append_call call = {.cache = cache, .layer = &cache->layers[layer], .batch = batch, .where = where};
    call.weights = desc && desc->query_squares ? desc : NULL;
    uint32_t heads = cache->desc.num_kv_heads;
    status = gear__view_check(cache, k, "k", heads, batch->count, batch->tokens, batch->tokens_each, where, &call.k, error);
    status =
        status ? status
               : gear__view_check(cache, v, "v", heads, batch->count, batch->tokens, batch->tokens_each, where, &call.v, error);
    return status ? status : append_or_flush(&call, sync, error);
}

gear_status gear_flush(gear_cache *cache, uint32_t layer, const gear_batch *batch, const gear_sync *sync, gear_error *error)
{
    static const char where[] = "gear_flush";
    gear_status status = gear__verb_check(cache, layer, sync, where, error);
    status = status ? status : gear__batch_check(cache, batch, 0, where, error);
    if (status) {
        return status;
    }
    const gear__tensor none = {.mem = cache->dummy};
    gear__append_call call = {
        .cache = cache, .layer = &cache->layers[layer], .batch = batch, .is_flush = 1, .where = where, .k = none, .v = none};
    return append_or_flush(&call, sync, error);
}
