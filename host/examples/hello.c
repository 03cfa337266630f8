/* hello.c: a cache on the first OpenCL device: append 300 tokens of random keys and values, attend with one query. */
#include <gear/gear.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { KV_HEADS = 2, QUERY_HEADS = 4, DIM = 64, TOKENS = 300 };

static float k[KV_HEADS * TOKENS * DIM], v[KV_HEADS * TOKENS * DIM], q[QUERY_HEADS * DIM], out[QUERY_HEADS * DIM];

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "hello: %s\n", what);
        exit(1);
    }
}

static void fill(float *x, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
}

int main(void)
{
    cl_platform_id platform;
    cl_device_id device;
    check(clGetPlatformIDs(1, &platform, NULL) == CL_SUCCESS, "no OpenCL platform");
    check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) == CL_SUCCESS, "no OpenCL device");
    cl_context cl = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    cl_command_queue queue = clCreateCommandQueue(cl, device, 0, NULL);
    fill(k, sizeof k / sizeof *k);
    fill(v, sizeof v / sizeof *v);
    fill(q, sizeof q / sizeof *q);
    const cl_mem_flags copy = CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR;
    cl_mem k_mem = clCreateBuffer(cl, copy, sizeof k, k, NULL), v_mem = clCreateBuffer(cl, copy, sizeof v, v, NULL);
    cl_mem q_mem = clCreateBuffer(cl, copy, sizeof q, q, NULL),
           o_mem = clCreateBuffer(cl, CL_MEM_WRITE_ONLY, sizeof out, NULL, NULL);
    check(queue && k_mem && v_mem && q_mem && o_mem, "cannot create queue and buffers");

    gear_error error = {0};
    gear_context *context = NULL;
    gear_context_desc context_desc;
    gear_context_desc_init(&context_desc);
    context_desc.context = cl;
    context_desc.device = device;
    check(gear_context_create(&context_desc, &context, &error) == GEAR_OK, error.message);

    gear_codec_pair codec; /* 4-bit KIVI, plus rank 4 on prompts and rank 2 on what is decoded */
    gear_codec_init(&codec.k);
    codec.k.bits = 4;
    codec.k.rank_prompt = 4;
    codec.k.rank_decode = 2;
    codec.v = codec.k;

    gear_cache *cache = NULL;
    gear_cache_desc desc;
    gear_cache_desc_init(&desc);
    desc.num_layers = 1;
    desc.num_kv_heads = KV_HEADS;
    desc.num_query_heads = QUERY_HEADS;
    desc.head_dim = DIM;
    desc.capacity_sequences = 1;
    desc.capacity_tokens = 1024;
    desc.codecs = &codec;
    desc.num_codecs = 1;
    check(gear_cache_create(context, &desc, &cache, &error) == GEAR_OK, error.message);

    gear_sequence sequence;
    check(gear_sequence_add(cache, &sequence, &error) == GEAR_OK, error.message);
    gear_batch prompt = {.count = 1, .sequences = &sequence, .tokens_each = TOKENS};
    gear_batch step = {.count = 1, .sequences = &sequence, .tokens_each = 1};
    gear_view k_view = {.mem = k_mem, .stride_head = TOKENS * DIM, .stride_token = DIM, .type = GEAR_F32}, v_view = k_view;
    v_view.mem = v_mem;
    gear_view q_view = {.mem = q_mem, .stride_head = DIM, .stride_token = DIM, .type = GEAR_F32}, o_view = q_view;
    o_view.mem = o_mem;
    gear_sync sync = {.queue = queue};
    check(gear_append(cache, 0, &prompt, &k_view, &v_view, &sync, &error) == GEAR_OK, error.message);
    check(gear_attend(cache, 0, &step, &q_view, NULL, &o_view, &sync, &error) == GEAR_OK, error.message);
    check(clEnqueueReadBuffer(queue, o_mem, CL_TRUE, 0, sizeof out, out, 0, NULL, NULL) == CL_SUCCESS,
          "cannot read the output");

    gear_bytes bytes;
    check(gear_cache_bytes(cache, 0, &bytes, &error) == GEAR_OK, error.message);
    printf("out[0..3] = %.4f %.4f %.4f %.4f\n", (double)out[0], (double)out[1], (double)out[2], (double)out[3]);
    printf("%d tokens: codes %llu, scales %llu, low rank %llu, window %llu bytes; 16 bits would take %d\n", TOKENS,
           (unsigned long long)bytes.codes, (unsigned long long)bytes.scales, (unsigned long long)bytes.lowrank,
           (unsigned long long)bytes.window, 2 * 2 * KV_HEADS * TOKENS * DIM);
    gear_cache_destroy(cache);
    gear_context_destroy(context);
    clReleaseMemObject(k_mem);
    clReleaseMemObject(v_mem);
    clReleaseMemObject(q_mem);
    clReleaseMemObject(o_mem);
    clReleaseCommandQueue(queue);
    clReleaseContext(cl);
    return isfinite(out[0]) ? 0 : 1;
}
