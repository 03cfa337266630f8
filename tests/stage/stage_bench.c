/* stage_bench.c: see the header. */
#include "stage_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/buffer.h"
#include "device/program.h"
#include "model/shape_words.h"
#include "wrap_alloc.h"
#include "wrap_cl.h"

#define GARBAGE 0xa5
#define CANARY  0xc3

static void show(void *user, gear_log_level level, const char *text)
{
    (void)user;
    if (level == GEAR_LOG_WARNING) {
        (void)fprintf(stderr, "%s\n", text);
    }
}

void stage_open(stage_bench *bench)
{
    gear_context_desc desc;
    gear_error error;
    memset(bench, 0, sizeof *bench);
    test_cl_open(&bench->cl);
    gear_context_desc_init(&desc);
    desc.context = bench->cl.context;
    desc.device = bench->cl.device;
    desc.allocator = wrap_allocator();
    desc.log.write = show;
    cr_assert_eq(gear__device_init(&bench->device, &desc, &error), GEAR_OK, "%s", error.message);
    bench->append = gear__append_items_of(&bench->device.caps);
}

int stage_has_nvidia_kernel(const stage_bench *bench)
{
    return !gear__caps_tensor_cores_why_not(&bench->device.caps);
}

void stage_close(stage_bench *bench, const char *name)
{
    if (name) {
        printf("stage %s: %llu cases\n", name, (unsigned long long)bench->cases);
        (void)fflush(stdout);
        cr_assert_gt(bench->cases, 0);
    }
    gear__device_close(&bench->device);
    test_cl_close(&bench->cl);
    cr_assert_eq(wrap_live_all(), 0, "%ld OpenCL objects left", wrap_live_all());
    cr_assert_eq(wrap_alloc_live(), 0);
}

void stage_skip(stage_bench *bench, const char *why)
{
    stage_close(bench, NULL);
    cr_skip_test("%s", why);
}

int stage_tiny(void)
{
    const char *tiny = getenv("GEAR_TEST_TINY");
    return tiny && tiny[0] == '1';
}

void stage_buffer_make(stage_bench *bench, stage_buffer *buffer, size_t bytes)
{
    gear_error error;
    bytes = bytes > 4 ? bytes : 4;
    stage_buffer_free(buffer);
    buffer->bytes = bytes;
    buffer->host = malloc(bytes + STAGE_CANARY);
    cr_assert_not_null(buffer->host);
    memset(buffer->host, GARBAGE, bytes);
    memset(buffer->host + bytes, CANARY, STAGE_CANARY);
    cr_assert_eq(gear__buffer_create(&bench->device, bytes + STAGE_CANARY, "test", &buffer->mem, &error), GEAR_OK, "%s",
                 error.message);
}

void stage_buffer_free(stage_buffer *buffer)
{
    gear__buffer_release(&buffer->mem);
    free(buffer->host);
    memset(buffer, 0, sizeof *buffer);
}

void stage_put(stage_bench *bench, const stage_buffer *buffer)
{
    cl_int code = clEnqueueWriteBuffer(bench->cl.queue, buffer->mem, CL_TRUE, 0, buffer->bytes + STAGE_CANARY, buffer->host, 0,
                                       NULL, NULL);
    cr_assert_eq(code, CL_SUCCESS, "write: %d", code);
}

uint8_t *stage_get(stage_bench *bench, const stage_buffer *buffer)
{
    uint8_t *got = malloc(buffer->bytes + STAGE_CANARY);
    cr_assert_not_null(got);
    cl_int code =
        clEnqueueReadBuffer(bench->cl.queue, buffer->mem, CL_TRUE, 0, buffer->bytes + STAGE_CANARY, got, 0, NULL, NULL);
    cr_assert_eq(code, CL_SUCCESS, "read: %d", code);
    for (size_t i = 0; i < STAGE_CANARY; i++) {
        STAGE_EXPECT(got[buffer->bytes + i] == CANARY, "canary byte %zu", i);
    }
    return got;
}

void stage_take(stage_bench *bench, const stage_buffer *buffer)
{
    uint8_t *got = stage_get(bench, buffer);
    memcpy(buffer->host, got, buffer->bytes);
    free(got);
}

void stage_same_bytes(const uint8_t *got, const uint8_t *want, size_t bytes, const char *what)
{
    size_t first = 0, wrong = 0;
    if (!memcmp(got, want, bytes)) {
        return;
    }
    for (size_t i = bytes; i-- > 0;) {
        wrong += got[i] != want[i];
        first = got[i] != want[i] ? i : first;
    }
    cr_assert_fail("%s: %zu of %zu bytes differ, the first at %zu: 0x%02x, not 0x%02x", what, wrong, bytes, first, got[first],
                   want[first]);
}

void stage_same(stage_bench *bench, const stage_buffer *buffer, const char *what)
{
    uint8_t *got = stage_get(bench, buffer);
    stage_same_bytes(got, buffer->host, buffer->bytes, what);
    free(got);
}

void stage_variant_open(stage_bench *bench, gear__variant *variant, const gear__shape *shape, uint32_t table_row,
                        uint32_t max_rows, uint64_t kernels, gear_attend_kernel attend)
{
    uint32_t words[GEAR__SHAPE_WORDS];
    cl_int code;
    memset(variant, 0, sizeof *variant);
    variant->shape = *shape;
    gear__caps caps = bench->device.caps;
    if (attend == GEAR_ATTEND_PORTABLE) { /* the rows of a GPU also on a CPU device, whatever that was tuned for */
        caps.is_cpu = 0;
        caps.name[0] = '\0';
    }
    variant->tile = gear__attend_tile_of(attend, &caps, shape, max_rows, NULL);
    variant->append = bench->append;
    variant->table_row = table_row;
    gear__shape_to_words(shape, table_row, words);
    variant->words = clCreateBuffer(bench->cl.context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof words, words, &code);
    cr_assert_eq(code, CL_SUCCESS);
    for (uint32_t id = 0; id < GEAR__NUM_KERNELS; id++) {
        for (uint32_t is_v = 0; is_v < 2 && kernels >> id & 1u; is_v++) {
            gear_error error;
            gear_status status = gear__variant_kernel(variant, &bench->device, (gear__kernel_id)id, is_v, &error);
            cr_assert_eq(status, GEAR_OK, "%s", error.message);
        }
    }
}

void stage_begin(stage_bench *bench, gear__stream *stream, gear_error *error)
{
    const gear_sync sync = {bench->cl.queue, 0, NULL, NULL};
    cr_assert_eq(gear__stream_begin(stream, &bench->device, &sync, "stage test", error), GEAR_OK, "%s", error->message);
}

void stage_end(stage_bench *bench, gear__stream *stream, gear_status status, gear_error *error)
{
    status = gear__stream_end(stream, status, error);
    cr_assert_eq(status, GEAR_OK, "%s: %s", error->where, error->message);
    cr_assert_eq(clFinish(bench->cl.queue), CL_SUCCESS);
    bench->cases++;
}
