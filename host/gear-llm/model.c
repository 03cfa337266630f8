/* model.c: the model in a file, see model.h. */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_blocks.h"

/* A geometry beyond these is no model of this kind; they keep every product below 2^63. */
enum { MOST_LAYERS = 1024, MOST_WIDTH = 1 << 20, MOST_HEADS = 1 << 14 };

/* Every head_dim that the cache takes is a multiple of this; RoPE needs an even one. */
enum { HEAD_DIM_STEP = 16 };

const char *model_role_name(model_role role)
{
    static const char *const names[MODEL_ROLES] = {"attn_norm.weight", "attn_q.weight",      "attn_k.weight",
                                                   "attn_v.weight",    "attn_output.weight", "ffn_norm.weight",
                                                   "ffn_gate.weight",  "ffn_up.weight",      "ffn_down.weight"};
    return names[role];
}

void model_role_shape(const model *m, model_role role, uint64_t *columns, uint64_t *rows)
{
    const uint64_t q = (uint64_t)m->heads * m->head_dim, kv = (uint64_t)m->kv_heads * m->head_dim;
    const uint64_t shapes[MODEL_ROLES][2] = {{m->width, 1},       {m->width, q},       {m->width, kv},
                                             {m->width, kv},      {q, m->width},       {m->width, 1},
                                             {m->width, m->feed}, {m->width, m->feed}, {m->feed, m->width}};
    *columns = shapes[role][0];
    *rows = shapes[role][1];
}

static bool refuse(const model *m, const char *key, const char *why, host_error *error)
{
    return fail(error, EXIT_INPUT, "%s: %s: %s", gguf_path(m->file), key, why);
}

/* A number of the metadata within 1..most. */
static bool number(const model *m, const char *key, uint32_t most, uint32_t *out, host_error *error)
{
    if (!gguf_u32(m->file, key, out, error))
        return false;
    return (*out >= 1 && *out <= most) ||
           fail(error, EXIT_INPUT, "%s: %s is %u, not 1 to %u", gguf_path(m->file), key, *out, most);
}

static bool read_heads(model *m, host_error *error)
{
    if (!number(m, "llama.attention.head_count", MOST_HEADS, &m->heads, error))
        return false;
    m->kv_heads = m->heads;
    if (gguf_has(m->file, "llama.attention.head_count_kv") &&
        !number(m, "llama.attention.head_count_kv", MOST_HEADS, &m->kv_heads, error))
        return false;
    if (m->heads % m->kv_heads)
        return refuse(m, "llama.attention.head_count_kv", "does not divide the number of heads", error);
    m->head_dim = m->width / m->heads;
    if (gguf_has(m->file, "llama.attention.key_length") && !number(m, "llama.attention.key_length", 1024, &m->head_dim, error))
        return false;
    if (!m->head_dim || m->head_dim % HEAD_DIM_STEP)
        return fail(error, EXIT_INPUT, "%s: the dimension of a head is %u, not a multiple of %d", gguf_path(m->file),
                    m->head_dim, HEAD_DIM_STEP);
    uint32_t other = m->head_dim;
    if (gguf_has(m->file, "llama.attention.value_length") && !gguf_u32(m->file, "llama.attention.value_length", &other, error))
        return false;
    if (other != m->head_dim)
        return refuse(m, "llama.attention.value_length", "differs from the length of keys", error);
    if (gguf_has(m->file, "llama.rope.dimension_count") && !gguf_u32(m->file, "llama.rope.dimension_count", &other, error))
        return false;
    return other == m->head_dim || refuse(m, "llama.rope.dimension_count", "is not the dimension of a head", error);
}

static bool read_rope(model *m, host_error *error)
{
    m->rope_base = 10000.0f;
    m->rope_scale = 1.0f;
    if (gguf_has(m->file, "llama.rope.freq_base") && !gguf_f32(m->file, "llama.rope.freq_base", &m->rope_base, error))
        return false;
    if (!(m->rope_base > 1.0f) || !isfinite(m->rope_base))
        return refuse(m, "llama.rope.freq_base", "is not above 1", error);
    const char *scaling = "none";
    if (gguf_has(m->file, "llama.rope.scaling.type") && !gguf_string(m->file, "llama.rope.scaling.type", &scaling, error))
        return false;
    if (strcmp(scaling, "none") != 0 && strcmp(scaling, "linear") != 0)
        return fail(error, EXIT_INPUT, "%s: llama.rope.scaling.type is '%s'; none and linear are known", gguf_path(m->file),
                    scaling);
    if (!strcmp(scaling, "linear") && !gguf_f32(m->file, "llama.rope.scaling.factor", &m->rope_scale, error))
        return false;
    return (m->rope_scale > 0.0f && isfinite(m->rope_scale)) || refuse(m, "llama.rope.scaling.factor", "is not above 0", error);
}

static bool read_geometry(model *m, host_error *error)
{
    const char *architecture;
    uint32_t experts = 0;
    if (!gguf_string(m->file, "general.architecture", &architecture, error))
        return false;
    if (strcmp(architecture, "llama") != 0)
        return fail(error, EXIT_INPUT, "%s: general.architecture is '%s'; this program runs llama", gguf_path(m->file),
                    architecture);
    if (gguf_has(m->file, "llama.expert_count") && !gguf_u32(m->file, "llama.expert_count", &experts, error))
        return false;
    if (experts)
        return refuse(m, "llama.expert_count", "mixtures of experts are not computed", error);
    if (!number(m, "llama.block_count", MOST_LAYERS, &m->layers, error) ||
        !number(m, "llama.embedding_length", MOST_WIDTH, &m->width, error) ||
        !number(m, "llama.feed_forward_length", MOST_WIDTH, &m->feed, error) ||
        !number(m, "llama.context_length", UINT32_MAX / 2, &m->context, error) || !read_heads(m, error) || !read_rope(m, error))
        return false;
    if (!gguf_f32(m->file, "llama.attention.layer_norm_rms_epsilon", &m->norm_eps, error))
        return false;
    return (m->norm_eps >= 0 && isfinite(m->norm_eps)) ||
           refuse(m, "llama.attention.layer_norm_rms_epsilon", "is not a small number", error);
}

/* Rows are read in units of 32 values. */
static bool take(const model *m, const char *name, uint64_t columns, uint64_t rows, const gguf_tensor **out, host_error *error)
{
    const uint64_t shape[2] = {columns, rows};
    if (!gguf_require(m->file, name, 2, shape, out, error))
        return false;
    if (rows == 1 && (*out)->type != GGUF_F32 && (*out)->type != GGUF_F16)
        return fail(error, EXIT_INPUT, "%s: %s is a vector of %s; F32 and F16 are read", gguf_path(m->file), name,
                    gguf_block_of((*out)->type)->name);
    return columns % 32 == 0 || fail(error, EXIT_INPUT, "%s: %s has rows of %llu values, not a multiple of 32",
                                     gguf_path(m->file), name, (unsigned long long)columns);
}

static bool take_layer(model *m, uint32_t index, host_error *error)
{
    static const char *const biases[] = {"attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias", "ffn_down.bias"};
    char name[64];
    for (int role = 0; role < MODEL_ROLES; ++role) {
        uint64_t columns, rows;
        model_role_shape(m, (model_role)role, &columns, &rows);
        snprintf(name, sizeof name, "blk.%u.%s", index, model_role_name((model_role)role));
        if (!take(m, name, columns, rows, &m->layer[index].tensors[role], error))
            return false;
    }
    for (size_t i = 0; i < sizeof biases / sizeof *biases; ++i) {
        snprintf(name, sizeof name, "blk.%u.%s", index, biases[i]);
        if (gguf_find(m->file, name))
            return refuse(m, name, "biases are not computed", error);
    }
    return true;
}

static bool take_tensors(model *m, host_error *error)
{
    const gguf_tensor *embedding = gguf_find(m->file, "token_embd.weight");
    if (!embedding)
        return refuse(m, "token_embd.weight", "no such tensor", error);
    if (embedding->shape[1] > MOST_WIDTH * 8u)
        return refuse(m, "token_embd.weight", "too many tokens", error);
    m->vocabulary = (uint32_t)embedding->shape[1];
    if (!take(m, "token_embd.weight", m->width, m->vocabulary, &m->embedding, error) ||
        !take(m, "output_norm.weight", m->width, 1, &m->output_norm, error))
        return false;
    m->output = m->embedding;
    if (gguf_find(m->file, "output.weight") && !take(m, "output.weight", m->width, m->vocabulary, &m->output, error))
        return false;
    const uint64_t pairs[1] = {m->head_dim / 2};
    if (gguf_find(m->file, "rope_freqs.weight") &&
        !gguf_require(m->file, "rope_freqs.weight", 1, pairs, &m->rope_factors, error))
        return false;
    if (m->rope_factors && m->rope_factors->type != GGUF_F32)
        return refuse(m, "rope_freqs.weight", "is not F32", error);
    for (uint32_t i = 0; i < m->layers; ++i)
        if (!take_layer(m, i, error))
            return false;
    return true;
}

bool model_open(const gguf *file, model *out, host_error *error)
{
    model m = {.file = file};
    if (!read_geometry(&m, error))
        return false;
    m.layer = calloc(m.layers, sizeof *m.layer);
    if (!m.layer)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    if (!take_tensors(&m, error)) {
        model_free(&m);
        return false;
    }
    *out = m;
    return true;
}

static uint64_t values(const gguf_tensor *t)
{
    return t->shape[0] * t->shape[1];
}

uint64_t model_parameters(const model *m)
{
    uint64_t sum = values(m->embedding) + values(m->output_norm) + (m->output == m->embedding ? 0 : values(m->output));
    for (uint32_t i = 0; i < m->layers; ++i)
        for (int role = 0; role < MODEL_ROLES; ++role)
            sum += values(m->layer[i].tensors[role]);
    return sum;
}

void model_free(model *m)
{
    free(m->layer);
    free(m->synthetic);
    *m = (model){0};
}
