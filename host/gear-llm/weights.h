/* weights.h: the tensors of a model on the device: matrices in the blocks of the file, vectors as float32. Rows of Q and K are
 * put back from the file's interleaved order into that of pairs (i, i + head_dim / 2), so that one RoPE kernel serves all
 * models. */
#ifndef GEAR_LLM_WEIGHTS_H
#define GEAR_LLM_WEIGHTS_H

#include "kernels.h"
#include "model.h"

typedef struct matrix {
    cl_mem mem;
    gguf_type type;
    uint32_t rows, columns; /* y = W x: `columns` values in, `rows` out */
    size_t row_bytes;
} matrix;

typedef struct layer_weights {
    matrix roles[MODEL_ROLES]; /* norms are F32 of one row */
} layer_weights;

typedef struct weights {
    matrix embedding, output_norm, output; /* output shares the embedding's buffer where the head is tied */
    layer_weights *layers;
    uint32_t count;
    uint64_t bytes; /* on the device */
} weights;

/* Uploads, or makes the values of a synthetic model on the device. The model may go afterwards. */
bool weights_create(const device *dev, kernels *k, const model *m, weights *out, host_error *error);
void weights_free(weights *w);

#endif
