/* internal.h: what the API's objects are made of. In the library only files in src/api include it. */
#ifndef GEAR_API_INTERNAL_H
#define GEAR_API_INTERNAL_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/mutex.h"
#include "device/buffer.h"
#include "device/device.h"
#include "model/desc.h"
#include "model/heap.h"
#include "model/plan.h"
#include "model/shape.h"
#include "stage/stage.h"

/* Reference-counted: one for the caller's handle, one for each cache. */
struct gear_context {
    gear__device device;
    gear__mutex mutex;
    unsigned references; /* guarded by mutex */
};

void gear__context_retain(gear_context *context);
void gear__context_release(gear_context *context);

/* A page table entry as the host keeps it. */
typedef struct gear__block {
    uint32_t word[GEAR__BLOCK_WORDS];
    uint32_t segment_granules; /* of the segment record; 0 in all but its first block */
    uint32_t outliers[2];      /* entries of the segment, in its first block */
} gear__block;

/* One sequence in one layer. Blocks num_blocks .. planned - 1 are taken by a call that has not succeeded yet. */
typedef struct gear__slot {
    uint32_t length, first; /* tokens; position of the oldest in the window */
    uint32_t num_blocks, planned;
    uint32_t exact, exact_record; /* tokens in the exact record and where it is; GEAR__HEAP_NONE: none yet */
    uint32_t order_record;        /* channel order; GEAR__HEAP_NONE: none yet */
    gear__block *blocks;          /* [max_blocks] */
} gear__slot;

typedef struct gear__layer {
    gear__layer_memory memory;
    gear__heap heap;
    gear__slot *slots; /* [capacity_sequences] */
    uint64_t tokens;   /* of all sequences */
} gear__layer;

/* A sequence list on the device and what was last written to it. */
typedef struct gear__list {
    cl_mem mem;
    uint32_t *words; /* host copy, [capacity_sequences][GEAR__SEQ_WORDS], and as many behind as it can have */
    uint32_t count;  /* sequences in it */
    uint32_t more;   /* words behind them */
} gear__list;

/* What the codecs of some layer need scratch for. */
typedef struct gear__scratch_needs {
    int staged;   /* the stages 0 to 3 one by one */
    int weighted; /* a weight a token, stage by stage: K of 1 bit */
    int marked;   /* outliers as bits */
    int ranked;   /* a low-rank part */
    int ordered;  /* a channel order */
} gear__scratch_needs;

struct gear_cache {
    gear_context *context; /* retained */
    gear_cache_desc desc;  /* complete; codecs NULL */
    gear__variant *variants;
    uint32_t num_variants;
    gear__layer *layers;
    gear__block *block_storage;
    gear__slot *slot_storage;
    uint32_t max_blocks; /* of a sequence */
    gear__scratch_needs needs;
    gear__plan_rules rules;

    gear_sequence *names; /* [capacity_sequences]; 0: free slot */
    gear_sequence next_name;

    /* Scratch of the verbs. */
    gear__list append_list, attend_list;
    uint32_t *words; /* build area for lists and uploads */
    uint32_t *slots; /* slots of the batch at hand */
    uint32_t *marks; /* [capacity_sequences]: last batch that named the slot */
    uint32_t batch_mark;
    uint32_t tensor_words[GEAR__CALL_WORDS]; /* what `tensors` holds; all ones: unknown */
    cl_mem tensors;
    cl_mem jobs, row_jobs, places, x, mask, r, a, sums, health, partial, softmax, counters, dummy;
    size_t counter_bytes;
    int counters_unknown;             /* whether `counters` may hold other than zeros */
    uint32_t staging_rows, list_rows; /* most rows of a round that needs x, mask or r, and of any round */
    uint64_t fit_floats;              /* of `a`, for the slots of a KV head's fits */
    gear_bytes scratch_bytes;         /* scratch and tables, for the accounting */
};

/* The checked form of a batch: cache->slots[i] is the slot of sequence i. */
gear_status gear__batch_check(gear_cache *cache, const gear_batch *batch, int needs_tokens, const char *where,
                              gear_error *error);
uint32_t gear__batch_tokens(const gear_batch *batch, uint32_t index);

/* Checks the arguments that all verbs share. */
gear_status gear__verb_check(const gear_cache *cache, uint32_t layer, const gear_sync *sync, const char *where,
                             gear_error *error);

/* Memory that a caller lends. Messages call it NAME MEM_FIELD ("k" ".mem") and its offset NAME OFFSET_FIELD ("k" ".offset").
 * mem NULL: none, and only the offset is checked. */
typedef struct gear__region {
    cl_mem mem;
    size_t offset, align; /* bytes; offset is to be a multiple of align */
    uint64_t bytes;       /* from the offset on */
    const char *name, *mem_field, *offset_field;
    int is_output; /* the device writes it; else it reads it */
} gear__region;
gear_status gear__region_check(const gear_cache *cache, const gear__region *region, const char *where, gear_error *error);

/* Checks a caller's input of `heads` heads for sequences of counts[i] tokens (NULL: `each`) and resolves it. `name` for
 * messages. */
gear_status gear__view_check(const gear_cache *cache, const gear_view *view, const char *name, uint32_t heads,
                             uint32_t num_seqs, const uint32_t *counts, uint32_t each, const char *where, gear__tensor *tensor,
                             gear_error *error);
/* The same for an output, of which no two rows may overlap. */
gear_status gear__output_check(const gear_cache *cache, const gear_view *view, const char *name, uint32_t heads,
                               uint32_t num_seqs, const uint32_t *counts, uint32_t each, const char *where,
                               gear__tensor *tensor, gear_error *error);

/* Before a launch that counts in cache->counters: zeros, where they may be others. */
gear_status gear__counters_ready(gear_cache *cache, gear__stream *stream, gear_error *error);

/* Slot of a sequence, or UINT32_MAX. */
uint32_t gear__find_slot(const gear_cache *cache, gear_sequence sequence);

/* Gives back every record of a slot from block `keep` on; keep 0 also gives back the exact record. */
void gear__slot_release(gear__layer *layer, gear__slot *slot, uint32_t keep);

/* Brings `list` on the device up to the `count` sequences in cache->words and `more` words behind them. If they differ from
 * what is there in nothing but one common step of every length, nothing is written and *advance is that step; else *advance is
 * 0. */
gear_status gear__list_update(gear_cache *cache, gear__stream *stream, const gear__layer *layer, gear__list *list,
                              uint32_t count, uint32_t more, uint32_t *advance, gear_error *error);

/* Words of the list that attend goes by: the sequences, and the pieces that a ragged batch of them is cut into. */
uint64_t gear__attend_list_words(const gear_cache_desc *desc, const gear__caps *caps);

/* Sizes that create and query agree on. */
typedef struct gear__sizes {
    uint64_t granules;       /* of one pool */
    uint64_t least_granules; /* the least a pool may have: one segment of one block and an exact record */
    uint64_t pool_bytes, table_bytes, window_bytes;
    uint64_t scratch_bytes; /* staging, mask, residual, factors, sums, partials */
    uint64_t list_bytes;    /* work lists, shape words, counters */
    uint64_t staging_rows, list_rows, fit_floats;
    uint64_t x_bytes, mask_bytes, r_bytes, a_bytes, sums_bytes, partial_bytes, softmax_bytes, counter_bytes;
} gear__sizes;

/* desc complete, with its codecs. */
gear__scratch_needs gear__scratch_needs_of(const gear_cache_desc *desc, const gear__caps *caps);
/* desc complete. shape: the layer's, for the pool. */
void gear__sizes_of(const gear_cache_desc *desc, const gear__shape *shape, const gear__caps *caps,
                    const gear__scratch_needs *needs, gear__sizes *sizes);
/* Refuses what layer `layer` or the scratch would need and neither the format nor the device can hold. desc complete. */
gear_status gear__sizes_check(const gear_cache_desc *desc, uint32_t layer, const gear__sizes *sizes, const gear__caps *caps,
                              const char *where, gear_error *error);
/* The attend kernel of one layer and how it divides its work; refuses what cannot run. desc complete. */
gear_status gear__attend_resolve(const gear__caps *caps, const gear_cache_desc *desc, const gear__shape *shape,
                                 const char *where, gear__attend_tile *tile, gear_error *error);
/* What a plan says of it: name, why it and not another, tuning. */
void gear__attend_describe(const gear__caps *caps, const gear_cache_desc *desc, const gear__shape *shape,
                           const gear__attend_tile *tile, gear_cache_plan *plan);

#endif
