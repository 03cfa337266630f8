/* layer_files.h: the flags --k, --v, --q and --scale, which name the tensors of layers, once a layer. */
#ifndef HOST_LAYER_FILES_H
#define HOST_LAYER_FILES_H

#include <argp.h>
#include <stddef.h>

typedef struct layer_paths {
    const char **items; /* owned; the paths are the command line's */
    size_t count;
} layer_paths;

typedef struct layer_files {
    layer_paths k, v, q;
    float scale; /* 0: 1 / sqrt(head_dim) */
} layer_files;

/* The flags, for a table of argp options, and their parser: ARGP_ERR_UNKNOWN for a key that is not theirs. */
enum { LAYER_KEY_K = 0x900, LAYER_KEY_V, LAYER_KEY_Q, LAYER_KEY_SCALE };
#define LAYER_FILES_OPTIONS                                                                                                    \
  {"k", LAYER_KEY_K, "FILE", 0, "Keys [KV heads, tokens, head_dim], .npy of float16 or float32, as the model caches them", 1}, \
      {"v", LAYER_KEY_V, "FILE", 0, "Values, of the same shape", 0},                                                           \
      {"q", LAYER_KEY_Q, "FILE", 0, "Queries [query heads, m, head_dim] of the last m positions", 0},                          \
  {                                                                                                                            \
    "scale", LAYER_KEY_SCALE, "S", 0, "Factor of q.k before the softmax [1 / sqrt(head_dim)]", 0                               \
  }
error_t layer_files_parse(layer_files *files, int key, const char *text, const struct argp_state *state);

/* Ends the program unless all are given equally often; --q may be missing everywhere if `optional_q`. */
void layer_files_check(const layer_files *files, int optional_q, const struct argp_state *state);
void layer_files_free(layer_files *files);

#endif
