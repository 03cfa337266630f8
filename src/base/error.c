/* error.c: filling a gear_error, and the names of OpenCL's codes. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(gear_error *error, gear_status status, cl_int code, const char *where)
{
    memset(error, 0, sizeof *error);
    error->status = status;
    error->cl_code = code;
    error->where = where;
}

gear_status gear__fail(gear_error *error, gear_status status, const char *where, const char *format, ...)
{
    va_list list;
    if (!error) {
        return status;
    }
    fill(error, status, CL_SUCCESS, where);
    va_start(list, format);
    (void)vsnprintf(error->message, sizeof error->message, format, list);
    va_end(list);
    return status;
}

gear_status gear__fail_cl(gear_error *error, cl_int code, const char *where)
{
    if (error) {
        fill(error, GEAR_ERROR_OPENCL, code, where);
        (void)snprintf(error->message, sizeof error->message, "%s (%d)", gear__cl_name(code), (int)code);
    }
    return GEAR_ERROR_OPENCL;
}

gear_status gear__fail_cl_text(gear_error *error, cl_int code, const char *where, const char *format, ...)
{
    va_list list;
    size_t used;
    if (!error) {
        return GEAR_ERROR_OPENCL;
    }
    fill(error, GEAR_ERROR_OPENCL, code, where);
    (void)snprintf(error->message, sizeof error->message, "%s (%d): ", gear__cl_name(code), (int)code);
    used = strlen(error->message);
    va_start(list, format);
    (void)vsnprintf(error->message + used, sizeof error->message - used, format, list);
    va_end(list);
    return GEAR_ERROR_OPENCL;
}

gear_status gear__fail_build(gear_error *error, cl_int code, const char *where, const char *format, ...)
{
    va_list list;
    if (!error) {
        return GEAR_ERROR_BUILD;
    }
    fill(error, GEAR_ERROR_BUILD, code, where);
    va_start(list, format);
    (void)vsnprintf(error->message, sizeof error->message, format, list);
    va_end(list);
    return GEAR_ERROR_BUILD;
}

gear_status gear__fail_memory(gear_error *error, const char *where, size_t bytes)
{
    return gear__fail(error, GEAR_ERROR_MEMORY, where, "no host memory for %zu bytes", bytes);
}

#define CL_NAME(code)                                                                                                          \
  case code: return #code;

const char *gear__cl_name(cl_int code)
{
    switch (code) {
        CL_NAME(CL_SUCCESS)
        CL_NAME(CL_DEVICE_NOT_FOUND)
        CL_NAME(CL_DEVICE_NOT_AVAILABLE)
        CL_NAME(CL_COMPILER_NOT_AVAILABLE)
        CL_NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        CL_NAME(CL_OUT_OF_RESOURCES)
        CL_NAME(CL_OUT_OF_HOST_MEMORY)
        CL_NAME(CL_PROFILING_INFO_NOT_AVAILABLE)
        CL_NAME(CL_MEM_COPY_OVERLAP)
        CL_NAME(CL_IMAGE_FORMAT_MISMATCH)
        CL_NAME(CL_IMAGE_FORMAT_NOT_SUPPORTED)
        CL_NAME(CL_BUILD_PROGRAM_FAILURE)
        CL_NAME(CL_MAP_FAILURE)
        CL_NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET)
        CL_NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        CL_NAME(CL_COMPILE_PROGRAM_FAILURE)
        CL_NAME(CL_LINKER_NOT_AVAILABLE)
        CL_NAME(CL_LINK_PROGRAM_FAILURE)
        CL_NAME(CL_DEVICE_PARTITION_FAILED)
        CL_NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE)
        CL_NAME(CL_INVALID_VALUE)
        CL_NAME(CL_INVALID_DEVICE_TYPE)
        CL_NAME(CL_INVALID_PLATFORM)
        CL_NAME(CL_INVALID_DEVICE)
        CL_NAME(CL_INVALID_CONTEXT)
        CL_NAME(CL_INVALID_QUEUE_PROPERTIES)
        CL_NAME(CL_INVALID_COMMAND_QUEUE)
        CL_NAME(CL_INVALID_HOST_PTR)
        CL_NAME(CL_INVALID_MEM_OBJECT)
        CL_NAME(CL_INVALID_IMAGE_FORMAT_DESCRIPTOR)
        CL_NAME(CL_INVALID_IMAGE_SIZE)
        CL_NAME(CL_INVALID_SAMPLER)
        CL_NAME(CL_INVALID_BINARY)
        CL_NAME(CL_INVALID_BUILD_OPTIONS)
        CL_NAME(CL_INVALID_PROGRAM)
        CL_NAME(CL_INVALID_PROGRAM_EXECUTABLE)
        CL_NAME(CL_INVALID_KERNEL_NAME)
        CL_NAME(CL_INVALID_KERNEL_DEFINITION)
        CL_NAME(CL_INVALID_KERNEL)
        CL_NAME(CL_INVALID_ARG_INDEX)
        CL_NAME(CL_INVALID_ARG_VALUE)
        CL_NAME(CL_INVALID_ARG_SIZE)
        CL_NAME(CL_INVALID_KERNEL_ARGS)
        CL_NAME(CL_INVALID_WORK_DIMENSION)
        CL_NAME(CL_INVALID_WORK_GROUP_SIZE)
        CL_NAME(CL_INVALID_WORK_ITEM_SIZE)
        CL_NAME(CL_INVALID_GLOBAL_OFFSET)
        CL_NAME(CL_INVALID_EVENT_WAIT_LIST)
        CL_NAME(CL_INVALID_EVENT)
        CL_NAME(CL_INVALID_OPERATION)
        CL_NAME(CL_INVALID_GL_OBJECT)
        CL_NAME(CL_INVALID_BUFFER_SIZE)
        CL_NAME(CL_INVALID_MIP_LEVEL)
        CL_NAME(CL_INVALID_GLOBAL_WORK_SIZE)
        CL_NAME(CL_INVALID_PROPERTY)
        CL_NAME(CL_INVALID_IMAGE_DESCRIPTOR)
        CL_NAME(CL_INVALID_COMPILER_OPTIONS)
        CL_NAME(CL_INVALID_LINKER_OPTIONS)
        CL_NAME(CL_INVALID_DEVICE_PARTITION_COUNT)
    default: return "unknown OpenCL error";
    }
}
