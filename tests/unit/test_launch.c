/* test_launch.c: streams on in-order and out-of-order queues, wait lists, signals, failures half way. */
#include <criterion/criterion.h>
#include <string.h>

#include "device/buffer.h"
#include "device/launch.h"
#include "device/program.h"
#include "unit_device.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

#define WORDS 4096u

typedef struct bench {
    test_cl cl;
    gear__device device;
    cl_kernel times0, times3, times5;
    cl_mem words;
} bench;

static void open_bench(bench *t)
{
    gear_context_desc desc;
    gear_error error;
    gear__options zero = unit_step(0), three = unit_step(3), five = unit_step(5);
    memset(t, 0, sizeof *t);
    test_cl_open(&t->cl);
    desc = unit_desc(&t->cl, NULL, NULL);
    cr_assert_eq(gear__device_init(&t->device, &desc, &error), GEAR_OK, "%s", error.message);
    cr_assert_eq(gear__program_kernel(&t->device, "step", &zero, "gear_k_step", &t->times0, &error), GEAR_OK);
    cr_assert_eq(gear__program_kernel(&t->device, "step", &three, "gear_k_step", &t->times3, &error), GEAR_OK);
    cr_assert_eq(gear__program_kernel(&t->device, "step", &five, "gear_k_step", &t->times5, &error), GEAR_OK);
    cr_assert_eq(gear__buffer_create(&t->device, WORDS * 4, "words", &t->words, &error), GEAR_OK);
}

static void close_bench(bench *t)
{
    gear__buffer_release(&t->words);
    (void)clReleaseKernel(t->times0);
    (void)clReleaseKernel(t->times3);
    (void)clReleaseKernel(t->times5);
    gear__device_close(&t->device);
    test_cl_close(&t->cl);
    cr_assert_eq(wrap_live_all(), 0, "%ld objects left, %ld events", wrap_live_all(), wrap_live(WRAP_EVENT));
    cr_assert_eq(wrap_alloc_live(), 0);
}

/* x0+1, then x3+1 and x5+2 in turn, `rounds` times: the words are what the host computes. */
static gear_status work(bench *t, const gear_sync *sync, int rounds, gear_error *error)
{
    const size_t global[2] = {WORDS, 1}, nothing[2] = {WORDS, 0};
    cl_uint one = 1, two = 2;
    gear__arg with_one[] = {GEAR__ARG(t->words), GEAR__ARG(one)}, with_two[] = {GEAR__ARG(t->words), GEAR__ARG(two)};
    gear__stream stream;
    int i;
    gear_status status = gear__stream_begin(&stream, &t->device, sync, "gear_append", error);
    if (status)
        return status;
    status = gear__set_args(t->times0, with_one, 2, error);
    if (!status)
        status = gear__set_args(t->times3, with_one, 2, error);
    if (!status)
        status = gear__set_args(t->times5, with_two, 2, error);
    if (!status)
        status = gear__stream_kernel(&stream, t->times0, 1, global, NULL, error);
    for (i = 0; !status && i < rounds; ++i) {
        status = gear__stream_kernel(&stream, t->times3, 2, global, NULL, error);
        if (!status)
            status = gear__stream_kernel(&stream, t->times5, 2, nothing, NULL, error);
        if (!status)
            status = gear__stream_kernel(&stream, t->times5, 1, global, NULL, error);
    }
    return gear__stream_end(&stream, status, error);
}

static void check(bench *t, int rounds)
{
    static cl_uint got[WORDS];
    cl_uint want = 1, i;
    for (i = 0; i < (cl_uint)rounds; ++i)
        want = (want * 3 + 1) * 5 + 2;
    cr_assert_eq(clEnqueueReadBuffer(t->cl.queue, t->words, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL), CL_SUCCESS);
    for (i = 0; i < WORDS; ++i)
        cr_assert_eq(got[i], want, "word %u: %u, not %u", i, got[i], want);
}

Test(launch, in_order)
{
    bench t;
    cl_event signal = NULL;
    gear_error error;
    open_bench(&t);
    {
        gear_sync quiet = {t.cl.queue, 0, NULL, NULL}, loud = {t.cl.queue, 0, NULL, &signal};
        wrap_reset_calls();
        cr_assert_eq(work(&t, &quiet, 5, &error), GEAR_OK, "%s", error.message);
        cr_assert_eq(wrap_calls(WRAP_ENQUEUE), 11);
        cr_assert_eq(wrap_calls(WRAP_WAIT) + wrap_calls(WRAP_COMPILE) + wrap_calls(WRAP_ALLOCATE), 0);
        cr_assert_eq(wrap_live(WRAP_EVENT), 0);
        check(&t, 5);
        cr_assert_eq(work(&t, &loud, 6, &error), GEAR_OK, "%s", error.message);
        cr_assert_eq(wrap_live(WRAP_EVENT), 1);
        cr_assert_eq(clWaitForEvents(1, &signal), CL_SUCCESS);
        (void)clReleaseEvent(signal);
        check(&t, 6);
    }
    close_bench(&t);
}

/* A user event that holds commands back. oclgrind runs commands in clFlush and would wait there for ever: its gate is open. */
static cl_event make_gate(bench *t)
{
    cl_event gate = clCreateUserEvent(t->cl.context, NULL);
    if (t->device.caps.is_oclgrind)
        (void)clSetUserEventStatus(gate, CL_COMPLETE);
    return gate;
}

/* `state` is that of a command behind the gate. */
static void open_gate(bench *t, cl_event gate, cl_int state)
{
    if (t->device.caps.is_oclgrind)
        return;
    cr_assert_neq(state, CL_COMPLETE);
    cr_assert_eq(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
}

/* A user event holds the stream back: nothing may run before it, and the commands keep their order. */
Test(launch, out_of_order_behind_a_wait_list)
{
    bench t;
    gear_error error;
    open_bench(&t);
    if (t.cl.out_of_order) {
        cl_int state = CL_COMPLETE;
        cl_event gate = make_gate(&t), signal = NULL;
        gear_sync sync = {t.cl.out_of_order, 1, &gate, &signal};
        cr_assert_eq(work(&t, &sync, 20, &error), GEAR_OK, "%s", error.message);
        cr_assert_eq(wrap_live(WRAP_EVENT), 2);
        (void)clFlush(t.cl.out_of_order);
        cr_assert_eq(clGetEventInfo(signal, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL), CL_SUCCESS);
        open_gate(&t, gate, state);
        cr_assert_eq(clWaitForEvents(1, &signal), CL_SUCCESS);
        check(&t, 20);
        (void)clReleaseEvent(signal);
        (void)clReleaseEvent(gate);
        sync = (gear_sync){t.cl.out_of_order, 0, NULL, NULL};
        cr_assert_eq(work(&t, &sync, 7, &error), GEAR_OK, "%s", error.message);
        cr_assert_eq(clFinish(t.cl.out_of_order), CL_SUCCESS);
        check(&t, 7);
    }
    close_bench(&t);
}

Test(launch, empty_stream_passes_the_wait_on)
{
    bench t;
    gear_error error;
    int i;
    open_bench(&t);
    for (i = 0; i < 2; ++i) {
        cl_event gate, signal = NULL;
        cl_int state = CL_COMPLETE;
        gear__stream stream;
        gear_sync sync = {i ? t.cl.out_of_order : t.cl.queue, 1, &gate, &signal};
        if (!sync.queue)
            continue;
        gate = make_gate(&t);
        cr_assert_eq(gear__stream_begin(&stream, &t.device, &sync, "gear_flush", &error), GEAR_OK, "%s", error.message);
        cr_assert_eq(gear__stream_end(&stream, GEAR_OK, &error), GEAR_OK);
        cr_assert_not_null(signal);
        (void)clFlush(sync.queue);
        (void)clGetEventInfo(signal, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
        open_gate(&t, gate, state);
        cr_assert_eq(clWaitForEvents(1, &signal), CL_SUCCESS);
        (void)clReleaseEvent(signal);
        (void)clReleaseEvent(gate);
    }
    close_bench(&t);
}

Test(launch, names_what_is_wrong_with_sync)
{
    bench t;
    test_cl other;
    gear_error error;
    gear__stream stream;
    cl_event foreign, missing = NULL;
    open_bench(&t);
    test_cl_open(&other);
    foreign = clCreateUserEvent(other.context, NULL);
    (void)clSetUserEventStatus(foreign, CL_COMPLETE); /* NVIDIA's driver hangs when a context with an open one closes */
#define REFUSED(sync_value, field)                                                                                             \
  do {                                                                                                                         \
    gear_sync bad = sync_value;                                                                                                \
    cr_assert_eq(gear__stream_begin(&stream, &t.device, &bad, "gear_attend", &error), GEAR_ERROR_ARGUMENT);                    \
    cr_assert_not_null(strstr(error.message, field), "%s: %s", field, error.message);                                          \
    cr_assert_str_eq(error.where, "gear_attend");                                                                              \
  } while (0)
#define SYNC(...) ((gear_sync){__VA_ARGS__})
    REFUSED(SYNC(NULL, 0, NULL, NULL), "sync.queue");
    REFUSED(SYNC(other.queue, 0, NULL, NULL), "sync.queue");
    REFUSED(SYNC(t.cl.queue, 1, NULL, NULL), "sync.wait");
    REFUSED(SYNC(t.cl.queue, 1, &missing, NULL), "sync.wait[0]");
    REFUSED(SYNC(t.cl.queue, 1, &foreign, NULL), "sync.wait[0]");
    cr_assert_eq(gear__stream_begin(&stream, &t.device, NULL, "gear_attend", &error), GEAR_ERROR_ARGUMENT);
    (void)clReleaseEvent(foreign);
    test_cl_close(&other);
    close_bench(&t);
}

/* Every OpenCL call in turn fails: the status says so, the signal is untouched, nothing leaks, and the next try works. */
Test(launch, any_call_may_fail)
{
    bench t;
    gear_error error;
    int i;
    open_bench(&t);
    for (i = 0; i < 4; ++i) {
        cl_command_queue queue = i & 1 ? t.cl.out_of_order : t.cl.queue;
        cl_event signal = NULL;
        gear_sync sync = {queue, 0, NULL, i & 2 ? &signal : NULL};
        long n = 0, events = wrap_live(WRAP_EVENT);
        if (!queue)
            continue;
        for (;;) {
            gear_status status;
            wrap_fail_at(++n);
            status = work(&t, &sync, 2, &error);
            if (!wrap_failed()) {
                wrap_fail_at(0);
                cr_assert_eq(status, GEAR_OK, "%s", error.message);
                break;
            }
            cr_assert_eq(status, GEAR_ERROR_OPENCL, "%s", wrap_failed());
            cr_assert_eq(error.cl_code, CL_OUT_OF_RESOURCES);
            cr_assert_str_eq(error.where, wrap_failed());
            cr_assert_null(signal);
            cr_assert_eq(wrap_live(WRAP_EVENT), events);
        }
        cr_assert_geq(n, 3 + 6 + 5);
        if (signal)
            (void)clReleaseEvent(signal);
        (void)clFinish(queue);
        check(&t, 2);
    }
    close_bench(&t);
}

/* The same for everything from the context to the kernel: n-th call, n-th allocation. */
Test(program, any_call_or_allocation_may_fail)
{
    test_cl cl;
    gear_error error;
    const char *dir = test_directory();
    int allocations, done;
    test_cl_open(&cl);
    for (allocations = 0; allocations < 2; ++allocations) {
        long n = 0, before = wrap_live_all();
        for (done = 0; !done;) {
            gear__device device;
            gear_context_desc desc = unit_desc(&cl, NULL, n & 1 ? dir : NULL);
            gear__options options = unit_step(3);
            cl_kernel kernel = NULL;
            gear_status status;
            long count = wrap_alloc_count();
            ++n;
            wrap_fail_at(allocations ? 0 : n);
            wrap_alloc_fail_at(allocations ? n : 0);
            status = gear__device_init(&device, &desc, &error);
            if (!status) {
                device.caps.is_pocl = 0; /* so that the disk cache is used */
                status = gear__program_kernel(&device, "step", &options, "gear_k_step", &kernel, &error);
                done = n > (allocations ? wrap_alloc_count() - count : 0) && (allocations || !wrap_failed());
                if (kernel)
                    (void)clReleaseKernel(kernel);
                gear__device_close(&device);
            }
            wrap_fail_at(0);
            wrap_alloc_fail_at(0);
            cr_assert(status == GEAR_OK || status == (allocations ? GEAR_ERROR_MEMORY : GEAR_ERROR_OPENCL), "n = %ld: %s", n,
                      error.message);
            cr_assert_eq(wrap_live_all(), before, "n = %ld", n);
            cr_assert_eq(wrap_alloc_live(), 0, "n = %ld", n);
            cr_assert_lt(n, 1000);
        }
        cr_assert_gt(n, 8);
    }
    test_cl_close(&cl);
    cr_assert_eq(wrap_live_all(), 0);
}
