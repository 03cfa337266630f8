/* fingerprint.c: XXH3 compiled into this file alone, see fingerprint.h. */
#include "fingerprint.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t join(uint64_t before, const void *data, size_t bytes)
{
    return XXH3_64bits_withSeed(data, bytes, before);
}

uint64_t fingerprint(const capture *c)
{
    const uint64_t cut[] = {c->windows, c->layers, c->prompt};
    uint64_t hash = XXH3_64bits(cut, sizeof cut);
    for (size_t i = 0; i < (size_t)c->windows * c->layers; ++i) {
        const input *in = &c->inputs[i];
        const uint64_t shape[] = {in->kv_heads, in->query_heads, in->head_dim, in->queries, in->tokens};
        hash = join(hash, shape, sizeof shape);
        hash = join(hash, &in->scale, sizeof in->scale);
        hash = join(hash, in->k_value, input_values(in) * sizeof *in->k_value);
        hash = join(hash, in->v_value, input_values(in) * sizeof *in->v_value);
        hash = join(hash, in->q_value, input_query_values(in) * sizeof *in->q_value);
    }
    return hash;
}
