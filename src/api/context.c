/* context.c: gear_context: an adopted OpenCL context and device, shared by caches. */
#include "api/internal.h"

gear_status gear_context_create(const gear_context_desc *desc, gear_context **context, gear_error *error)
{
    static const char where[] = "gear_context_create";
    if (!desc || !context) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is NULL", desc ? "context" : "desc");
    }
    if (desc->struct_size != sizeof *desc) {
        return gear__fail(error, GEAR_ERROR_STRUCT_SIZE, where,
                          "desc.struct_size is %zu, not %zu (gear_context_desc_init sets it)", desc->struct_size, sizeof *desc);
    }
    gear_status status = gear__reserved_check(desc->reserved, sizeof desc->reserved / sizeof *desc->reserved, where, error);
    if (status) {
        return status;
    }
    if (!desc->allocator.allocate != !desc->allocator.release) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "allocator needs both allocate and release, or neither");
    }
    gear_context *created = gear__alloc(&desc->allocator, sizeof *created);
    if (!created) {
        return gear__fail_memory(error, where, sizeof *created);
    }
    status = gear__device_init(&created->device, desc, error);
    if (status) {
        gear__free(&desc->allocator, created);
        return status;
    }
    if (gear__mutex_init(&created->mutex)) {
        gear_allocator allocator = created->device.allocator;
        gear__device_close(&created->device);
        gear__free(&allocator, created);
        return gear__fail(error, GEAR_ERROR_MEMORY, where, "no mutex to be had");
    }
    created->references = 1;
    *context = created;
    return GEAR_OK;
}

void gear__context_retain(gear_context *context)
{
    gear__mutex_lock(&context->mutex);
    context->references++;
    gear__mutex_unlock(&context->mutex);
}

void gear__context_release(gear_context *context)
{
    gear__mutex_lock(&context->mutex);
    unsigned left = --context->references;
    gear__mutex_unlock(&context->mutex);
    if (left) {
        return;
    }
    gear_allocator allocator = context->device.allocator;
    gear__mutex_destroy(&context->mutex);
    gear__device_close(&context->device);
    gear__free(&allocator, context);
}

void gear_context_destroy(gear_context *context)
{
    if (context) {
        gear__context_release(context);
    }
}
