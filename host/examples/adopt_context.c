/* adopt_context.c: how an inference runtime adopts the library. The runtime owns the OpenCL context, a queue for transfers and
 * one for kernels, and its buffers; the cache only borrows them. A prompt and eight decode steps run without the host waiting
 * in between: the order comes from wait lists and events alone.
 *
 *     transfer   upload K, V, Q                      download out
 *                   |  uploaded                         ^  attended
 *     kernels       +-> gear_append --appended--> gear_attend
 */
#include <gear/gear.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { KV_HEADS = 2, QUERY_HEADS = 6, DIM = 64, PROMPT = 200, STEPS = 8 };

typedef struct runtime {
    cl_context context;
    cl_device_id device;
    cl_command_queue transfer, kernels;
    cl_mem k, v, q, out;
    cl_event downloaded; /* of the step before: its buffers may be written again */
} runtime;

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "adopt_context: %s\n", what);
        exit(1);
    }
}

static cl_mem buffer(const runtime *r, size_t values)
{
    cl_mem mem = clCreateBuffer(r->context, CL_MEM_READ_WRITE, values * sizeof(float), NULL, NULL);
    must(mem != NULL, "cannot create a buffer");
    return mem;
}

static void open_runtime(runtime *r)
{
    cl_platform_id platform;
    must(clGetPlatformIDs(1, &platform, NULL) == CL_SUCCESS, "no OpenCL platform");
    must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &r->device, NULL) == CL_SUCCESS, "no OpenCL device");
    r->context = clCreateContext(NULL, 1, &r->device, NULL, NULL, NULL);
    must(r->context != NULL, "cannot create a context");
    r->transfer = clCreateCommandQueue(r->context, r->device, 0, NULL);
    r->kernels = clCreateCommandQueue(r->context, r->device, 0, NULL);
    must(r->transfer && r->kernels, "cannot create the queues");
    r->k = buffer(r, KV_HEADS * PROMPT * DIM);
    r->v = buffer(r, KV_HEADS * PROMPT * DIM);
    r->q = buffer(r, QUERY_HEADS * DIM);
    r->out = buffer(r, QUERY_HEADS * DIM);
    r->downloaded = NULL;
}

static void close_runtime(runtime *r)
{
    clReleaseEvent(r->downloaded);
    clReleaseMemObject(r->k);
    clReleaseMemObject(r->v);
    clReleaseMemObject(r->q);
    clReleaseMemObject(r->out);
    clReleaseCommandQueue(r->transfer);
    clReleaseCommandQueue(r->kernels);
    clReleaseContext(r->context);
}

/* Starts one upload, after the downloads of the step before. */
static cl_event upload(runtime *r, cl_mem mem, const float *from, size_t values)
{
    cl_event done = NULL;
    must(clEnqueueWriteBuffer(r->transfer, mem, CL_FALSE, 0, values * sizeof *from, from, r->downloaded ? 1 : 0,
                              r->downloaded ? &r->downloaded : NULL, &done) == CL_SUCCESS,
         "cannot upload");
    must(clFlush(r->transfer) == CL_SUCCESS, "cannot flush");
    return done;
}

/* Appends `tokens` tokens and attends with one query. Only enqueues; out[QUERY_HEADS * DIM] is valid after r->downloaded. */
static void step(runtime *r, gear_cache *cache, gear_sequence sequence, uint32_t tokens, const float *host, float *out)
{
    gear_error error = {0};
    size_t kv = (size_t)KV_HEADS * tokens * DIM;
    cl_event uploaded[3] = {upload(r, r->k, host, kv), upload(r, r->v, host + kv, kv),
                            upload(r, r->q, host, QUERY_HEADS * DIM)};
    cl_event appended = NULL, attended = NULL;
    gear_batch fresh = {.count = 1, .sequences = &sequence, .tokens_each = tokens};
    gear_batch query = {.count = 1, .sequences = &sequence, .tokens_each = 1};
    gear_view k = {.mem = r->k, .stride_head = (size_t)tokens * DIM, .stride_token = DIM, .type = GEAR_F32}, v = k;
    gear_view q = {.mem = r->q, .stride_head = DIM, .stride_token = DIM, .type = GEAR_F32}, o = q;
    v.mem = r->v;
    o.mem = r->out;
    gear_sync append = {.queue = r->kernels, .num_wait = 2, .wait = uploaded, .signal = &appended};
    must(gear_append(cache, 0, &fresh, &k, &v, &append, &error) == GEAR_OK, error.message);
    cl_event ready[2] = {appended, uploaded[2]};
    gear_sync attend = {.queue = r->kernels, .num_wait = 2, .wait = ready, .signal = &attended};
    must(gear_attend(cache, 0, &query, &q, NULL, &o, &attend, &error) == GEAR_OK, error.message);
    must(clFlush(r->kernels) == CL_SUCCESS, "cannot flush");
    if (r->downloaded)
        clReleaseEvent(r->downloaded);
    must(clEnqueueReadBuffer(r->transfer, r->out, CL_FALSE, 0, QUERY_HEADS * DIM * sizeof *out, out, 1, &attended,
                             &r->downloaded) == CL_SUCCESS,
         "cannot download");
    must(clFlush(r->transfer) == CL_SUCCESS, "cannot flush");
    for (int i = 0; i < 3; ++i)
        clReleaseEvent(uploaded[i]);
    clReleaseEvent(appended);
    clReleaseEvent(attended);
}

static gear_cache *open_cache(const runtime *r)
{
    gear_error error = {0};
    gear_context *context = NULL;
    gear_context_desc context_desc;
    gear_context_desc_init(&context_desc);
    context_desc.context = r->context;
    context_desc.device = r->device;
    must(gear_context_create(&context_desc, &context, &error) == GEAR_OK, error.message);
    gear_cache *cache = NULL;
    gear_codec_pair codecs;
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    desc.num_layers = 1, desc.num_kv_heads = KV_HEADS, desc.num_query_heads = QUERY_HEADS, desc.head_dim = DIM;
    desc.capacity_sequences = 1, desc.capacity_tokens = 512;
    must(gear_preset(GEAR_PRESET_DEFAULT, &desc, &codecs, &error) == GEAR_OK, error.message);
    must(gear_cache_create(context, &desc, &cache, &error) == GEAR_OK, error.message);
    gear_context_destroy(context); /* the cache keeps it alive */
    return cache;
}

int main(void)
{
    enum { VALUES = 2 * KV_HEADS * PROMPT * DIM };
    static float host[VALUES], out[STEPS + 1][QUERY_HEADS * DIM];
    for (int i = 0; i < VALUES; ++i)
        host[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    runtime r;
    open_runtime(&r);
    gear_cache *cache = open_cache(&r);
    gear_error error = {0};
    gear_sequence sequence;
    must(gear_sequence_add(cache, &sequence, &error) == GEAR_OK, error.message);
    step(&r, cache, sequence, PROMPT, host, out[0]);
    for (int i = 1; i <= STEPS; ++i)
        step(&r, cache, sequence, 1, host + 32 * i, out[i]);
    gear_cache_destroy(cache); /* its memory goes when the last command ends */
    must(clWaitForEvents(1, &r.downloaded) == CL_SUCCESS, "a command failed");
    int finite = 1;
    for (int i = 0; i <= STEPS; ++i)
        for (int c = 0; c < QUERY_HEADS * DIM; ++c)
            finite = finite && isfinite(out[i][c]);
    printf("%d tokens and %d steps: out[%d][0..3] = %.4f %.4f %.4f %.4f\n", PROMPT, STEPS, STEPS, (double)out[STEPS][0],
           (double)out[STEPS][1], (double)out[STEPS][2], (double)out[STEPS][3]);
    close_runtime(&r);
    return finite ? 0 : 1;
}
