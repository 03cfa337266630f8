/* synth.c: models without a file: geometries by name or by number; weights.c has the values made on the device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_blocks.h"
#include "model.h"

typedef struct geometry {
    const char *name;
    uint32_t layers, width, heads, kv_heads, head_dim, feed, vocabulary, context;
    float rope_base;
    bool tied;
} geometry;

static const geometry known[] = {
    {"tiny", 2, 128, 2, 1, 64, 256, 512, 8192, 10000.0f, true},
    {"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, 8192, 100000.0f, true},
    {"llama-7b", 32, 4096, 32, 32, 128, 11008, 32000, 8192, 10000.0f, false},
    {"llama3-8b", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 500000.0f, false},
};

static void set_geometry(model *m, const geometry *g)
{
    m->layers = g->layers;
    m->width = g->width;
    m->heads = g->heads;
    m->kv_heads = g->kv_heads;
    m->head_dim = g->head_dim;
    m->feed = g->feed;
    m->vocabulary = g->vocabulary;
    m->context = g->context;
    m->rope_base = g->rope_base;
    m->norm_eps = 1e-5f;
    m->rope_scale = 1.0f;
}

/* One "key=value" of the list; the text between commas. */
static bool set_field(model *m, gguf_type *type, const char *text, size_t length, host_error *error)
{
    const struct {
        const char *key;
        uint32_t *field;
        uint32_t most;
    } fields[] = {{"layers", &m->layers, 1024},       {"d", &m->width, 1 << 18},        {"heads", &m->heads, 1024},
                  {"kv", &m->kv_heads, 1024},         {"head_dim", &m->head_dim, 1024}, {"ff", &m->feed, 1 << 18},
                  {"vocab", &m->vocabulary, 1 << 20}, {"context", &m->context, 1 << 24}};
    char key[16] = "", value[16] = "";
    if (length < 48 && sscanf(text, "%15[a-z_]=%15[a-z0-9_]", key, value) == 2 && strlen(key) + strlen(value) + 1 == length) {
        if (!strcmp(key, "type") && (!strcmp(value, "f16") || !strcmp(value, "q4_1"))) {
            *type = value[0] == 'f' ? GGUF_F16 : GGUF_Q4_1;
            return true;
        }
        for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
            char *end = value;
            unsigned long number = strcmp(key, fields[i].key) ? 0 : strtoul(value, &end, 10);
            if (number >= 1 && number <= fields[i].most && !*end) {
                *fields[i].field = (uint32_t)number;
                return true;
            }
        }
    }
    return fail(error, EXIT_INPUT, "--synth: '%.*s' is neither a geometry nor a field of one", (int)length, text);
}

static bool parse(const char *text, model *m, gguf_type *type, bool *tied, host_error *error)
{
    *type = GGUF_Q4_1;
    *tied = true;
    m->context = 8192;
    m->norm_eps = 1e-5f;
    m->rope_base = 10000.0f;
    m->rope_scale = 1.0f;
    for (bool first = true;; first = false) {
        size_t length = strcspn(text, ",");
        const geometry *named = NULL;
        for (size_t i = 0; first && i < sizeof known / sizeof *known; ++i)
            if (strlen(known[i].name) == length && !strncmp(known[i].name, text, length))
                named = &known[i];
        if (named) {
            set_geometry(m, named);
            *tied = named->tied;
        } else if (!set_field(m, type, text, length, error)) {
            return false;
        }
        if (!text[length])
            break;
        text += length + 1;
    }
    if (!m->layers || !m->width || !m->heads || !m->kv_heads || !m->head_dim || !m->feed || !m->vocabulary)
        return fail(error, EXIT_INPUT, "--synth: a geometry needs d, layers, heads, kv, head_dim, ff and vocab");
    if (m->heads % m->kv_heads || m->width % 32 || m->feed % 32 || m->head_dim % 16 || m->heads * m->head_dim % 32)
        return fail(error, EXIT_INPUT, "--synth: kv must divide heads, and d, ff and heads x head_dim be multiples of 32");
    return true;
}

static const gguf_tensor *add(gguf_tensor **next, const char *name, gguf_type type, uint64_t columns, uint64_t rows)
{
    const gguf_block *block = gguf_block_of((uint32_t)type);
    gguf_tensor *t = (*next)++;
    *t = (gguf_tensor){.name = name, .type = type, .ndim = 2, .shape = {columns, rows, 1, 1}};
    t->bytes = (size_t)(columns / block->values * block->bytes * rows);
    return t;
}

bool model_synthesize(const char *text, uint32_t seed, model *out, host_error *error)
{
    gguf_type type;
    bool tied;
    model m = {.seed = seed};
    if (!parse(text, &m, &type, &tied, error))
        return false;
    m.layer = calloc(m.layers, sizeof *m.layer);
    m.synthetic = calloc((size_t)m.layers * MODEL_ROLES + 3, sizeof *m.synthetic);
    if (!m.layer || !m.synthetic) {
        model_free(&m);
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    }
    gguf_tensor *next = m.synthetic;
    m.embedding = add(&next, "token_embd.weight", type, m.width, m.vocabulary);
    m.output_norm = add(&next, "output_norm.weight", GGUF_F32, m.width, 1);
    m.output = tied ? m.embedding : add(&next, "output.weight", type, m.width, m.vocabulary);
    for (uint32_t i = 0; i < m.layers; ++i)
        for (int role = 0; role < MODEL_ROLES; ++role) {
            uint64_t columns, rows;
            model_role_shape(&m, (model_role)role, &columns, &rows);
            m.layer[i].tensors[role] =
                add(&next, model_role_name((model_role)role), rows == 1 ? GGUF_F32 : type, columns, rows);
        }
    *out = m;
    return true;
}
