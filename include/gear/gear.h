/* gear.h: a compressed key/value cache for transformer inference on any OpenCL 1.2 device.
 *
 * GEAR (Kang et al., 2024) stores a key or value tensor X as the sum of three parts,
 *
 *     X ~ D + L + S        D  grouped 2- to 8-bit quantisation (the backbone)
 *                          L  A B^T, a low-rank fit of the residual, one per KV head and segment (paper, Algorithm 2)
 *                          S  the few largest outliers, taken out before quantising (paper, eq. 5)
 *
 * New tokens wait in a 16-bit window; complete segments of the window are compressed and never touched again.
 * Attention runs fused on the compressed form.
 *
 * Chapters: 1 status and errors  2 context  3 codecs  4 cache  5 sequences  6 the verbs  7 accounting
 *
 * Conventions
 *   Shapes    K and V are [KV heads, tokens, head_dim], queries and outputs [query heads, tokens, head_dim]; query head j reads
 *             KV head j / (query heads / KV heads). Strides are in elements, offsets in bytes. The last axis is contiguous.
 *   Structs   gear_context_desc, gear_codec, gear_cache_desc, gear_append_desc, gear_attend_desc and gear_cache_plan start with
 *             struct_size: call the matching *_init function, then set what differs. It must be the size that this version of
 *             the library has; until version 1.0 no other is taken. The other structs are filled in by hand, {0} first. Zero
 *             means "the default" except where a field says that zero means none.
 *   Errors    every fallible call returns a gear_status. `error` may be NULL; it belongs to the caller, who reads the detail
 *             there. A call that fails has changed nothing.
 *   Threads   a context may be used from several threads at once. A cache, and the sequences in it, belong to one thread at a
 *             time. The caller orders the verbs of one cache on the device: one in-order queue, or wait lists and signals.
 *   Verbs     gear_append, gear_attend, gear_flush and gear_reconstruct only enqueue: they never compile, allocate device
 *             memory or wait for the device. The library never prints, exits, or reads the environment.
 */
#ifndef GEAR_GEAR_H
#define GEAR_GEAR_H

#ifndef CL_TARGET_OPENCL_VERSION
#  define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

#include "gear/export.h"
#include "gear/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ==================================================== 1. Status and errors ================================================ */

/* One line per status: name, pinned value, text. Values come in decades: 10 the request, 20 resources, 30 the device. */
#define GEAR_STATUS_LIST(X)                                                                                                    \
  X(OK, 0, "ok")                                                                                                               \
  X(ERROR_ARGUMENT, 10, "an argument is NULL or has a value outside its range")                                                \
  X(ERROR_STRUCT_SIZE, 11, "struct_size is not one that this library knows")                                                   \
  X(ERROR_UNSUPPORTED, 12, "a valid request that this library does not serve")                                                 \
  X(ERROR_BUFFER, 13, "a buffer is too small or misaligned")                                                                   \
  X(ERROR_SEQUENCE, 14, "no such sequence in this cache")                                                                      \
  X(ERROR_MEMORY, 20, "host memory exhausted")                                                                                 \
  X(ERROR_CAPACITY, 21, "the cache has no room for this request")                                                              \
  X(ERROR_OPENCL, 30, "an OpenCL call failed")                                                                                 \
  X(ERROR_BUILD, 31, "a kernel did not compile on this device")                                                                \
  X(ERROR_DEVICE, 32, "the device lacks something that the library needs")

typedef enum gear_status {
#define GEAR_STATUS_ENUM(name, value, text) GEAR_##name = value,
    GEAR_STATUS_LIST(GEAR_STATUS_ENUM)
#undef GEAR_STATUS_ENUM
} gear_status;

/* Caller-owned detail of a failure. `message` names the field and its value. */
typedef struct gear_error {
    gear_status status;
    cl_int cl_code;    /* CL_SUCCESS unless status is GEAR_ERROR_OPENCL or GEAR_ERROR_BUILD */
    const char *where; /* the failing API function or OpenCL call: a static string, never freed */
    char message[240];
    uintptr_t reserved[4];
} gear_error;

/* Name of a status ("GEAR_ERROR_CAPACITY") and its one-line meaning; never NULL, also for unknown values. */
GEAR_API const char *gear_status_name(gear_status status);
GEAR_API const char *gear_status_text(gear_status status);

/* "0.1.0": the version of the library in use, which may differ from the header's. */
GEAR_API const char *gear_version(void);

/* ==================================================== 2. Context ========================================================== */

typedef struct gear_context gear_context;

/* Host memory. `allocate` returns memory aligned for any type, or NULL; `release(user, NULL)` does nothing. */
typedef struct gear_allocator {
    void *(*allocate)(void *user, size_t bytes);
    void (*release)(void *user, void *memory);
    void *user;
} gear_allocator;

typedef enum gear_log_level { GEAR_LOG_INFO = 0, GEAR_LOG_WARNING = 1 } gear_log_level;

/* Called from the thread that runs the API function; `text` is valid during the call only. */
typedef struct gear_log {
    void (*write)(void *user, gear_log_level level, const char *text);
    void *user;
} gear_log;

typedef struct gear_context_desc {
    size_t struct_size;
    cl_context context;       /* adopted: retained until the context and all its caches are gone */
    cl_device_id device;      /* a device of that context */
    gear_allocator allocator; /* all zero: malloc and free */
    gear_log log;             /* write NULL: silent */
    /* NULL: compiled programs are kept in memory only. Else a directory that exists; copied. Not used with PoCL, which keeps
     * its own (its variable POCL_CACHE_DIR). */
    const char *program_cache_dir;
    const char *kernel_source_dir; /* NULL: the embedded kernels. Else the tree's cl/, for kernel development; copied */
    uintptr_t reserved[8];         /* must be zero */
} gear_context_desc;

GEAR_API void gear_context_desc_init(gear_context_desc *desc);
GEAR_API GEAR_NODISCARD gear_status gear_context_create(const gear_context_desc *desc, gear_context **context,
                                                        gear_error *error);
/* Caches keep their context alive: destroying it first is allowed. NULL is allowed. */
GEAR_API void gear_context_destroy(gear_context *context);

/* ==================================================== 3. Codecs =========================================================== */

/* Which values share a scale and a zero. K and V follow the same name with different axes. */
typedef enum gear_backbone {
    /* K: `group` tokens of one channel; V: `group` channels of one token and head (Liu et al., 2024). */
    GEAR_BACKBONE_KIVI = 0,
    /* K: one channel over the whole segment; V: one token over all heads. `group` is ignored. */
    GEAR_BACKBONE_KCVT = 1,
    /* K and V: `group` channels of one token and head (FlexGen, Sheng et al., 2023). */
    GEAR_BACKBONE_TOKEN = 2,
    /* K: channel segments of different bits in order of importance, 64 tokens of one channel share a scale; V: 64 channels of
     * one token, rotated if wished. Scales of 6 bits; `group` is ignored. For V of which whole groups have one sign, constants
     * above all, take another backbone: the middle of a group is kept within +- its scale (docs/algorithm.md). */
    GEAR_BACKBONE_MIXED = 3
} gear_backbone;

typedef enum gear_outlier_rule {
    /* The paper's: round(fraction / 2 x length), at least 1, at each end of a vector. K: a channel over the segment (a token
     * over all heads on the token backbone); V: a token over all heads. */
    GEAR_OUTLIER_VECTOR = 0,
    /* round(fraction x 64 x head_dim) per KV head and block, by distance from the middle of the group. */
    GEAR_OUTLIER_BLOCK = 1
} gear_outlier_rule;

typedef enum gear_levels {
    GEAR_LEVELS_UNIFORM = 0,
    /* Lloyd-Max levels of a normal distribution; V of the mixed backbone, 3 and 4 bits: less error, slower kernels
     * (docs/quality.md), and not the NVIDIA one. Uniform at 2 bits, whatever is asked for. */
    GEAR_LEVELS_NORMAL = 1
} gear_levels;

#define GEAR_MAX_SEGMENTS 4u
/* Channels of equal width in the stored channel order, the most important first. */
typedef struct gear_segment {
    uint16_t channels; /* a multiple of 16 */
    uint16_t bits;     /* 1, 2, 3, 4, 5, 8 */
} gear_segment;

/* How one side (K or V) of one layer is stored. */
typedef struct gear_codec {
    size_t struct_size;
    gear_backbone backbone;
    uint32_t bits;             /* 2, 3, 4, 8, or 16: halves, uncompressed. 0: 2 */
    uint32_t group;            /* along tokens 16, 32, 64; along channels 16, 32, 64, 128. 0: 64. Ignored at 16 bits */
    uint32_t rank_prompt;      /* 0..8, of a prompt segment; 0: no low-rank part */
    uint32_t rank_decode;      /* 0..8, of a decode segment; 0: none */
    uint32_t power_iterations; /* 1..16; 0: 10, the least that bring L within 1.02 of the optimum on any falling spectrum */
    uint32_t factor_bits;      /* 16, 8, 4: storage of A and B; 0: 16 */
    float outlier_fraction;    /* 0..0.10; 0: no outliers */
    gear_outlier_rule outlier_rule;
    /* Mixed backbone, K: their channels add up to head_dim; `bits` is ignored. Unused: 0. */
    gear_segment segments[GEAR_MAX_SEGMENTS];
    /* Mixed backbone, V: 1: Hadamard along head_dim, undone on the output; 0: none, or folded into the weights. Rotated values
     * saturate at +-65504 without being counted; none does where |v| is at most 65504 / sqrt(head_dim). */
    uint32_t rotate;
    gear_levels levels;   /* mixed backbone, V */
    uint32_t delta_bits;  /* 16, 8: storage of what an outlier adds, 8 with one scale for each KV head and block; 0: 16 */
    uint32_t reserved[1]; /* must be zero */
} gear_codec;

/* Writes the plain 2-bit KIVI codec with groups of 64. */
GEAR_API void gear_codec_init(gear_codec *codec);

typedef struct gear_codec_pair {
    gear_codec k, v;
} gear_codec_pair;

/* Presets, in the order of their bits per value at head_dim 64; docs/quality.md has what each is worth. Behind the last one
 * gear_preset_name(i) is NULL. */
#define GEAR_PRESET_DEFAULT "gear_2_6"
GEAR_API const char *gear_preset_name(uint32_t index);

/* ==================================================== 4. Cache ============================================================ */

typedef struct gear_cache gear_cache;

#define GEAR_BLOCK_TOKENS 64u
/* exact_first: 4, or 1 when the first segment of the sequence has fewer than 256 tokens. */
#define GEAR_EXACT_AUTO UINT32_MAX

/* The kernel that computes attention. All read the same cache and agree up to rounding (docs/design.md). */
typedef enum gear_attend_kernel {
    GEAR_ATTEND_AUTO = 0,     /* the fastest that the device and the codec allow; may differ between layers */
    GEAR_ATTEND_PORTABLE = 1, /* any device, float32 */
    GEAR_ATTEND_CPU = 2,      /* CPU devices: a work-item a head and split, 8-wide float32 vectors */
    GEAR_ATTEND_NVIDIA = 3    /* NVIDIA GPUs from sm_80 on: tensor cores, 16-bit operands, float32 sums */
} gear_attend_kernel;

/* How an attend kernel divides its work. The library has values for every device (docs/tuning.md); gear-tune measures it. */
typedef struct gear_attend_tuning {
    uint32_t rows;            /* most query rows of one KV head that a work-group serves; no more than a call has */
    uint32_t work_items;      /* of a work-group */
    uint32_t groups_per_unit; /* work-groups that fill a compute unit: the tokens are split until there are so many */
} gear_attend_tuning;

typedef struct gear_cache_desc {
    size_t struct_size;
    uint32_t num_layers;         /* >= 1 */
    uint32_t num_kv_heads;       /* >= 1 */
    uint32_t num_query_heads;    /* a multiple of num_kv_heads; 0: num_kv_heads */
    uint32_t head_dim;           /* 64, 80, 96, 128, 256 */
    uint32_t capacity_sequences; /* >= 1: sequences alive at once */
    uint32_t max_query_tokens;   /* largest query count of one sequence in gear_attend; 0: 1 */
    uint64_t capacity_tokens;    /* tokens of all sequences together, per layer */
    /* Of one sequence; 0: capacity_tokens. Page tables take 16 bytes of device and 28 of host memory for each 64 tokens of each
     * possible sequence and layer: set it where sequences are many. */
    uint64_t max_sequence_tokens;
    uint32_t window;             /* n_b: tokens of a decode segment: 1..64 or a multiple of 64 up to 4096. 0: 64 */
    uint32_t recent;             /* newest tokens that are never compressed; zero means none. init writes 64 */
    uint32_t exact_first;        /* first tokens kept exact, 0..64 (zero means none), or GEAR_EXACT_AUTO, which init writes */
    uint32_t max_segment_tokens; /* prompts are cut into segments of this many tokens: a multiple of 64 up to 16384. 0: 4096 */
    const gear_codec_pair *codecs; /* one per layer, or one for all; copied */
    uint32_t num_codecs;           /* 1 or num_layers */
    /* Of each layer, for compressed records. 0: enough for capacity_tokens in any mix of prompts and decoding, as long as no
     * sequence was removed or cleared. Records are contiguous: with outliers, or where rank_prompt and rank_decode differ, the
     * holes that short records left may be too small for long ones, and an append may fail with GEAR_ERROR_CAPACITY below
     * capacity_tokens. Shorter prompt calls make shorter records. */
    uint64_t pool_bytes;
    gear_attend_kernel attend_kernel; /* one that cannot run is refused with GEAR_ERROR_UNSUPPORTED and the reason */
    /* Of all layers. 0 in a field: what the library knows to be good. What the kernel, the codec or the device cannot take is
     * refused with GEAR_ERROR_UNSUPPORTED. No field changes the bytes that the cache takes. */
    gear_attend_tuning attend_tuning;
    uint32_t reserved[5]; /* must be zero */
} gear_cache_desc;

GEAR_API void gear_cache_desc_init(gear_cache_desc *desc);

/* Fills *codecs by name for desc->head_dim, and makes it the only codec of `desc` with the window, recent and exact_first that
 * go with it. `codecs` is borrowed by `desc`. name NULL: GEAR_PRESET_DEFAULT. */
GEAR_API GEAR_NODISCARD gear_status gear_preset(const char *name, gear_cache_desc *desc, gear_codec_pair *codecs,
                                                gear_error *error);

/* Compiles every kernel that the verbs may need and allocates all device memory. */
GEAR_API GEAR_NODISCARD gear_status gear_cache_create(gear_context *context, const gear_cache_desc *desc, gear_cache **cache,
                                                      gear_error *error);
/* Device memory goes when the last enqueued command that uses it ends. NULL is allowed. */
GEAR_API void gear_cache_destroy(gear_cache *cache);

/* ==================================================== 5. Sequences ======================================================== */

/* Names a sequence of one cache, which never uses it again: a removed sequence's name stays unknown. 0 is never a sequence. */
typedef uint64_t gear_sequence;

/* These touch host state only; commands already enqueued keep reading what they read. */
GEAR_API GEAR_NODISCARD gear_status gear_sequence_add(gear_cache *cache, gear_sequence *sequence, gear_error *error);
GEAR_API GEAR_NODISCARD gear_status gear_sequence_remove(gear_cache *cache, gear_sequence sequence, gear_error *error);
/* Length 0 in every layer; the name stays valid. */
GEAR_API GEAR_NODISCARD gear_status gear_sequence_clear(gear_cache *cache, gear_sequence sequence, gear_error *error);
/* Tokens appended to `layer` so far; `compressed` (may be NULL) receives how many are in blocks. The rest is in the window. */
GEAR_API GEAR_NODISCARD gear_status gear_sequence_length(const gear_cache *cache, gear_sequence sequence, uint32_t layer,
                                                         uint64_t *tokens, uint64_t *compressed, gear_error *error);

/* ==================================================== 6. The verbs ======================================================== */

typedef enum gear_type { GEAR_F16 = 0, GEAR_BF16 = 1, GEAR_F32 = 2 } gear_type;

/* A borrowed tensor [sequences, heads, tokens, head_dim] in the caller's buffer, alive until the verb's commands end. Outputs
 * must not overlap: of the axes with more than one entry, in order of their strides, each stride spans the axes before it. */
typedef struct gear_view {
    cl_mem mem;
    size_t offset;       /* bytes; a multiple of the element size */
    size_t stride_seq;   /* elements; 0: packed, each sequence starts stride_token x (tokens of those before it) later */
    size_t stride_head;  /* elements, at least head_dim */
    size_t stride_token; /* elements, at least head_dim */
    gear_type type;
} gear_view;

/* Which sequences a verb works on, and how many tokens of each. No sequence may occur twice. */
typedef struct gear_batch {
    uint32_t count;
    const gear_sequence *sequences; /* [count] */
    const uint32_t *tokens;         /* [count]; NULL: tokens_each for all */
    uint32_t tokens_each;
} gear_batch;

/* The queue, what to wait for, and where to put the event of completion (NULL: none; the caller releases it). */
typedef struct gear_sync {
    cl_command_queue queue; /* in-order or out-of-order, on the context's device */
    cl_uint num_wait;
    const cl_event *wait;
    cl_event *signal;
} gear_sync;

/* Appends tokens (at least 1 a sequence) to one layer. First, complete segments that earlier calls left in the window are
 * compressed as decode segments of `window` tokens, all but the newest `recent` tokens. Then the new tokens come in; if they do
 * not fit the window (recent + max(window, 64) tokens), the whole blocks of window and new tokens together, but the newest
 * `recent`, are compressed at once as prompt segments. NaN becomes 0 and infinity +-65504, counted in gear_cache_health.
 * GEAR_ERROR_CAPACITY: no room; nothing changed. */
GEAR_API GEAR_NODISCARD gear_status gear_append(gear_cache *cache, uint32_t layer, const gear_batch *batch, const gear_view *k,
                                                const gear_view *v, const gear_sync *sync, gear_error *error);

typedef struct gear_append_desc {
    size_t struct_size;
    /* NULL, or the mean square of each query channel over the prompt and the query heads of a KV head, as float [sequence of
     * the batch][KV head][head_dim]: weighs the channel order of the mixed backbone in the sequences that this call opens. */
    cl_mem query_squares;
    size_t query_squares_offset; /* bytes, a multiple of 4 */
    uintptr_t reserved[6];       /* must be zero */
} gear_append_desc;

GEAR_API void gear_append_desc_init(gear_append_desc *desc);

/* gear_append with a descriptor, which may be NULL. */
GEAR_API GEAR_NODISCARD gear_status gear_append_weighted(gear_cache *cache, uint32_t layer, const gear_batch *batch,
                                                         const gear_view *k, const gear_view *v, const gear_append_desc *desc,
                                                         const gear_sync *sync, gear_error *error);

/* Compresses every complete decode segment of the window, all but the newest `recent` tokens. batch->tokens is ignored. */
GEAR_API GEAR_NODISCARD gear_status gear_flush(gear_cache *cache, uint32_t layer, const gear_batch *batch,
                                               const gear_sync *sync, gear_error *error);

typedef struct gear_attend_desc {
    size_t struct_size;
    float scale;    /* of q.k before the softmax; 0: 1 / sqrt(head_dim) */
    float soft_cap; /* scores become cap * tanh(score / cap); 0: none */
    /* Exact tokens after the cached ones, not appended; both NULL: none. They must be finite: they are not sanitised. */
    const gear_view *tail_k;
    const gear_view *tail_v;
    const uint32_t *tail_tokens; /* [batch count], NULL: as many as the sequence's queries */
    /* NULL, or receives the natural log-sum-exp of the scores as float [sequence][query head][token], where a sequence's part
     * starts query heads x (query tokens of those before it) floats later. */
    cl_mem lse;
    size_t lse_offset;     /* bytes, a multiple of 4 */
    uintptr_t reserved[6]; /* must be zero */
} gear_attend_desc;

GEAR_API void gear_attend_desc_init(gear_attend_desc *desc);

/* out = softmax(scale q K^T, causal) V. The m = batch->tokens queries of a sequence stand at its last m positions, the tail
 * counted; each sees the tokens up to its own position. desc may be NULL. Types F16, BF16, F32 for q, tail and out. Queries and
 * tails are finite and tails within the range of halves (65504): unlike append, attend does not replace what is not. */
GEAR_API GEAR_NODISCARD gear_status gear_attend(gear_cache *cache, uint32_t layer, const gear_batch *batch, const gear_view *q,
                                                const gear_attend_desc *desc, const gear_view *out, const gear_sync *sync,
                                                gear_error *error);

/* Writes the dense K and V of tokens first .. first + count - 1 of one sequence; either view may be NULL. Of the views,
 * stride_seq is ignored. */
GEAR_API GEAR_NODISCARD gear_status gear_reconstruct(gear_cache *cache, uint32_t layer, gear_sequence sequence, uint64_t first,
                                                     uint64_t count, const gear_view *k, const gear_view *v,
                                                     const gear_sync *sync, gear_error *error);

/* ==================================================== 7. Accounting ======================================================= */

/* Device bytes by component. The parts add up to `total`. */
typedef struct gear_bytes {
    uint64_t codes;    /* quantised values, block padding included */
    uint64_t scales;   /* scales and zeros */
    uint64_t lowrank;  /* A, B and their scales */
    uint64_t outliers; /* indices, deltas, list lengths, offsets */
    uint64_t exact;    /* first tokens kept as halves */
    uint64_t window;   /* 16-bit window */
    uint64_t tables;   /* page tables, record headers, alignment, work lists */
    uint64_t scratch;  /* staging for the compressor and partial results of attend */
    uint64_t unused;   /* allocated and not in use */
    uint64_t total;
} gear_bytes;

/* What a descriptor costs, before paying. */
typedef struct gear_cache_plan {
    size_t struct_size;
    /* What gear_cache_create will allocate, all layers; the parts of the pools that will hold records are `unused`. */
    gear_bytes allocated;
    /* Layer 0: a 64-token block inside a prompt segment of max_segment_tokens, with its share of the segment; a decode segment
     * of `window` tokens. */
    gear_bytes prompt_block;
    gear_bytes decode_block;
    double prompt_bits; /* bits per value of the two, everything but window and scratch counted */
    double decode_bits;
    uint32_t window_tokens;    /* tokens the window holds: recent + max(window, 64) */
    char variant[32];          /* the attend kernel that would run */
    char variant_reason[160];  /* why it and not another */
    gear_attend_tuning tuning; /* what it would run with */
    const char *tuning_source; /* where that comes from: "tuned for NAME", "default of class CPU", "asked for" */
    const char *codec_class;   /* codecs that share their tuning: "PLAIN", "LOWRANK", ... Both are the library's */
    uintptr_t reserved[4];     /* must be zero */
} gear_cache_plan;

GEAR_API void gear_cache_plan_init(gear_cache_plan *plan);
GEAR_API GEAR_NODISCARD gear_status gear_cache_query(gear_context *context, const gear_cache_desc *desc, gear_cache_plan *plan,
                                                     gear_error *error);

/* Bytes in use now: of one layer, or of all when layer is GEAR_ALL_LAYERS. total is what the cache has allocated there. */
#define GEAR_ALL_LAYERS UINT32_MAX
GEAR_API GEAR_NODISCARD gear_status gear_cache_bytes(const gear_cache *cache, uint32_t layer, gear_bytes *bytes,
                                                     gear_error *error);

/* Values replaced since the cache was created. The counters do not wrap. */
typedef struct gear_health {
    uint64_t nan_values; /* NaN appended and replaced by 0 */
    uint64_t inf_values; /* infinite in half precision (65520 and more), appended and clamped to +-65504 */
} gear_health;

/* Reads the device counters; waits for the queue to reach this point. */
GEAR_API GEAR_NODISCARD gear_status gear_cache_health(gear_cache *cache, cl_command_queue queue, gear_health *health,
                                                      gear_error *error);

#ifdef __cplusplus
}
#endif
#endif
