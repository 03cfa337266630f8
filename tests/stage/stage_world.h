/* stage_world.h: a layer that grows round by round as the library would make it grow, on the host by src/ref; before each
 * step of a round a test may make the same step on the device. Several sequences of different lengths take part, not all in
 * every round; segments of both classes come about in one round; the window wraps around. */
#ifndef STAGE_WORLD_H
#define STAGE_WORLD_H

#include "model/plan.h"
#include "ref/ref.h"
#include "stage_bench.h"
#include "stage_cases.h"

/* Steps of a round: of K, then of V; the window comes last, both sides at once. */
typedef enum stage_step {
    STAGE_GATHER,
    STAGE_ORDER,
    STAGE_TRANSFORM,
    STAGE_NORMS, /* of K with channels of 1 bit */
    STAGE_OUTLIERS,
    STAGE_RANGE, /* twice with the block rule */
    STAGE_FIT,   /* the same on the mixed backbone */
    STAGE_QUANTIZE,
    STAGE_LOWRANK,
    STAGE_OUTLIER_LISTS,
    STAGE_WINDOW,
    STAGE_BLOCK, /* what append_block does, both sides */
    STAGE_ROUND, /* all of them but the window */
    STAGE_NONE
} stage_step;

/* A sequence between two rounds. */
typedef struct stage_seq {
    uint32_t slot, length, first, blocks, exact, record, order;
} stage_seq;

typedef struct stage_world {
    stage_bench *bench;
    const stage_case *c;
    stage_data data;
    gear__shape shape;
    gear__plan_rules rules;
    uint32_t table_row, granules, round_number;
    stage_seq seqs[STAGE_SEQS];
    gear__variant variant;
    gear__layer_memory layer;
    stage_buffer pool, table, window;
    /* The round at hand. */
    uint32_t entries, jobs_count, longest;
    stage_buffer list, jobs, row_jobs, places, x, mask, r, a, counters, sums, health, weights, input[2];
    gear__tensor tensor[2];
    gear__round round;
    gear__ref_round ref;
    gear__ref_source source[2];
    uint64_t counted[2]; /* health of the reference */
} stage_world;

uint32_t *stage_words(const stage_buffer *buffer);
/* The layer that a case describes. */
void stage_shape(const stage_case *c, gear__shape *shape);
/* kernels: see stage_variant_open. */
void stage_world_open(stage_world *world, stage_bench *bench, const stage_case *c, stage_data data, uint64_t kernels);
void stage_world_close(stage_world *world);

/* Called in place of the reference's step: makes it on both sides and compares. */
typedef void (*stage_check)(stage_world *world, uint32_t is_v);
/* Makes all rounds, of each as much as `step` depends on (all of it for STAGE_NONE). check is called at each `step` that a
 * kernel of the layer serves. */
void stage_world_run(stage_world *world, stage_step step, stage_check check);
/* Sets both counters of replaced values, on the host; stage_world_put brings them to the device. */
void stage_world_count(stage_world *world, uint64_t start);
/* The counters of the reference, as the device has them. */
void stage_world_write_health(stage_world *world);

/* The counters of fits of a round of `rows` rows. */
void stage_make_counters(stage_world *world, uint32_t rows);
/* The slot of a round of these jobs (gear__round); bytes of the scratch of its low-rank fits, in `rows` rows. */
uint32_t stage_fit_slot(const stage_world *world, const uint32_t *jobs, uint32_t count);
size_t stage_fit_bytes(const stage_world *world, uint32_t rows, uint32_t slot);

/* stage_run.c. Whether the cases are to be run once more because one of the kernels has another form; makes bench->append that
 * of GPUs, then that of work-groups of 64. */
int stage_other_form(stage_bench *bench, uint64_t kernels);
/* Every case with every kind of data; on the work-groups of 64 that follow larger ones of the same kernels with one, the kinds
 * in turn. */
void stage_run_all(const char *name, stage_step step, uint64_t kernels, stage_check check);
/* The same with another tiling of the compressor than the device's. */
void stage_run_tiled(const char *name, stage_step step, uint64_t kernels, const gear__append_tile *tile, stage_check check);
/* The same with a bench that the test opens and closes. */
void stage_run_opened(stage_bench *bench, stage_step step, uint64_t kernels, stage_check check);
/* Every case once, grown to its end on the host and put on the device; data by case, even and odd ones. Fails when check
 * changes a buffer of the layer. */
void stage_run_readers(const char *name, stage_data even, stage_data odd, uint64_t kernels, void (*check)(stage_world *world));
/* A stage_check's body where the kernel works on a side of a round: launch and reference leave the same bits. */
typedef gear_status (*stage_launch)(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
void stage_check_round(stage_world *world, uint32_t is_v, stage_step step, stage_launch launch);

/* A caller's tensor [sequence][token][head][d] on the device, and for each sequence its floats [head][token][d]; of no tokens
 * at all: a dummy. */
gear__tensor stage_tensor_make(stage_world *world, int is_strided, stage_buffer *buffer, uint32_t heads, const uint32_t *tokens,
                               gear_type type, uint32_t seed, float *dense[STAGE_SEQS]);

/* stage_steps.c. One step of the reference on the host copies. */
void stage_ref_step(stage_world *world, uint32_t is_v, stage_step step);
/* The steps of a side as far as `step` depends on them, with check in place of it. */
void stage_compress_side(stage_world *world, uint32_t is_v, stage_step step, stage_check check);
/* Every buffer of the round and the layer. */
void stage_world_put(const stage_world *world);
void stage_world_same(const stage_world *world, const char *what);

/* The reference's view of the finished layer, and the SEQ words of a sequence as readers need them. */
gear__ref_store stage_ref_store(const stage_world *world);
void stage_seq_words(const stage_seq *seq, uint32_t words[GEAR__SEQ_WORDS]);

#endif
