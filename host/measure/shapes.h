/* shapes.h: the text file that says what to measure: one shape a line, # starts a comment.
 *
 *     VERB BATCH KV_HEADS QUERIES_PER_KV_HEAD TOKENS HEAD_DIM QUERY_TOKENS [words] [codec flags]
 *
 * VERB is attend, append or both. Words: decode (the cache is built by decode steps of 64 tokens, one segment a block),
 * shuffled (the blocks lie scattered over the pool), ragged (lengths from half to one and a half times TOKENS), window=N (N
 * more tokens that stay in the window), decode-block (of append, alone: TOKENS are compressed, a multiple of 64, and the window
 * is full, so that the next token of each sequence completes a block), data=real or data=real:N (keys and values of the middle
 * layer of a model, or of layer N, instead of made up ones). Codec flags are those of gear-info: --preset NAME, or
 * --backbone kivi --k-bits 4 and so on. */
#ifndef GEAR_MEASURE_SHAPES_H
#define GEAR_MEASURE_SHAPES_H

#include <stdint.h>

#include "../common/recipe.h"
#include "real_data.h"

#define VERB_ATTEND 1u
#define VERB_APPEND 2u

typedef struct bench_shape {
    unsigned verbs; /* VERB_ATTEND | VERB_APPEND */
    uint32_t batch, kv_heads, group, tokens, head_dim, queries;
    bool decode, shuffled, ragged, decode_block;
    bool real;            /* data=real, data=real:N */
    uint32_t layer;       /* real: N or MIDDLE_LAYER */
    uint32_t window_fill; /* decode_block: tokens behind the compressed ones once the block is complete, its own too */
    recipe recipe;
    char codec[48];    /* the preset's name, or what recipe_name says */
    char details[160]; /* what recipe_details says */
} bench_shape;

typedef struct shape_list {
    bench_shape *items;
    size_t count;
} shape_list;

/* Parses one line, which it cuts into words; `where` ("FILE:LINE") starts its messages. A line without words leaves verbs 0.
 * Wrong codec flags end the program with code 2, as those of the command line do. */
bool shape_parse(char *line, const char *where, bench_shape *out, host_error *error);

/* Reads a file; free(list->items) in any case. A file without a shape is a failure. */
bool shapes_read(const char *path, shape_list *list, host_error *error);

/* Tokens of sequence i before the window is filled. */
uint32_t shape_length(const bench_shape *shape, uint32_t i);

/* "decode shuffled ragged window=63", "decode-block", "data=real:7", or "-". */
void shape_words(const bench_shape *shape, char *out, size_t size);
/* "made", "real" or "real:7". */
void shape_data(const bench_shape *shape, char *out, size_t size);

/* The same shape under another recipe. */
bench_shape shape_with(const bench_shape *shape, const recipe *r);
/* Whether two shapes differ in nothing but the codec and where the data comes from. */
bool shape_same_geometry(const bench_shape *a, const bench_shape *b);
/* Whether two shapes ask in the same words for the same data. */
bool shape_same_data(const bench_shape *a, const bench_shape *b);

#endif
