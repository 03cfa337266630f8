/* model.h: a model of the Llama architecture: its geometry, and the tensors by their roles, each checked to be there in the
 * shape that the geometry gives it. A model comes from a file, or is synthetic: then its tensors have no data. */
#ifndef GEAR_LLM_MODEL_H
#define GEAR_LLM_MODEL_H

#include "gguf.h"

/* Tensors of one layer. */
typedef enum model_role {
    MODEL_ATTENTION_NORM,
    MODEL_Q,
    MODEL_K,
    MODEL_V,
    MODEL_O,
    MODEL_FEED_NORM,
    MODEL_GATE,
    MODEL_UP,
    MODEL_DOWN,
    MODEL_ROLES
} model_role;

typedef struct model_layer {
    const gguf_tensor *tensors[MODEL_ROLES];
} model_layer;

typedef struct model {
    uint32_t layers, width, heads, kv_heads, head_dim, feed, vocabulary;
    uint32_t context; /* positions that the model was made for */
    float norm_eps, rope_base;
    float rope_scale; /* positions are divided by it */
    const gguf_tensor *embedding, *output_norm;
    const gguf_tensor *output;       /* the embedding where the head is tied */
    const gguf_tensor *rope_factors; /* NULL, or what each frequency is divided by */
    model_layer *layer;              /* owned: [layers] */
    const gguf *file;                /* borrowed; NULL: synthetic */
    gguf_tensor *synthetic;          /* owned: the tensors of a synthetic model, without data */
    uint32_t seed;                   /* of a synthetic model */
} model;

/* What a tensor of this role has: columns (the contiguous dimension) and rows; 1 row for a vector. */
void model_role_shape(const model *m, model_role role, uint64_t *columns, uint64_t *rows);
/* "attn_q.weight", the name behind "blk.N." */
const char *model_role_name(model_role role);

/* Borrows the file, which must outlive the model. Another architecture, a missing key or tensor, a shape that does not fit and
 * what this program does not compute (biases, experts, other RoPE scalings) are refused by name. */
bool model_open(const gguf *file, model *out, host_error *error);

/* Random weights of a geometry: a name (llama-7b, llama3-8b, smollm2-135m, tiny) or a list "d=128,layers=2,heads=4,kv=2,
 * head_dim=64,ff=256,vocab=500", with "type=f16" or "type=q4_1" (the default) and "context=N" in either, as
 * "llama3-8b,type=f16". */
bool model_synthesize(const char *geometry, uint32_t seed, model *out, host_error *error);

/* Parameters in matrices and norms. */
uint64_t model_parameters(const model *m);

/* Frees what the model owns; all zero is harmless. */
void model_free(model *m);

#endif
