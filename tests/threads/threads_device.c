/* threads_device.c: several threads build and run kernels of one device: each program is built once, every result is right. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "device/buffer.h"
#include "device/launch.h"
#include "device/program.h"
#include "open_cl.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

#define THREADS  6
#define ROUNDS   12
#define VARIANTS 3
#define WORDS    256u

typedef struct worker {
    gear__device *device;
    int index, bad;
} worker;

static int once(gear__device *device, cl_command_queue queue, long factor)
{
    static const size_t global = WORDS;
    gear__options options;
    gear__stream stream;
    gear_sync sync = {queue, 0, NULL, NULL};
    gear_error error;
    cl_kernel kernel = NULL;
    cl_mem buffer = NULL;
    cl_uint one = 1, seven = 7, got[WORDS], i;
    int bad;
    gear__options_begin(&options);
    gear__options_int(&options, "FACTOR", factor);
    bad = gear__program_kernel(device, "step", &options, "gear_k_step", &kernel, &error) != GEAR_OK ||
          gear__buffer_create(device, sizeof got, "words", &buffer, &error) != GEAR_OK ||
          clEnqueueFillBuffer(queue, buffer, &seven, sizeof seven, 0, sizeof got, 0, NULL, NULL) != CL_SUCCESS ||
          gear__stream_begin(&stream, device, &sync, "once", &error) != GEAR_OK;
    if (!bad) {
        gear__arg args[] = {GEAR__ARG(buffer), GEAR__ARG(one)};
        gear_status status = gear__set_args(kernel, args, 2, &error);
        if (!status)
            status = gear__stream_kernel(&stream, kernel, 1, &global, NULL, &error);
        bad = gear__stream_end(&stream, status, &error) != GEAR_OK ||
              clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL) != CL_SUCCESS;
    }
    for (i = 0; !bad && i < WORDS; ++i)
        bad = got[i] != 7u * (cl_uint)factor + 1u;
    gear__buffer_release(&buffer);
    if (kernel)
        (void)clReleaseKernel(kernel);
    return bad;
}

static void *run(void *argument)
{
    worker *w = argument;
    cl_int code;
    cl_command_queue queue = clCreateCommandQueue(w->device->context, w->device->device, 0, &code);
    int i;
    w->bad = !queue;
    for (i = 0; !w->bad && i < ROUNDS; ++i)
        w->bad = once(w->device, queue, 2 + (w->index + i) % VARIANTS);
    if (queue)
        (void)clReleaseCommandQueue(queue);
    return NULL;
}

int main(void)
{
    static worker workers[THREADS];
    pthread_t threads[THREADS];
    char kernels[1024];
    test_cl cl;
    gear__device device;
    gear_context_desc desc;
    gear_error error;
    int i, bad = 0;

    test_cl_open(&cl);
    (void)snprintf(kernels, sizeof kernels, "%s/tests/unit/kernels", test_root());
    memset(&desc, 0, sizeof desc);
    desc.context = cl.context;
    desc.device = cl.device;
    desc.allocator = wrap_allocator();
    desc.kernel_source_dir = kernels;
    desc.program_cache_dir = test_directory();
    if (gear__device_init(&device, &desc, &error)) {
        (void)fprintf(stderr, "%s: %s\n", error.where, error.message);
        return 1;
    }
    wrap_reset_calls();
    for (i = 0; i < THREADS; ++i) {
        workers[i] = (worker){&device, i, 0};
        bad |= pthread_create(&threads[i], NULL, run, &workers[i]);
    }
    for (i = 0; i < THREADS; ++i) {
        bad |= pthread_join(threads[i], NULL);
        bad |= workers[i].bad;
    }
    if (wrap_calls(WRAP_COMPILE) != 2 * VARIANTS) {
        (void)fprintf(stderr, "%ld compile calls for %d programs\n", wrap_calls(WRAP_COMPILE), VARIANTS);
        bad = 1;
    }
    gear__device_close(&device);
    test_cl_close(&cl);
    if (wrap_live_all() || wrap_alloc_live()) {
        (void)fprintf(stderr, "%ld OpenCL references and %ld blocks left\n", wrap_live_all(), wrap_alloc_live());
        bad = 1;
    }
    return bad;
}
