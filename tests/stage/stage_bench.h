/* stage_bench.h: a device for stage tests, buffers with a canary behind them, and single launches. A test prepares the host
 * copies of all buffers, puts them on the device, launches one stage, makes the same step on the host copies with src/ref,
 * and asks whether device and host agree byte for byte, canaries included: so it also sees what a kernel must not touch. */
#ifndef STAGE_BENCH_H
#define STAGE_BENCH_H

#include <criterion/criterion.h>

#include "device/device.h"
#include "open_cl.h"
#include "stage/stage.h"

#define STAGE_CANARY 256u

#define STAGE_SEQS 3u /* sequences of a stage_world */

typedef struct stage_bench {
    test_cl cl;
    gear__device device;
    gear__append_tile append;             /* of the variants to open: the device's, not fused */
    uint64_t cases;                       /* comparisons made, for the report */
    const uint32_t (*counts)[STAGE_SEQS]; /* new tokens by round and sequence, 0: not in the batch; NULL: stage_world.c's */
    uint32_t rounds;
    uint32_t max_segment; /* tokens of a segment at most, any number of them; 0: 128 */
} stage_bench;

/* `host` has bytes + STAGE_CANARY bytes. */
typedef struct stage_buffer {
    cl_mem mem;
    uint8_t *host;
    size_t bytes;
} stage_buffer;

void stage_open(stage_bench *bench);
/* Prints "stage NAME: N cases", of which there must be some; NULL: there may be none. Fails the test when OpenCL objects are
 * left. */
void stage_close(stage_bench *bench, const char *name);
/* The same of a test that the device cannot run: skips it, and says why. Does not return. */
void stage_skip(stage_bench *bench, const char *why);
/* Whether the device is one of those that the nvidia attend kernel is for. */
int stage_has_nvidia_kernel(const stage_bench *bench);
/* GEAR_TEST_TINY=1: the simulator's small shapes. */
int stage_tiny(void);

/* For checks of single elements: an assertion of Criterion reports also when it holds, which takes microseconds. */
#define STAGE_EXPECT(condition, ...)                                                                                           \
  do {                                                                                                                         \
    if (!(condition)) {                                                                                                        \
      cr_assert_fail(__VA_ARGS__);                                                                                             \
    }                                                                                                                          \
  } while (0)

/* (Re)makes a buffer of at least 4 bytes, host copy filled with garbage. */
void stage_buffer_make(stage_bench *bench, stage_buffer *buffer, size_t bytes);
void stage_buffer_free(stage_buffer *buffer);
/* Host to device. */
void stage_put(stage_bench *bench, const stage_buffer *buffer);
/* Device to a new host copy, which the caller frees; fails the test when the canary is not intact. */
uint8_t *stage_get(stage_bench *bench, const stage_buffer *buffer);
/* Device to the host copy, for what the kernel may leave as it likes; the canary is looked at. */
void stage_take(stage_bench *bench, const stage_buffer *buffer);
/* Fails the test unless the device holds what the host copy does. */
void stage_same(stage_bench *bench, const stage_buffer *buffer, const char *what);
void stage_same_bytes(const uint8_t *got, const uint8_t *want, size_t bytes, const char *what);

/* Only the kernels whose bits (1 << gear__kernel_id) are set: compiling is what these tests spend their time on. */
void stage_variant_open(stage_bench *bench, gear__variant *variant, const gear__shape *shape, uint32_t table_row,
                        uint32_t max_rows, uint64_t kernels, gear_attend_kernel attend);

/* STAGE_LAUNCH(bench, gear__append_2_range(&stream, &round, is_v, &error)): the call on a stream of its own, waited for. */
#define STAGE_LAUNCH(bench, call)                                                                                              \
  do {                                                                                                                         \
    gear__stream stream;                                                                                                       \
    gear_error error;                                                                                                          \
    stage_begin(bench, &stream, &error);                                                                                       \
    stage_end(bench, &stream, (call), &error);                                                                                 \
  } while (0)
void stage_begin(stage_bench *bench, gear__stream *stream, gear_error *error);
void stage_end(stage_bench *bench, gear__stream *stream, gear_status status, gear_error *error);

#endif
