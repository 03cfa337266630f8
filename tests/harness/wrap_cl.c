/* wrap_cl.c: the wrappers. Every one counts its kind, gives way to an injected failure, calls the real function and counts the
 * object that came of it. tests/CMakeLists.txt takes the names from the lines that start with CREATE, REFERENCE, PLAIN or
 * ENQUEUE and passes --wrap for each. */
#include "wrap_cl.h"

#include <stdatomic.h>
#include <stddef.h>

#define FAILURE CL_OUT_OF_RESOURCES

static atomic_long live[WRAP_OBJECT_KINDS];
static atomic_long calls[WRAP_CALL_KINDS];
static atomic_long countdown;
static _Atomic(const char *) failed;

long wrap_live(wrap_object object)
{
    return atomic_load(&live[object]);
}

long wrap_live_all(void)
{
    long sum = 0;
    int i;
    for (i = 0; i < WRAP_OBJECT_KINDS; ++i)
        sum += atomic_load(&live[i]);
    return sum;
}

long wrap_calls(wrap_call call)
{
    return atomic_load(&calls[call]);
}

void wrap_reset_calls(void)
{
    int i;
    for (i = 0; i < WRAP_CALL_KINDS; ++i)
        atomic_store(&calls[i], 0);
}

void wrap_fail_at(long n)
{
    atomic_store(&failed, NULL);
    atomic_store(&countdown, n);
}

const char *wrap_failed(void)
{
    return atomic_load(&failed);
}

/* Counts the call; 1 when it is the one to fail. */
static int enter(wrap_call call, const char *name)
{
    long left = atomic_load(&countdown);
    atomic_fetch_add(&calls[call], 1);
    while (left > 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1)) {
    }
    if (left != 1)
        return 0;
    atomic_store(&failed, name);
    return 1;
}

static void born(wrap_object object, int success)
{
    if (success)
        atomic_fetch_add(&live[object], 1);
}

static void gone(wrap_object object, cl_int code)
{
    if (code == CL_SUCCESS)
        atomic_fetch_sub(&live[object], 1);
}

#define PROTOTYPES(type, name, parameters)                                                                                     \
  type __real_##name parameters;                                                                                               \
  type __wrap_##name parameters;

/* Returns an object and has a last parameter `code`. */
#define CREATE(type, name, call, object, parameters, arguments)                                                                \
  PROTOTYPES(type, name, parameters)                                                                                           \
  type __wrap_##name parameters                                                                                                \
  {                                                                                                                            \
    type made;                                                                                                                 \
    if (enter(call, #name)) {                                                                                                  \
      if (code)                                                                                                                \
        *code = FAILURE;                                                                                                       \
      return NULL;                                                                                                             \
    }                                                                                                                          \
    made = __real_##name arguments;                                                                                            \
    born(object, made != NULL);                                                                                                \
    return made;                                                                                                               \
  }

#define REFERENCE(type, retain, release, object)                                                                               \
  PROTOTYPES(cl_int, retain, (type handle))                                                                                    \
  PROTOTYPES(cl_int, release, (type handle))                                                                                   \
  cl_int __wrap_##retain(type handle)                                                                                          \
  {                                                                                                                            \
    cl_int result;                                                                                                             \
    if (enter(WRAP_RETAIN, #retain))                                                                                           \
      return FAILURE;                                                                                                          \
    result = __real_##retain(handle);                                                                                          \
    born(object, result == CL_SUCCESS);                                                                                        \
    return result;                                                                                                             \
  }                                                                                                                            \
  cl_int __wrap_##release(type handle)                                                                                         \
  {                                                                                                                            \
    cl_int result = __real_##release(handle);                                                                                  \
    gone(object, result);                                                                                                      \
    return result;                                                                                                             \
  }

#define PLAIN(name, call, parameters, arguments)                                                                               \
  PROTOTYPES(cl_int, name, parameters)                                                                                         \
  cl_int __wrap_##name parameters                                                                                              \
  {                                                                                                                            \
    return enter(call, #name) ? FAILURE : __real_##name arguments;                                                             \
  }

/* Has a last parameter `event`; `waits` is whether it blocks. */
#define ENQUEUE(name, waits, parameters, arguments)                                                                            \
  PROTOTYPES(cl_int, name, parameters)                                                                                         \
  cl_int __wrap_##name parameters                                                                                              \
  {                                                                                                                            \
    cl_int result;                                                                                                             \
    if (waits)                                                                                                                 \
      atomic_fetch_add(&calls[WRAP_WAIT], 1);                                                                                  \
    if (enter(WRAP_ENQUEUE, #name))                                                                                            \
      return FAILURE;                                                                                                          \
    result = __real_##name arguments;                                                                                          \
    born(WRAP_EVENT, result == CL_SUCCESS && event);                                                                           \
    return result;                                                                                                             \
  }

typedef void(CL_CALLBACK *context_notify)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *program_notify)(cl_program, void *);

CREATE(cl_context, clCreateContext, WRAP_CREATE, WRAP_CONTEXT,
       (const cl_context_properties *properties, cl_uint count, const cl_device_id *devices, context_notify notify, void *user,
        cl_int *code),
       (properties, count, devices, notify, user, code))
CREATE(cl_command_queue, clCreateCommandQueue, WRAP_CREATE, WRAP_QUEUE,
       (cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *code),
       (context, device, properties, code))
CREATE(cl_mem, clCreateBuffer, WRAP_ALLOCATE, WRAP_BUFFER,
       (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *code), (context, flags, size, host, code))
CREATE(cl_mem, clCreateSubBuffer, WRAP_ALLOCATE, WRAP_BUFFER,
       (cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type type, const void *info, cl_int *code),
       (buffer, flags, type, info, code))
CREATE(cl_mem, clCreateImage, WRAP_ALLOCATE, WRAP_BUFFER,
       (cl_context context, cl_mem_flags flags, const cl_image_format *format, const cl_image_desc *desc, void *host,
        cl_int *code),
       (context, flags, format, desc, host, code))
CREATE(cl_program, clCreateProgramWithSource, WRAP_COMPILE, WRAP_PROGRAM,
       (cl_context context, cl_uint count, const char **texts, const size_t *sizes, cl_int *code),
       (context, count, texts, sizes, code))
CREATE(cl_program, clCreateProgramWithBinary, WRAP_COMPILE, WRAP_PROGRAM,
       (cl_context context, cl_uint count, const cl_device_id *devices, const size_t *sizes, const unsigned char **binaries,
        cl_int *loaded, cl_int *code),
       (context, count, devices, sizes, binaries, loaded, code))
CREATE(cl_kernel, clCreateKernel, WRAP_CREATE, WRAP_KERNEL, (cl_program program, const char *name, cl_int *code),
       (program, name, code))
CREATE(cl_event, clCreateUserEvent, WRAP_CREATE, WRAP_EVENT, (cl_context context, cl_int *code), (context, code))

REFERENCE(cl_context, clRetainContext, clReleaseContext, WRAP_CONTEXT)
REFERENCE(cl_command_queue, clRetainCommandQueue, clReleaseCommandQueue, WRAP_QUEUE)
REFERENCE(cl_mem, clRetainMemObject, clReleaseMemObject, WRAP_BUFFER)
REFERENCE(cl_program, clRetainProgram, clReleaseProgram, WRAP_PROGRAM)
REFERENCE(cl_kernel, clRetainKernel, clReleaseKernel, WRAP_KERNEL)
REFERENCE(cl_event, clRetainEvent, clReleaseEvent, WRAP_EVENT)

PLAIN(clBuildProgram, WRAP_COMPILE,
      (cl_program program, cl_uint count, const cl_device_id *devices, const char *options, program_notify notify, void *user),
      (program, count, devices, options, notify, user))
PLAIN(clSetKernelArg, WRAP_ARGUMENT, (cl_kernel kernel, cl_uint index, size_t size, const void *value),
      (kernel, index, size, value))
PLAIN(clFinish, WRAP_WAIT, (cl_command_queue queue), (queue))
PLAIN(clWaitForEvents, WRAP_WAIT, (cl_uint count, const cl_event *events), (count, events))
PLAIN(clFlush, WRAP_FLUSH, (cl_command_queue queue), (queue))

ENQUEUE(clEnqueueNDRangeKernel, 0,
        (cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset, const size_t *global,
         const size_t *local, cl_uint num_wait, const cl_event *wait, cl_event *event),
        (queue, kernel, dims, offset, global, local, num_wait, wait, event))
ENQUEUE(clEnqueueFillBuffer, 0,
        (cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size, size_t offset, size_t size,
         cl_uint num_wait, const cl_event *wait, cl_event *event),
        (queue, buffer, pattern, pattern_size, offset, size, num_wait, wait, event))
ENQUEUE(clEnqueueCopyBuffer, 0,
        (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset, size_t size, cl_uint num_wait,
         const cl_event *wait, cl_event *event),
        (queue, from, to, from_offset, to_offset, size, num_wait, wait, event))
ENQUEUE(clEnqueueReadBuffer, blocking,
        (cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t size, void *host, cl_uint num_wait,
         const cl_event *wait, cl_event *event),
        (queue, buffer, blocking, offset, size, host, num_wait, wait, event))
ENQUEUE(clEnqueueWriteBuffer, blocking,
        (cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset, size_t size, const void *host,
         cl_uint num_wait, const cl_event *wait, cl_event *event),
        (queue, buffer, blocking, offset, size, host, num_wait, wait, event))
ENQUEUE(clEnqueueUnmapMemObject, 0,
        (cl_command_queue queue, cl_mem buffer, void *mapped, cl_uint num_wait, const cl_event *wait, cl_event *event),
        (queue, buffer, mapped, num_wait, wait, event))
ENQUEUE(clEnqueueMarkerWithWaitList, 0, (cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event),
        (queue, num_wait, wait, event))
ENQUEUE(clEnqueueBarrierWithWaitList, 0, (cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event),
        (queue, num_wait, wait, event))

PLAIN(clGetPlatformInfo, WRAP_QUERY, (cl_platform_id object, cl_platform_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
PLAIN(clGetDeviceInfo, WRAP_QUERY, (cl_device_id object, cl_device_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
PLAIN(clGetContextInfo, WRAP_QUERY, (cl_context object, cl_context_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
PLAIN(clGetCommandQueueInfo, WRAP_QUERY,
      (cl_command_queue object, cl_command_queue_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
PLAIN(clGetMemObjectInfo, WRAP_QUERY, (cl_mem object, cl_mem_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
PLAIN(clGetProgramInfo, WRAP_QUERY, (cl_program object, cl_program_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
PLAIN(clGetProgramBuildInfo, WRAP_QUERY,
      (cl_program object, cl_device_id device, cl_program_build_info what, size_t size, void *value, size_t *need),
      (object, device, what, size, value, need))
PLAIN(clGetKernelInfo, WRAP_QUERY, (cl_kernel object, cl_kernel_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
PLAIN(clGetKernelWorkGroupInfo, WRAP_QUERY,
      (cl_kernel object, cl_device_id device, cl_kernel_work_group_info what, size_t size, void *value, size_t *need),
      (object, device, what, size, value, need))
PLAIN(clGetEventInfo, WRAP_QUERY, (cl_event object, cl_event_info what, size_t size, void *value, size_t *need),
      (object, what, size, value, need))
