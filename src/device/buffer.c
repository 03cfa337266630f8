/* buffer.c: device memory with a check that names the size before the driver sees it. */
#include "device/buffer.h"

#include <inttypes.h>

#include "base/error.h"

gear_status gear__buffer_create(gear__device *device, uint64_t bytes, const char *what, cl_mem *buffer, gear_error *error)
{
    cl_int code = CL_SUCCESS;
    cl_mem created;
    if (bytes == 0) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, "clCreateBuffer", "%s: 0 bytes", what);
    }
    if (bytes > device->caps.max_alloc || bytes > SIZE_MAX) {
        return gear__fail(error, GEAR_ERROR_DEVICE, "clCreateBuffer",
                          "%s: %" PRIu64 " bytes; the device's largest buffer has %" PRIu64, what, bytes,
                          device->caps.max_alloc);
    }
    created = clCreateBuffer(device->context, CL_MEM_READ_WRITE, (size_t)bytes, NULL, &code);
    if (!created) {
        return gear__fail_cl_text(error, code, "clCreateBuffer", "%s: %" PRIu64 " bytes", what, bytes);
    }
    *buffer = created;
    return GEAR_OK;
}

void gear__buffer_release(cl_mem *buffer)
{
    if (*buffer) {
        (void)clReleaseMemObject(*buffer);
    }
    *buffer = NULL;
}
