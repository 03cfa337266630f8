/* threads_cache.c: several threads share a context, each with a cache and a queue of its own, half of them on the mixed
 * backbone: each program is built once, and every thread gets bit for bit what one thread alone gets. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "gear/gear.h"
#include "open_cl.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

#define CODECS  2
#define THREADS (2 * CODECS)
#define ROUNDS  3
#define HEADS   2u
#define DIM     64u
#define TOKENS  130u /* of a round: at once, so that blocks come about */
#define VALUES  (HEADS * TOKENS * DIM)
#define OUTPUTS (2u * HEADS * DIM)

typedef struct worker {
    gear_context *context;
    const test_cl *cl;
    int codec, bad;
    float out[ROUNDS][OUTPUTS];
} worker;

/* Uniform in [-1, 1), the same for all workers. */
static float value(uint32_t i)
{
    i = (i ^ (i >> 16)) * 0x7feb352du;
    i = (i ^ (i >> 15)) * 0x846ca68bu;
    return (float)(int32_t)(i ^ (i >> 16)) * 0x1p-31f;
}

static void describe(gear_cache_desc *desc, gear_codec_pair *pair, int codec)
{
    gear_codec_init(&pair->k);
    pair->k.rank_prompt = 2;
    pair->k.outlier_fraction = 0.02f;
    pair->v = pair->k;
    if (codec) {
        static const gear_segment segments[] = {{16, 4}, {16, 2}, {32, 1}};
        pair->k.backbone = pair->v.backbone = GEAR_BACKBONE_MIXED;
        pair->k.delta_bits = pair->v.delta_bits = 8;
        memcpy(pair->k.segments, segments, sizeof segments);
        pair->v.rotate = 1;
    }
    gear_cache_desc_init(desc);
    desc->num_layers = 1;
    desc->num_kv_heads = HEADS;
    desc->num_query_heads = 2 * HEADS;
    desc->head_dim = DIM;
    desc->capacity_sequences = 1;
    desc->capacity_tokens = (uint64_t)ROUNDS * TOKENS;
    desc->recent = 0;
    desc->codecs = pair;
    desc->num_codecs = 1;
}

/* K, V, queries and output of a worker, in this order. */
static int make_buffers(const worker *w, cl_mem *buffers)
{
    static const size_t counts[] = {VALUES, VALUES, OUTPUTS, OUTPUTS};
    float host[VALUES];
    for (uint32_t b = 0; b < 4; ++b) {
        cl_int code;
        for (uint32_t i = 0; i < counts[b]; ++i)
            host[i] = value(b * VALUES + i);
        buffers[b] = clCreateBuffer(w->cl->context, CL_MEM_COPY_HOST_PTR, counts[b] * sizeof *host, host, &code);
        if (code)
            return 1;
    }
    return 0;
}

static int use(worker *w, gear_cache *cache, cl_command_queue queue, const cl_mem *buffers, gear_error *error)
{
    const gear_view k = {buffers[0], 0, 0, TOKENS * DIM, DIM, GEAR_F32}, v = {buffers[1], 0, 0, TOKENS * DIM, DIM, GEAR_F32},
                    q = {buffers[2], 0, 0, DIM, DIM, GEAR_F32}, out = {buffers[3], 0, 0, DIM, DIM, GEAR_F32};
    const gear_sync sync = {queue, 0, NULL, NULL};
    gear_sequence name;
    int bad = gear_sequence_add(cache, &name, error) != GEAR_OK;
    const gear_batch tokens = {1, &name, NULL, TOKENS}, query = {1, &name, NULL, 1};
    for (int i = 0; !bad && i < ROUNDS; ++i)
        bad = gear_append(cache, 0, &tokens, &k, &v, &sync, error) != GEAR_OK ||
              gear_attend(cache, 0, &query, &q, NULL, &out, &sync, error) != GEAR_OK ||
              clEnqueueReadBuffer(queue, buffers[3], CL_TRUE, 0, sizeof w->out[i], w->out[i], 0, NULL, NULL) != CL_SUCCESS;
    return bad;
}

static void *run(void *argument)
{
    worker *w = argument;
    cl_int code;
    cl_mem buffers[4] = {NULL};
    gear_codec_pair pair;
    gear_cache_desc desc;
    gear_cache *cache = NULL;
    gear_error error = {0};
    cl_command_queue queue = clCreateCommandQueue(w->cl->context, w->cl->device, 0, &code);
    describe(&desc, &pair, w->codec);
    w->bad = !queue || make_buffers(w, buffers) || gear_cache_create(w->context, &desc, &cache, &error) != GEAR_OK ||
             use(w, cache, queue, buffers, &error);
    if (w->bad)
        (void)fprintf(stderr, "codec %d: %s: %s\n", w->codec, error.where ? error.where : "OpenCL", error.message);
    gear_cache_destroy(cache);
    for (int i = 0; i < 4; ++i)
        if (buffers[i])
            (void)clReleaseMemObject(buffers[i]);
    if (queue)
        (void)clReleaseCommandQueue(queue);
    return NULL;
}

/* Runs `count` workers on a new context, at once or one after the other. Returns the calls that compile, -1 on failure. */
static long all(worker *workers, int count, int at_once, const test_cl *cl)
{
    pthread_t threads[THREADS];
    gear_context_desc desc;
    gear_context *context;
    gear_error error;
    int bad = 0;
    gear_context_desc_init(&desc);
    desc.context = cl->context;
    desc.device = cl->device;
    desc.allocator = wrap_allocator();
    if (gear_context_create(&desc, &context, &error))
        return -1;
    wrap_reset_calls();
    for (int i = 0; i < count; ++i) {
        workers[i] = (worker){.context = context, .cl = cl, .codec = i % CODECS};
        if (!at_once)
            (void)run(&workers[i]);
        else
            bad |= pthread_create(&threads[i], NULL, run, &workers[i]);
    }
    for (int i = 0; i < count; ++i) {
        bad |= at_once ? pthread_join(threads[i], NULL) : 0;
        bad |= workers[i].bad;
    }
    gear_context_destroy(context);
    return bad ? -1 : wrap_calls(WRAP_COMPILE);
}

int main(void)
{
    static worker workers[THREADS], alone[CODECS];
    test_cl cl;
    int bad = 0;
    test_cl_open(&cl);
    long calls = all(workers, THREADS, 1, &cl), fewest = all(alone, CODECS, 0, &cl);
    if (calls < 0 || calls != fewest) {
        (void)fprintf(stderr, "%ld compile calls of %d threads, %ld of one\n", calls, THREADS, fewest);
        bad = 1;
    }
    for (int i = 0; i < THREADS; ++i)
        if (memcmp(workers[i].out, alone[workers[i].codec].out, sizeof workers[i].out)) {
            (void)fprintf(stderr, "thread %d: not what codec %d gives alone\n", i, workers[i].codec);
            bad = 1;
        }
    test_cl_close(&cl);
    if (wrap_live_all() || wrap_alloc_live()) {
        (void)fprintf(stderr, "%ld OpenCL references and %ld blocks left\n", wrap_live_all(), wrap_alloc_live());
        bad = 1;
    }
    return bad;
}
