/* stage.h: one launcher per kernel file, same stem. A launcher sets the arguments and the range; it decides nothing else.
 * The scalar C specification of each stage is in src/ref under the same stem. */
#ifndef GEAR_STAGE_STAGE_H
#define GEAR_STAGE_STAGE_H

#include "device/launch.h"
#include "device/options.h"
#include "model/shape.h"
#include "stage/append_tile.h"
#include "stage/attend_kernel.h"

/* Kernels, in the order of the data flow. Those of a side exist for K and V. */
typedef enum gear__kernel_id {
    GEAR__KERNEL_UPLOAD,
    GEAR__KERNEL_UPLOAD_LISTS,
    GEAR__KERNEL_GATHER,
    GEAR__KERNEL_MOMENTS,
    GEAR__KERNEL_ORDER,
    GEAR__KERNEL_REORDER,
    GEAR__KERNEL_ROTATE,
    GEAR__KERNEL_NORMS,
    GEAR__KERNEL_OUTLIERS_CHANNELS,
    GEAR__KERNEL_OUTLIERS_TOKENS,
    GEAR__KERNEL_OUTLIERS_BLOCK,
    GEAR__KERNEL_RANGE_CHANNELS,
    GEAR__KERNEL_RANGE_TOKENS,
    GEAR__KERNEL_RANGE_JOIN, /* of RANGE_CHANNELS, groups of more than a block */
    GEAR__KERNEL_FIT,
    GEAR__KERNEL_QUANTIZE,
    GEAR__KERNEL_BLOCK,
    GEAR__KERNEL_DECODE,
    GEAR__KERNEL_LOWRANK,
    GEAR__KERNEL_LOWRANK_BLOCK,
    GEAR__KERNEL_LOWRANK_GRAM,
    GEAR__KERNEL_LOWRANK_ITERATE,
    GEAR__KERNEL_LOWRANK_PROJECT,
    GEAR__KERNEL_LOWRANK_STORE,
    GEAR__KERNEL_LOWRANK_FIT, /* all of these but LOWRANK_BLOCK in one */
    GEAR__KERNEL_COUNT_OUTLIERS,
    GEAR__KERNEL_BASES,
    GEAR__KERNEL_STORE,
    GEAR__KERNEL_WINDOW,
    GEAR__KERNEL_PARTIAL,
    GEAR__KERNEL_PARTIAL_SMALL, /* the same in work-groups of least_items of gear__attend_tile, where these are fewer */
    GEAR__KERNEL_PARTIAL_WIDE,  /* the same with wide_rows of it, where it has such */
    GEAR__KERNEL_MERGE,
    GEAR__KERNEL_RECONSTRUCT,
    GEAR__NUM_KERNELS
} gear__kernel_id;

#define GEAR__WORK_GROUP 64u /* work-items of a work-group, where gear__kernel_items says nothing else */

/* One distinct shape of a cache's layers: its kernels and its shape words on the device. */
typedef struct gear__variant {
    gear__shape shape;
    uint32_t table_row; /* entries of a slot's page table row */
    cl_mem words;
    cl_kernel kernel[GEAR__NUM_KERNELS]
                    [2]; /* [..][is_v]; kernels without a side use [0]; NULL where the codec has no use for one */
    gear__attend_tile tile;
    gear__append_tile append;
} gear__variant;

/* Compiles what the shape needs. On failure the variant is closed. */
gear_status gear__variant_init(gear__variant *variant, gear__device *device, const gear__shape *shape, uint32_t table_row,
                               const gear__attend_tile *tile, const gear__append_tile *append, gear_error *error);
void gear__variant_close(gear__variant *variant);
/* Compiles one kernel into a variant whose shape and rows are set; nothing where the shape has no use for it. */
gear_status gear__variant_kernel(gear__variant *variant, gear__device *device, gear__kernel_id id, uint32_t is_v,
                                 gear_error *error);

/* Stem, kernel name and options of one kernel of a shape; 0 when the shape has no use for it. is_v only where it has a side;
 * tile only for GEAR__KERNEL_PARTIAL and its other forms, which are the kernel of tile->kernel; append for the others. */
int gear__kernel_recipe(gear__kernel_id id, const gear__shape *shape, uint32_t is_v, const gear__attend_tile *tile,
                        const gear__append_tile *append, const char **stem, const char **name, gear__options *options);
/* Work-items of a work-group of a kernel other than those. */
uint32_t gear__kernel_items(gear__kernel_id id, const gear__append_tile *append, uint32_t head_dim);
/* Whether fits of more than a block take one launch, of LOWRANK_FIT, and not those of LOWRANK and the four after it. */
int gear__lowrank_is_joined(const gear__append_tile *append, const gear__shape *shape, uint32_t is_v);
/* Whether a kernel has a form of its own for CPU devices. */
int gear__kernel_has_cpu_form(gear__kernel_id id);

/* One layer's device memory. */
typedef struct gear__layer_memory {
    const gear__variant *variant;
    cl_mem pool, table, window;
} gear__layer_memory;

/* A caller's tensor as kernels take it. mem is never NULL (a dummy buffer where the caller has none). */
typedef struct gear__tensor {
    cl_mem mem;
    cl_ulong offset; /* bytes */
    cl_ulong stride_seq, stride_head, stride_token;
    cl_uint type;
} gear__tensor;

/* Scratch of the compressor and the lists of one round. */
typedef struct gear__round {
    const gear__layer_memory *layer;
    cl_mem seqs, jobs, row_jobs, places;
    cl_mem x, mask, r, a, health;
    cl_mem counters; /* of fits: zeros, one and GEAR__FIT_NV_COUNTERS for each staging block and KV head; left as zeros */
    cl_mem sums;     /* of the channel order, [KV head][staging block][2][head_dim] floats */
    cl_mem weights;  /* of the channel order, [sequence][KV head][head_dim] floats; a placeholder without */
    cl_ulong weights_offset; /* floats */
    cl_uint has_weights;
    uint32_t opens; /* staging blocks up to the last of a job that opens its sequence; 0 without */
    uint32_t num_jobs, num_rows;
    uint32_t fit_parts;         /* GEAR__FIT_NV_PARTS of all jobs */
    uint32_t longest, shortest; /* blocks of the longest and the shortest job */
    cl_uint slot;               /* floats of `a` for each block and KV head: the most of gear__lowrank_slot of its jobs */
} gear__round;

gear_status gear__upload(gear__stream *stream, const gear__variant *variant, cl_mem table, uint32_t offset_words,
                         const uint32_t *words, uint32_t count, gear_error *error);

/* The lists of an append on their way to the device; all 0 but the first six, to begin with. */
typedef struct gear__uploads {
    const gear__layer_memory *layer;
    cl_mem seqs, jobs, row_jobs, places;
    cl_uint row_entries;          /* of a sequence's row of the page table */
    cl_uint first_seq, first_job; /* places of those that come next; a round sets first_job to 0 */
    cl_uint num_seqs, num_runs, num_jobs;
    uint32_t used, words[GEAR__LONG_UPLOAD_WORDS];
} gear__uploads;

/* The words of one more sequence of the batch, run of page table entries (GEAR__RUN_*) or job, to be written before the next
 * call. Sends what is there first where there is no room: sequences, runs and jobs go together if they come in this order. */
gear_status gear__upload_seq(gear__stream *stream, gear__uploads *u, uint32_t **words, gear_error *error);
gear_status gear__upload_run(gear__stream *stream, gear__uploads *u, uint32_t **words, gear_error *error);
gear_status gear__upload_job(gear__stream *stream, gear__uploads *u, uint32_t **words, gear_error *error);
/* Sends what is left; row_jobs gets the job of every staging block too, places what append_block needs to know of it. */
gear_status gear__upload_lists(gear__stream *stream, gear__uploads *u, gear_error *error);
gear_status gear__append_0_gather(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                  gear_error *error);
gear_status gear__append_1_outliers(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
/* The channel order of the sequences that a job opens; K as it comes in. Moments alone: the order is left to append_block. */
gear_status gear__append_1_moments(gear__stream *stream, const gear__round *round, const gear__tensor *k, gear_error *error);
gear_status gear__append_1_order(gear__stream *stream, const gear__round *round, const gear__tensor *k, gear_error *error);
gear_status gear__append_1_transform(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
/* Token weights for K of 1 bit, whose round this is; v: the V of the same tokens. */
gear_status gear__append_1_norms(gear__stream *stream, const gear__round *round, const gear__tensor *v, gear_error *error);
gear_status gear__append_2_fit(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
gear_status gear__append_2_range(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
gear_status gear__append_3_quantize(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
/* The outliers of a side as bits, in place of the mask (gear__mark_at), for append_block. */
gear_status gear__append_1_marks(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                 gear_error *error);
/* Stages 0 to 3 of `sides` sides from first_side on, in one launch; no more than one of them may have a low-rank part, whose
 * residual it leaves, and no more than one marks, which it counts. orders: 0, or in a launch of V alone the number of jobs,
 * whose channel orders come from the moments. Only where the layer's gear__append_tile says so. */
gear_status gear__append_block(gear__stream *stream, const gear__round *round, uint32_t first_side, uint32_t sides,
                               uint32_t orders, const gear__tensor *k, const gear__tensor *v, gear_error *error);
/* Whether fits of a round count their parts. */
int gear__append_4_lowrank_counts(const gear__round *round);
/* Floats of scratch that a segment of `blocks` blocks takes for each of them and each KV head; 0: it has no rank. */
uint32_t gear__lowrank_slot(const gear__append_tile *append, const gear__shape *shape, uint32_t cls, uint32_t blocks);
gear_status gear__append_4_lowrank(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
gear_status gear__append_5_store(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error);
/* The same from marks that append_block counted. */
gear_status gear__append_5_store_marked(gear__stream *stream, const gear__round *round, uint32_t is_v,
                                        const gear__tensor *input, gear_error *error);

/* The new tokens that stay, of both sides. max_tokens: of the sequence with most. */
gear_status gear__append_6_window(gear__stream *stream, const gear__layer_memory *layer, cl_mem seqs, uint32_t num_seqs,
                                  uint32_t max_tokens, uint32_t advance, const gear__tensor *k, const gear__tensor *v,
                                  cl_mem health, gear_error *error);

/* A decode step that completes blocks, for up to GEAR__DECODE_SEQS sequences. */
typedef struct gear__decode_call {
    const gear__layer_memory *layer;
    cl_mem r, health; /* r: gear__decode_rows rows a sequence, of all KV heads */
    const uint32_t *words;
    uint32_t num_seqs, first_entry; /* first_entry: place in the batch of the first of them */
} gear__decode_call;

/* Rows of the residual for each sequence. */
uint32_t gear__decode_rows(const gear__shape *shape);
/* Only where the layer's gear__append_tile has it. */
gear_status gear__append_decode(gear__stream *stream, const gear__decode_call *call, const gear__tensor *k,
                                const gear__tensor *v, gear_error *error);

/* All the stages 0 to 5 of both sides of one round. */
gear_status gear__compress_round(gear__stream *stream, const gear__round *round, const gear__tensor *k, const gear__tensor *v,
                                 gear_error *error);

typedef struct gear__attend_call {
    const gear__layer_memory *layer;
    cl_mem seqs, tensors; /* the batch list; the words of gear__attend_tensors */
    const uint32_t
        *words; /* of the first sequence as in `seqs`: a kernel that merges need not wait for those of a batch of one */
    uint32_t num_seqs, max_queries, advance;
    uint32_t splits;     /* of each sequence, where there are no pieces */
    uint32_t rows;       /* query rows of a work-group: rows of the tile, or wide_rows */
    uint32_t work_items; /* of a work-group: work_items of the tile, or least_items; wide_items with wide_rows */
    /* For a kernel that merges. */
    uint32_t num_pieces; /* behind the list, of gear__attend_cut; 0: none */
    uint32_t share;      /* weight of a split, where it is the same for all sequences; else 0 */
    gear__tensor q, tail_k, tail_v, out;
    float scale, soft_cap;
    cl_mem partial, softmax, lse;
    cl_mem counters;     /* zeros, one for each (sequence, KV head, row tile); left as zeros */
    cl_ulong lse_offset; /* floats */
    cl_uint has_lse;
} gear__attend_call;

/* Strides and types of q and the tails as the kernel reads them. */
void gear__attend_tensors(const gear__attend_call *call, uint32_t words[GEAR__CALL_WORDS]);
gear_status gear__attend_1_partial(gear__stream *stream, const gear__attend_call *call, gear_error *error);
gear_status gear__attend_2_merge(gear__stream *stream, const gear__attend_call *call, gear_error *error);

/* Tiles first_tile .. first_tile + tiles - 1 of the sequence at the head of `seqs`; positions outside [first, first + count)
 * are left. */
gear_status gear__reconstruct(gear__stream *stream, const gear__layer_memory *layer, cl_mem seqs, uint32_t is_v, uint32_t first,
                              uint32_t count, uint32_t first_tile, uint32_t tiles, const gear__tensor *out, gear_error *error);

#endif
