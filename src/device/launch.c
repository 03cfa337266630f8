/* launch.c: commands in order on any queue. On an out-of-order queue each command waits for the one before it; on an in-order
 * queue only the first has a wait list, and events exist only when the caller wants one. */
#include "device/launch.h"

#include <string.h>

#include "base/error.h"

gear_status gear__set_arg(cl_kernel kernel, cl_uint index, size_t size, const void *value, gear_error *error)
{
    cl_int code = clSetKernelArg(kernel, index, size, value);
    return code ? gear__fail_cl_text(error, code, "clSetKernelArg", "argument %u", (unsigned)index) : GEAR_OK;
}

gear_status gear__set_args(cl_kernel kernel, const gear__arg *args, cl_uint count, gear_error *error)
{
    gear_status status = GEAR_OK;
    cl_uint i;
    for (i = 0; !status && i < count; i++) {
        status = gear__set_arg(kernel, i, args[i].size, args[i].value, error);
    }
    return status;
}

static gear_status check_queue(gear__stream *stream, gear_error *error)
{
    cl_context context = NULL;
    cl_device_id device = NULL;
    cl_command_queue_properties properties = 0;
    cl_command_queue queue = stream->queue;
    cl_int code;
    if (!queue) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.queue is NULL");
    }
    code = clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    if (!code) {
        code = clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    }
    if (!code) {
        code = clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    }
    if (code == CL_INVALID_COMMAND_QUEUE) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.queue is not a command queue");
    }
    if (code) {
        return gear__fail_cl_text(error, code, "clGetCommandQueueInfo", "sync.queue");
    }
    if (context != stream->device->context) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.queue is of another OpenCL context");
    }
    if (device != stream->device->device) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.queue is of another device");
    }
    stream->out_of_order = (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    return GEAR_OK;
}

static gear_status check_wait(gear__stream *stream, gear_error *error)
{
    cl_uint i;
    if (stream->num_wait && !stream->wait) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.wait is NULL and sync.num_wait is %u",
                          (unsigned)stream->num_wait);
    }
    for (i = 0; i < stream->num_wait; i++) {
        cl_context context = NULL;
        cl_int code;
        if (!stream->wait[i]) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.wait[%u] is NULL", (unsigned)i);
        }
        code = clGetEventInfo(stream->wait[i], CL_EVENT_CONTEXT, sizeof context, &context, NULL);
        if (code == CL_INVALID_EVENT) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.wait[%u] is not an event", (unsigned)i);
        }
        if (code) {
            return gear__fail_cl_text(error, code, "clGetEventInfo", "sync.wait[%u]", (unsigned)i);
        }
        if (context != stream->device->context) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, stream->where, "sync.wait[%u] is of another OpenCL context",
                              (unsigned)i);
        }
    }
    return GEAR_OK;
}

gear_status gear__stream_begin(gear__stream *stream, gear__device *device, const gear_sync *sync, const char *where,
                               gear_error *error)
{
    gear_status status;
    memset(stream, 0, sizeof *stream);
    if (!sync) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "sync is NULL");
    }
    stream->device = device;
    stream->queue = sync->queue;
    stream->num_wait = sync->num_wait;
    stream->wait = sync->num_wait ? sync->wait : NULL;
    stream->signal = sync->signal;
    stream->where = where;
    status = check_queue(stream, error);
    return status ? status : check_wait(stream, error);
}

/* Wait list and event of one command. */
typedef struct link {
    cl_uint num_wait;
    const cl_event *wait;
    cl_event event, *out; /* out: &event, or NULL when nobody needs it */
} link;

static void link_open(gear__stream *stream, link *l)
{
    memset(l, 0, sizeof *l);
    if (stream->commands == 0) {
        l->num_wait = stream->num_wait;
        l->wait = stream->wait;
    } else if (stream->out_of_order) {
        l->num_wait = 1;
        l->wait = &stream->last;
    }
    if (stream->out_of_order || stream->signal) {
        l->out = &l->event;
    }
}

static gear_status link_close(gear__stream *stream, link *l, cl_int code, const char *where, gear_error *error)
{
    if (code) {
        return gear__fail_cl(error, code, where);
    }
    if (stream->last) {
        (void)clReleaseEvent(stream->last);
    }
    stream->last = l->event;
    stream->commands++;
    return GEAR_OK;
}

gear_status gear__stream_kernel(gear__stream *stream, cl_kernel kernel, cl_uint dims, const size_t *global, const size_t *local,
                                gear_error *error)
{
    link l;
    cl_int code;
    for (cl_uint i = 0; i < dims; i++) {
        if (global[i] == 0) {
            return GEAR_OK;
        }
    }
    link_open(stream, &l);
    code = clEnqueueNDRangeKernel(stream->queue, kernel, dims, NULL, global, local, l.num_wait, l.wait, l.out);
    return link_close(stream, &l, code, "clEnqueueNDRangeKernel", error);
}

gear_status gear__stream_zero(gear__stream *stream, cl_mem mem, size_t bytes, gear_error *error)
{
    static const cl_uint zero;
    link l;
    cl_int code;
    link_open(stream, &l);
    code = clEnqueueFillBuffer(stream->queue, mem, &zero, sizeof zero, 0, bytes, l.num_wait, l.wait, l.out);
    return link_close(stream, &l, code, "clEnqueueFillBuffer", error);
}

/* A verb that had nothing to do still passes on what it was to wait for. */
static gear_status end_empty(gear__stream *stream, gear_error *error)
{
    link l;
    cl_int code;
    if (!stream->signal && (stream->out_of_order || !stream->num_wait)) {
        return GEAR_OK;
    }
    link_open(stream, &l);
    code = clEnqueueMarkerWithWaitList(stream->queue, l.num_wait, l.wait, l.out);
    return link_close(stream, &l, code, "clEnqueueMarkerWithWaitList", error);
}

gear_status gear__stream_end(gear__stream *stream, gear_status status, gear_error *error)
{
    if (!status && stream->commands == 0) {
        status = end_empty(stream, error);
    }
    if (status && stream->commands && stream->out_of_order) {
        (void)clEnqueueBarrierWithWaitList(stream->queue, 1, &stream->last, NULL);
    }
    if (!status && stream->signal) {
        *stream->signal = stream->last;
        stream->last = NULL;
    }
    if (stream->last) {
        (void)clReleaseEvent(stream->last);
    }
    stream->last = NULL;
    return status;
}
