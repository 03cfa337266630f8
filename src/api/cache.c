/* cache.c: gear_cache_create and gear_cache_destroy: compiles every kernel and allocates all memory that the verbs will use. */
#include <string.h>

#include "api/internal.h"

static const char where[] = "gear_cache_create";

static gear_status host_array(gear_cache *cache, void *pointer_to_array, uint64_t count, size_t size, gear_error *error)
{
    void *memory = gear__alloc_array(&cache->context->device.allocator, (size_t)count, size);
    if (!memory) {
        return gear__fail_memory(error, where, (size_t)count * size);
    }
    memcpy(pointer_to_array, &memory, sizeof memory);
    return GEAR_OK;
}

static gear_status create_host_state(gear_cache *cache, gear_error *error)
{
    const gear_cache_desc *d = &cache->desc;
    uint64_t slots = (uint64_t)d->num_layers * d->capacity_sequences, n = d->capacity_sequences;
    uint64_t batch_words = n * GEAR__SEQ_WORDS;
    uint64_t job_words = (uint64_t)cache->list_rows / 64 * GEAR__JOB_WORDS;
    uint64_t attend_words = gear__attend_list_words(d, &cache->context->device.caps);
    uint64_t words = attend_words > job_words ? attend_words : job_words;
    gear_status status = host_array(cache, &cache->slot_storage, slots, sizeof(gear__slot), error);
    status = status ? status : host_array(cache, &cache->block_storage, slots * cache->max_blocks, sizeof(gear__block), error);
    status = status ? status : host_array(cache, &cache->names, n, sizeof(gear_sequence), error);
    status = status ? status : host_array(cache, &cache->slots, n, sizeof(uint32_t), error);
    status = status ? status : host_array(cache, &cache->marks, n, sizeof(uint32_t), error);
    status = status ? status : host_array(cache, &cache->words, words, sizeof(uint32_t), error);
    status = status ? status : host_array(cache, &cache->append_list.words, batch_words, sizeof(uint32_t), error);
    return status ? status : host_array(cache, &cache->attend_list.words, attend_words, sizeof(uint32_t), error);
}

/* Which kernels compress a layer's blocks, and why not the faster ones. */
static void log_compressor(const gear__device *device, const gear__shape *shape, const gear__append_tile *append)
{
    const char *fused = gear__append_why_not(&device->caps, shape), *decode = gear__append_decode_why_not(&device->caps, shape);
    gear__device_log(device, GEAR_LOG_INFO, "compressor: %s%s%s; decode blocks: %s%s%s",
                     append->is_fused ? "append_block" : "stage by stage", fused ? ", because of " : "", fused ? fused : "",
                     append->has_decode ? "append_decode" : "as prompts", decode ? ", because of " : "", decode ? decode : "");
}

/* Layers of equal shape share kernels. */
static gear_status variant_for(gear_cache *cache, const gear__shape *shape, const gear__variant **variant, gear_error *error)
{
    for (uint32_t i = 0; i < cache->num_variants; i++) {
        if (!memcmp(&cache->variants[i].shape, shape, sizeof *shape)) {
            *variant = &cache->variants[i];
            return GEAR_OK;
        }
    }
    gear__variant *created = &cache->variants[cache->num_variants];
    gear__attend_tile tile;
    gear_status status = gear__attend_resolve(&cache->context->device.caps, &cache->desc, shape, where, &tile, error);
    if (status) {
        return status;
    }
    const gear__append_tile append = gear__append_tile_of(&cache->context->device.caps, shape);
    log_compressor(&cache->context->device, shape, &append);
    status = gear__variant_init(created, &cache->context->device, shape, cache->max_blocks + 1, &tile, &append, error);
    if (!status) {
        cache->num_variants++;
        *variant = created;
    }
    return status;
}

static gear_status create_layer(gear_cache *cache, uint32_t index, const gear__sizes *sizes, const gear__shape *shape,
                                gear_error *error)
{
    gear__device *device = &cache->context->device;
    gear__layer *layer = &cache->layers[index];
    uint64_t blocks = gear__desc_capacity_blocks(&cache->desc);
    uint64_t records = 2 * blocks + 2ull * cache->desc.capacity_sequences;
    if (!gear__heap_init(&layer->heap, &device->allocator, (uint32_t)sizes->granules, (uint32_t)records)) {
        return gear__fail_memory(error, where, (size_t)records * sizeof(gear__extent));
    }
    layer->slots = cache->slot_storage + (size_t)index * cache->desc.capacity_sequences;
    for (uint32_t s = 0; s < cache->desc.capacity_sequences; s++) {
        size_t at = ((size_t)index * cache->desc.capacity_sequences + s) * cache->max_blocks;
        layer->slots[s].blocks = cache->block_storage + at;
        layer->slots[s].exact_record = GEAR__HEAP_NONE;
        layer->slots[s].order_record = GEAR__HEAP_NONE;
    }
    gear_status status = variant_for(cache, shape, &layer->memory.variant, error);
    status = status ? status : gear__buffer_create(device, sizes->pool_bytes, "pool of a layer", &layer->memory.pool, error);
    status = status ? status : gear__buffer_create(device, sizes->table_bytes, "page table", &layer->memory.table, error);
    return status ? status : gear__buffer_create(device, sizes->window_bytes, "window", &layer->memory.window, error);
}

/* A buffer of zeros that the device counts in. */
static gear_status create_zeros(gear_cache *cache, uint64_t bytes, cl_mem *mem, gear_error *error)
{
    const gear_allocator *allocator = &cache->context->device.allocator;
    void *zeros = gear__alloc(allocator, (size_t)bytes);
    cl_int code;
    if (!zeros) {
        return gear__fail_memory(error, where, (size_t)bytes);
    }
    *mem =
        clCreateBuffer(cache->context->device.context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, (size_t)bytes, zeros, &code);
    gear__free(allocator, zeros);
    return *mem ? GEAR_OK : gear__fail_cl(error, code, "clCreateBuffer");
}

static gear_status create_scratch(gear_cache *cache, const gear__sizes *s, gear_error *error)
{
    const struct {
        const char *what;
        uint64_t bytes;
        cl_mem *mem;
    } buffers[] = {
        {"staging", s->x_bytes, &cache->x},
        {"staging mask", s->mask_bytes, &cache->mask},
        {"residual", s->r_bytes, &cache->r},
        {"low-rank scratch", s->a_bytes, &cache->a},
        {"sums of the channel order", s->sums_bytes, &cache->sums},
        {"partial results", s->partial_bytes, &cache->partial},
        {"partial sums", s->softmax_bytes, &cache->softmax},
        {"job list", s->list_rows / 64 * GEAR__JOB_WORDS * 4, &cache->jobs},
        {"job rows", s->list_rows / 64 * 4, &cache->row_jobs},
        {"places of blocks", s->list_rows / 64 * GEAR__PLACE_WORDS * 4, &cache->places},
        {"append list", (uint64_t)cache->desc.capacity_sequences * GEAR__SEQ_WORDS * 4, &cache->append_list.mem},
        {"attend list", gear__attend_list_words(&cache->desc, &cache->context->device.caps) * 4, &cache->attend_list.mem},
        {"attend tensors", GEAR__CALL_WORDS * 4, &cache->tensors},
        {"placeholder", 4, &cache->dummy},
    };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        gear_status status =
            gear__buffer_create(&cache->context->device, buffers[i].bytes, buffers[i].what, buffers[i].mem, error);
        if (status) {
            return status;
        }
    }
    gear_status status = create_zeros(cache, GEAR__HEALTH_WORDS * sizeof(cl_uint), &cache->health, error);
    cache->counter_bytes = (size_t)s->counter_bytes;
    return status ? status : create_zeros(cache, s->counter_bytes, &cache->counters, error);
}

gear_status gear_cache_create(gear_context *context, const gear_cache_desc *desc, gear_cache **cache_out, gear_error *error)
{
    if (!context || !cache_out) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", context ? "cache" : "context");
    }
    gear_status status = gear__desc_check(desc, where, error);
    if (status) {
        return status;
    }
    gear_cache *cache = gear__alloc(&context->device.allocator, sizeof *cache);
    if (!cache) {
        return gear__fail_memory(error, where, sizeof *cache);
    }
    gear__context_retain(context);
    cache->context = context;
    cache->desc = gear__desc_complete(desc);
    cache->needs = gear__scratch_needs_of(&cache->desc, &context->device.caps);
    cache->desc.codecs = NULL;
    cache->next_name = 1;
    memset(cache->tensor_words, 0xff, sizeof cache->tensor_words);
    cache->max_blocks = (uint32_t)gear__desc_sequence_blocks(&cache->desc);
    gear__sizes sizes = {0};
    for (uint32_t i = 0; i < desc->num_layers && !status; i++) {
        const gear_codec_pair *codec = &desc->codecs[desc->num_codecs == 1 ? 0 : i];
        gear__shape shape;
        gear__shape_init(&shape, &cache->desc, codec);
        gear__sizes_of(&cache->desc, &shape, &context->device.caps, &cache->needs, &sizes);
        status = gear__sizes_check(&cache->desc, i, &sizes, &context->device.caps, where, error);
        if (!status && i == 0) {
            cache->staging_rows = (uint32_t)sizes.staging_rows;
            cache->list_rows = (uint32_t)sizes.list_rows;
            cache->fit_floats = sizes.fit_floats;
            cache->scratch_bytes.scratch = sizes.scratch_bytes;
            cache->scratch_bytes.tables = sizes.list_bytes;
            cache->rules =
                (gear__plan_rules){cache->desc.window, cache->desc.recent, shape.window_tokens, cache->desc.max_segment_tokens};
            status = host_array(cache, &cache->layers, desc->num_layers, sizeof(gear__layer), error);
            status = status ? status : host_array(cache, &cache->variants, desc->num_codecs, sizeof(gear__variant), error);
            status = status ? status : create_host_state(cache, error);
        }
        status = status ? status : create_layer(cache, i, &sizes, &shape, error);
    }
    status = status ? status : create_scratch(cache, &sizes, error);
    if (status) {
        gear_cache_destroy(cache);
        return status;
    }
    *cache_out = cache;
    return GEAR_OK;
}

void gear_cache_destroy(gear_cache *cache)
{
    if (!cache) {
        return;
    }
    gear_context *context = cache->context;
    const gear_allocator *allocator = &context->device.allocator;
    for (uint32_t i = 0; cache->layers && i < cache->desc.num_layers; i++) {
        gear__layer *layer = &cache->layers[i];
        gear__buffer_release(&layer->memory.pool);
        gear__buffer_release(&layer->memory.table);
        gear__buffer_release(&layer->memory.window);
        gear__heap_close(&layer->heap);
    }
    for (uint32_t i = 0; i < cache->num_variants; i++) {
        gear__variant_close(&cache->variants[i]);
    }
    cl_mem *buffers[] = {&cache->x,
                         &cache->mask,
                         &cache->r,
                         &cache->a,
                         &cache->sums,
                         &cache->partial,
                         &cache->softmax,
                         &cache->jobs,
                         &cache->row_jobs,
                         &cache->places,
                         &cache->dummy,
                         &cache->health,
                         &cache->append_list.mem,
                         &cache->attend_list.mem,
                         &cache->tensors,
                         &cache->counters};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        gear__buffer_release(buffers[i]);
    }
    void *arrays[] = {cache->layers, cache->variants, cache->slot_storage, cache->block_storage,     cache->names,
                      cache->slots,  cache->marks,    cache->words,        cache->append_list.words, cache->attend_list.words};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        gear__free(allocator, arrays[i]);
    }
    gear__free(allocator, cache);
    gear__context_release(context);
}
