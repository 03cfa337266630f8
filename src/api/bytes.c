/* bytes.c: what a cache takes, what it holds, and what it saw. */
#include <string.h>

#include "api/internal.h"

static void add(gear_bytes *sum, const gear_bytes *part)
{
    sum->codes += part->codes;
    sum->scales += part->scales;
    sum->lowrank += part->lowrank;
    sum->outliers += part->outliers;
    sum->exact += part->exact;
    sum->window += part->window;
    sum->tables += part->tables;
    sum->scratch += part->scratch;
    sum->unused += part->unused;
    sum->total += part->total;
}

/* Records of one slot. */
static void count_slot(const gear__shape *shape, const gear__slot *slot, gear_bytes *bytes)
{
    for (uint32_t b = 0; b < slot->num_blocks;) {
        uint32_t end = b + 1;
        while (end < slot->num_blocks && !slot->blocks[end].segment_granules) {
            end++;
        }
        uint32_t cls = GEAR__INFO_CLASS(slot->blocks[b].word[GEAR__BLOCK_INFO]);
        gear__count_segment(shape, cls, end - b, slot->blocks[b].outliers[0], slot->blocks[b].outliers[1], bytes);
        b = end;
    }
    if (slot->order_record != GEAR__HEAP_NONE) {
        uint64_t granules = (shape->order_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE * GEAR__GRANULE;
        bytes->scales += shape->order_bytes;
        bytes->tables += granules - shape->order_bytes;
        bytes->total += granules;
    }
    if (slot->exact_record != GEAR__HEAP_NONE) {
        uint64_t granules = (shape->exact_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE * GEAR__GRANULE;
        bytes->exact += shape->exact_bytes;
        bytes->tables += granules - shape->exact_bytes;
        bytes->total += granules;
    }
}

static void count_layer(const gear_cache *cache, const gear__layer *layer, const gear__sizes *sizes, gear_bytes *bytes)
{
    gear_bytes held = {0};
    for (uint32_t s = 0; s < cache->desc.capacity_sequences; s++) {
        count_slot(&layer->memory.variant->shape, &layer->slots[s], &held);
    }
    /* Table entries of blocks are counted with them; the rest of the table, like the free part of the pool, is not in use. */
    uint64_t allocated = sizes->pool_bytes + sizes->table_bytes;
    held.unused = allocated - held.total;
    held.window = sizes->window_bytes;
    held.total = allocated + sizes->window_bytes;
    add(bytes, &held);
}

gear_status gear_cache_bytes(const gear_cache *cache, uint32_t layer, gear_bytes *bytes, gear_error *error)
{
    static const char where[] = "gear_cache_bytes";
    if (!cache || !bytes) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", cache ? "bytes" : "cache");
    }
    if (layer != GEAR_ALL_LAYERS && layer >= cache->desc.num_layers) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "layer is %u; the cache has %u", layer, cache->desc.num_layers);
    }
    memset(bytes, 0, sizeof *bytes);
    for (uint32_t i = 0; i < cache->desc.num_layers; i++) {
        gear__sizes sizes;
        if (layer == GEAR_ALL_LAYERS || layer == i) {
            gear__sizes_of(&cache->desc, &cache->layers[i].memory.variant->shape, &cache->context->device.caps, &cache->needs,
                           &sizes);
            count_layer(cache, &cache->layers[i], &sizes, bytes);
        }
    }
    if (layer == GEAR_ALL_LAYERS) {
        gear_bytes shared = cache->scratch_bytes;
        shared.tables += (uint64_t)cache->num_variants * GEAR__SHAPE_WORDS * 4;
        shared.total = shared.scratch + shared.tables;
        add(bytes, &shared);
    }
    return GEAR_OK;
}

/* One segment of `tokens` tokens: its bytes, and its bits per value. */
static double segment_bits(const gear__shape *shape, uint32_t cls, uint32_t tokens, gear_bytes *bytes)
{
    uint64_t k = gear__outlier_entries(shape, &shape->side[0], tokens, 0),
             v = gear__outlier_entries(shape, &shape->side[1], tokens, 0);
    memset(bytes, 0, sizeof *bytes);
    gear__count_segment(shape, cls, (tokens + 63) / 64, k, v, bytes);
    return (double)bytes->total * 8 / (2.0 * tokens * shape->kv_heads * shape->head_dim);
}

static void divide(gear_bytes *bytes, uint64_t by)
{
    bytes->codes /= by;
    bytes->scales /= by;
    bytes->lowrank /= by;
    bytes->outliers /= by;
    bytes->total = (bytes->total + by - 1) / by;
    bytes->tables = bytes->total - bytes->codes - bytes->scales - bytes->lowrank - bytes->outliers;
}

/* desc checked. */
static gear_status fill_plan(const gear_context *context, const gear_cache_desc *desc, gear_cache_plan *plan, const char *where,
                             gear_error *error)
{
    gear_cache_desc complete = gear__desc_complete(desc);
    gear_cache_plan_init(plan);
    const gear__scratch_needs needs = gear__scratch_needs_of(&complete, &context->device.caps);
    uint32_t variants = gear__desc_variants(&complete);
    for (uint32_t i = 0; i < desc->num_layers; i++) {
        gear__shape shape;
        gear__sizes sizes;
        gear__attend_tile tile;
        gear__shape_init(&shape, &complete, &desc->codecs[desc->num_codecs == 1 ? 0 : i]);
        gear__sizes_of(&complete, &shape, &context->device.caps, &needs, &sizes);
        gear_status status = gear__sizes_check(&complete, i, &sizes, &context->device.caps, where, error);
        status = status ? status : gear__attend_resolve(&context->device.caps, &complete, &shape, where, &tile, error);
        if (status) {
            return status;
        }
        gear_bytes layer = {.window = sizes.window_bytes, .unused = sizes.pool_bytes + sizes.table_bytes};
        layer.total = layer.window + layer.unused;
        add(&plan->allocated, &layer);
        if (i == 0) {
            gear_bytes shared = {.scratch = sizes.scratch_bytes,
                                 .tables = sizes.list_bytes + (uint64_t)variants * GEAR__SHAPE_WORDS * 4};
            shared.total = shared.scratch + shared.tables;
            add(&plan->allocated, &shared);
            plan->prompt_bits = segment_bits(&shape, GEAR__PROMPT, complete.max_segment_tokens, &plan->prompt_block);
            plan->decode_bits = segment_bits(&shape, GEAR__DECODE, complete.window, &plan->decode_block);
            divide(&plan->prompt_block, complete.max_segment_tokens / 64);
            plan->window_tokens = shape.window_tokens;
            gear__attend_describe(&context->device.caps, &complete, &shape, &tile, plan);
        }
    }
    return GEAR_OK;
}

gear_status gear_cache_query(gear_context *context, const gear_cache_desc *desc, gear_cache_plan *plan, gear_error *error)
{
    static const char where[] = "gear_cache_query";
    if (!context || !plan) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", context ? "plan" : "context");
    }
    if (plan->struct_size != sizeof *plan) {
        return gear__fail(error, GEAR_ERROR_STRUCT_SIZE, where,
                          "plan.struct_size is %zu, not %zu (gear_cache_plan_init sets it)", plan->struct_size, sizeof *plan);
    }
    gear_cache_plan filled;
    gear_status status = GEAR__RESERVED_CHECK(plan, "plan", where, error);
    status = status ? status : gear__desc_check(desc, where, error);
    status = status ? status : fill_plan(context, desc, &filled, where, error);
    if (!status) {
        *plan = filled;
    }
    return status;
}

static uint64_t counter(const cl_uint *words)
{
    return words[0] | (uint64_t)words[1] << 32;
}

gear_status gear_cache_health(gear_cache *cache, cl_command_queue queue, gear_health *health, gear_error *error)
{
    static const char where[] = "gear_cache_health";
    if (!cache || !health || !queue) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", !cache ? "cache" : !health ? "health" : "queue");
    }
    cl_uint words[GEAR__HEALTH_WORDS];
    const gear_sync sync = {.queue = queue};
    gear__stream stream; /* for its checks of the queue */
    gear_status status = gear__stream_begin(&stream, &cache->context->device, &sync, where, error);
    if (status) {
        return status;
    }
    cl_int code = stream.out_of_order ? clEnqueueBarrierWithWaitList(queue, 0, NULL, NULL) : CL_SUCCESS;
    if (code) {
        return gear__fail_cl(error, code, "clEnqueueBarrierWithWaitList");
    }
    code = clEnqueueReadBuffer(queue, cache->health, CL_TRUE, 0, sizeof words, words, 0, NULL, NULL);
    if (code) {
        return gear__fail_cl(error, code, "clEnqueueReadBuffer");
    }
    *health = (gear_health){.nan_values = counter(words + GEAR__HEALTH_NAN), .inf_values = counter(words + GEAR__HEALTH_INF)};
    return GEAR_OK;
}
