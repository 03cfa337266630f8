/* bandwidth.c: see bandwidth.h. */
#include "bandwidth.h"

#include <stddef.h>

/* A group covers count x local vectors. On a GPU neighbours read neighbouring vectors; on a CPU a group is one work-item, which
 * reads in a row. The sum is written only where it has a value that it never has, so that nothing is left out. */
static const char source[] =
    "kernel void read_all(global const uint4 *x, global uint4 *y, uint count)\n"
    "{\n"
    "    size_t local_size = get_local_size(0), at = get_group_id(0) * (size_t)count * local_size + get_local_id(0);\n"
    "    uint4 a = 0, b = 0, c = 0, d = 0;\n"
    "    for (uint i = 0; i < count; i += 4, at += 4 * local_size) {\n"
    "        a |= x[at]; b |= x[at + local_size]; c |= x[at + 2 * local_size]; d |= x[at + 3 * local_size];\n"
    "    }\n"
    "    a |= b; c |= d; a |= c;\n"
    "    if (a.x == 0xffffffffu) y[0] = a;\n"
    "}\n"
    "kernel void copy_all(global const uint4 *x, global uint4 *y, uint count)\n"
    "{\n"
    "    size_t local_size = get_local_size(0), at = get_group_id(0) * (size_t)count * local_size + get_local_id(0);\n"
    "    for (uint i = 0; i < count; i += 4, at += 4 * local_size) {\n"
    "        uint4 a = x[at], b = x[at + local_size], c = x[at + 2 * local_size], d = x[at + 3 * local_size];\n"
    "        y[at] = a; y[at + local_size] = b; y[at + 2 * local_size] = c; y[at + 3 * local_size] = d;\n"
    "    }\n"
    "}\n";

enum { REPEATS = 8 };

typedef struct division {
    size_t local;
    cl_uint count; /* vectors of a work-item, a multiple of 4 */
} division;

static const division gpu[] = {{256, 4}, {256, 8}, {256, 16}, {256, 64}, {128, 8}, {512, 4}, {512, 8}};
static const division cpu[] = {{1, 4096}, {1, 65536}, {1, 1u << 20}, {1, 1u << 22}};

/* Largest power of two that is no more than `limit` and `most`. */
static uint64_t buffer_size(const device *dev, uint64_t most)
{
    cl_ulong alloc = 0, memory = 0;
    (void)clGetDeviceInfo(dev->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof alloc, &alloc, NULL);
    (void)clGetDeviceInfo(dev->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
    uint64_t limit = alloc < memory / 8 ? alloc : memory / 8, size = 1u << 20;
    limit = limit < most ? limit : most;
    while (size * 2 <= limit)
        size *= 2;
    return size;
}

/* One launch over `bytes` of x; *gbps is the better of itself and this run's. */
static bool run(cl_command_queue queue, cl_kernel kernel, uint64_t bytes, uint64_t moved, const division *d, double *gbps,
                host_error *error)
{
    size_t global = (size_t)(bytes / 16 / d->count);
    cl_event event = NULL;
    cl_ulong start = 0, end = 0;
    bool ok =
        cl_ok(clSetKernelArg(kernel, 2, sizeof d->count, &d->count), "clSetKernelArg", error) &&
        cl_ok(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &d->local, 0, NULL, &event), "clEnqueueNDRangeKernel",
              error) &&
        cl_ok(clWaitForEvents(1, &event), "clWaitForEvents", error) &&
        cl_ok(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL), "profiling", error) &&
        cl_ok(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL), "profiling", error);
    if (event)
        clReleaseEvent(event);
    double rate = ok && end > start ? (double)moved / (double)(end - start) : 0;
    *gbps = rate > *gbps ? rate : *gbps;
    return ok;
}

static bool best(const device *dev, cl_command_queue queue, cl_kernel kernel, cl_mem x, cl_mem y, uint64_t bytes,
                 uint64_t moved, double *gbps, host_error *error)
{
    bool is_cpu = (dev->type & CL_DEVICE_TYPE_CPU) != 0;
    const division *list = is_cpu ? cpu : gpu;
    size_t count = is_cpu ? sizeof cpu / sizeof *cpu : sizeof gpu / sizeof *gpu, most = 0;
    bool ok = cl_ok(clSetKernelArg(kernel, 0, sizeof x, &x), "clSetKernelArg", error) &&
              cl_ok(clSetKernelArg(kernel, 1, sizeof y, &y), "clSetKernelArg", error) &&
              cl_ok(clGetKernelWorkGroupInfo(kernel, dev->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL),
                    "clGetKernelWorkGroupInfo", error);
    for (size_t i = 0; ok && i < count; ++i)
        if (list[i].local <= most && bytes / 16 >= (uint64_t)list[i].count * list[i].local)
            for (int r = 0; ok && r < REPEATS; ++r)
                ok = run(queue, kernel, bytes, moved, &list[i], gbps, error);
    return ok;
}

bool measure_bandwidth(const device *dev, cl_command_queue queue, uint64_t most, bandwidth *out, host_error *error)
{
    cl_int code = CL_SUCCESS;
    cl_program program = NULL;
    cl_kernel reader = NULL, copier = NULL;
    cl_mem x = NULL, y = NULL;
    const char *text = source;
    const cl_uint zero = 0;
    bool ok = false;
    *out = (bandwidth){.bytes = buffer_size(dev, most)};
    program = clCreateProgramWithSource(dev->context, 1, &text, NULL, &code);
    if (!cl_ok(code, "clCreateProgramWithSource", error) ||
        !cl_ok(clBuildProgram(program, 1, &dev->id, "", NULL, NULL), "clBuildProgram", error))
        goto cleanup;
    reader = clCreateKernel(program, "read_all", &code);
    copier = reader ? clCreateKernel(program, "copy_all", &code) : NULL;
    if (!cl_ok(code, "clCreateKernel", error))
        goto cleanup;
    x = clCreateBuffer(dev->context, CL_MEM_READ_WRITE, (size_t)out->bytes, NULL, &code);
    y = x ? clCreateBuffer(dev->context, CL_MEM_READ_WRITE, (size_t)out->bytes / 2, NULL, &code) : NULL;
    if (!cl_ok(code, "clCreateBuffer", error) ||
        !cl_ok(clEnqueueFillBuffer(queue, x, &zero, sizeof zero, 0, (size_t)out->bytes, 0, NULL, NULL), "clEnqueueFillBuffer",
               error) ||
        !cl_ok(clEnqueueFillBuffer(queue, y, &zero, sizeof zero, 0, (size_t)out->bytes / 2, 0, NULL, NULL),
               "clEnqueueFillBuffer", error))
        goto cleanup;
    ok = best(dev, queue, reader, x, y, out->bytes, out->bytes, &out->read, error) &&
         best(dev, queue, copier, x, y, out->bytes / 2, out->bytes, &out->copy, error);
    if (ok && !(out->read > 0 && out->copy > 0))
        ok = fail(error, EXIT_DEVICE, "the device's clock gave no bandwidth");
cleanup:
    if (x)
        clReleaseMemObject(x);
    if (y)
        clReleaseMemObject(y);
    if (reader)
        clReleaseKernel(reader);
    if (copier)
        clReleaseKernel(copier);
    if (program)
        clReleaseProgram(program);
    return ok;
}
