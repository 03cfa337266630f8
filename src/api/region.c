/* region.c: the one check of memory that a caller lends: is it a buffer, of the cache's OpenCL context, large enough, aligned,
 * and made for what the device does with it? */
#include "api/internal.h"

gear_status gear__region_check(const gear_cache *cache, const gear__region *region, const char *where, gear_error *error)
{
    if (region->offset % region->align) {
        return gear__fail(error, GEAR_ERROR_BUFFER, where, "%s%s is %zu; it must be a multiple of %zu", region->name,
                          region->offset_field, region->offset, region->align);
    }
    if (!region->mem) {
        return GEAR_OK;
    }
    size_t size = 0;
    cl_mem_flags flags = 0, wrong = region->is_output ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY;
    cl_context owner = NULL;
    cl_mem_object_type type = CL_MEM_OBJECT_BUFFER;
    cl_int code = clGetMemObjectInfo(region->mem, CL_MEM_TYPE, sizeof type, &type, NULL);
    code = code ? code : clGetMemObjectInfo(region->mem, CL_MEM_SIZE, sizeof size, &size, NULL);
    code = code ? code : clGetMemObjectInfo(region->mem, CL_MEM_FLAGS, sizeof flags, &flags, NULL);
    code = code ? code : clGetMemObjectInfo(region->mem, CL_MEM_CONTEXT, sizeof owner, &owner, NULL);
    if (code) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s%s is not a buffer (%s)", region->name, region->mem_field,
                          gear__cl_name(code));
    }
    if (type != CL_MEM_OBJECT_BUFFER) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s%s is not a buffer; its CL_MEM_TYPE is 0x%x", region->name,
                          region->mem_field, type);
    }
    if (owner != cache->context->device.context) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s%s belongs to another OpenCL context", region->name,
                          region->mem_field);
    }
    if (flags & wrong) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s%s is %s, and the verb %s it", region->name, region->mem_field,
                          region->is_output ? "CL_MEM_READ_ONLY" : "CL_MEM_WRITE_ONLY", region->is_output ? "writes" : "reads");
    }
    if (region->bytes > size || region->offset > size - region->bytes) {
        return gear__fail(error, GEAR_ERROR_BUFFER, where, "%s%s has %zu bytes; offset %zu and %llu bytes do not fit",
                          region->name, region->mem_field, size, region->offset, (unsigned long long)region->bytes);
    }
    return GEAR_OK;
}
