/* launches.c: see launches.h. */
#define _POSIX_C_SOURCE 200809L
#include "launches.h"

#include <stdlib.h>
#include <string.h>

typedef struct launch {
    char name[64];
    cl_event event;
    size_t groups;
} launch;

/* The program's one recording: it calls the library from one thread. */
static struct recording {
    bool on, failed;
    launch *items;
    size_t count, room;
} recording;

cl_int __real_clEnqueueNDRangeKernel(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                                     cl_uint, const cl_event *, cl_event *);
cl_int __real_clEnqueueFillBuffer(cl_command_queue, cl_mem, const void *, size_t, size_t, size_t, cl_uint, const cl_event *,
                                  cl_event *);
cl_int __real_clEnqueueCopyBuffer(cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint, const cl_event *,
                                  cl_event *);
cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                                     cl_uint, const cl_event *, cl_event *);
cl_int __wrap_clEnqueueFillBuffer(cl_command_queue, cl_mem, const void *, size_t, size_t, size_t, cl_uint, const cl_event *,
                                  cl_event *);
cl_int __wrap_clEnqueueCopyBuffer(cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint, const cl_event *,
                                  cl_event *);

/* Keeps the event of a command; takes a reference of its own where the caller wants the event too. */
static void keep(const char *name, cl_event event, size_t groups, bool shared)
{
    if (recording.count == recording.room) {
        size_t room = recording.room ? 2 * recording.room : 256;
        launch *grown = realloc(recording.items, room * sizeof *grown);
        if (!grown) {
            recording.failed = true;
            if (!shared)
                clReleaseEvent(event);
            return;
        }
        recording.items = grown;
        recording.room = room;
    }
    if (shared)
        clRetainEvent(event);
    launch *l = &recording.items[recording.count++];
    size_t length = strnlen(name, sizeof l->name - 1);
    memcpy(l->name, name, length);
    l->name[length] = 0;
    l->event = event;
    l->groups = groups;
}

static void keep_kernel(cl_kernel kernel, cl_event event, size_t groups, bool shared)
{
    static const char prefix[] = "gear_k_";
    char name[128] = "";
    if (clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL) != CL_SUCCESS)
        strcpy(name, "unnamed");
    name[sizeof name - 1] = 0;
    keep(strncmp(name, prefix, sizeof prefix - 1) ? name : name + sizeof prefix - 1, event, groups, shared);
}

/* 0: the driver chose the size. */
static size_t groups_of(cl_uint dims, const size_t *global, const size_t *local)
{
    size_t groups = local ? 1 : 0;
    for (cl_uint i = 0; groups && i < dims; ++i)
        groups *= global[i] / local[i];
    return groups;
}

cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                     const size_t *global, const size_t *local, cl_uint num_wait, const cl_event *wait,
                                     cl_event *out)
{
    cl_event own = NULL, *event = out || !recording.on ? out : &own;
    cl_int code = __real_clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, num_wait, wait, event);
    if (recording.on && code == CL_SUCCESS)
        keep_kernel(kernel, *event, groups_of(dims, global, local), out != NULL);
    return code;
}

cl_int __wrap_clEnqueueFillBuffer(cl_command_queue queue, cl_mem mem, const void *pattern, size_t size, size_t offset,
                                  size_t bytes, cl_uint num_wait, const cl_event *wait, cl_event *out)
{
    cl_event own = NULL, *event = out || !recording.on ? out : &own;
    cl_int code = __real_clEnqueueFillBuffer(queue, mem, pattern, size, offset, bytes, num_wait, wait, event);
    if (recording.on && code == CL_SUCCESS)
        keep("fill", *event, 0, out != NULL);
    return code;
}

cl_int __wrap_clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
                                  size_t bytes, cl_uint num_wait, const cl_event *wait, cl_event *out)
{
    cl_event own = NULL, *event = out || !recording.on ? out : &own;
    cl_int code = __real_clEnqueueCopyBuffer(queue, from, to, from_offset, to_offset, bytes, num_wait, wait, event);
    if (recording.on && code == CL_SUCCESS)
        keep("copy", *event, 0, out != NULL);
    return code;
}

void launches_begin(void)
{
    recording.on = true;
    recording.failed = false;
    recording.count = 0;
}

static bool add_launch(const launch *l, stage_list *out, host_error *error)
{
    cl_ulong start = 0, end = 0;
    if (!cl_ok(clGetEventProfilingInfo(l->event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL),
               "clGetEventProfilingInfo", error) ||
        !cl_ok(clGetEventProfilingInfo(l->event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL), "clGetEventProfilingInfo",
               error))
        return false;
    size_t i = 0;
    while (i < out->count && strcmp(out->items[i].name, l->name))
        ++i;
    if (i == MOST_STAGES)
        return fail(error, EXIT_DEVICE, "more than %d kinds of kernels", MOST_STAGES);
    if (i == out->count) {
        out->items[out->count++] = (stage_time){0};
        memcpy(out->items[i].name, l->name, sizeof l->name);
    }
    out->items[i].launches++;
    out->items[i].groups += l->groups;
    out->items[i].ms += (double)(end - start) * 1e-6;
    out->items[i].median = out->items[i].ms;
    return true;
}

bool launches_end(stage_list *out, host_error *error)
{
    bool ok = !recording.failed || fail(error, EXIT_DEVICE, "host memory exhausted");
    *out = (stage_list){0};
    for (size_t i = 0; i < recording.count; ++i) {
        ok = ok && add_launch(&recording.items[i], out, error);
        clReleaseEvent(recording.items[i].event);
    }
    free(recording.items);
    recording = (struct recording){0};
    return ok;
}
