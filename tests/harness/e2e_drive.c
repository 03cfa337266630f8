/* e2e_drive.c: see the header. */
#include "e2e_drive.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

e2e_source e2e_synthetic(const uint32_t *seed, uint32_t seq)
{
    return (e2e_source){e2e_key, e2e_value, e2e_query, seed, seq};
}

static void fill(e2e_rig *rig, e2e_tensor *t, e2e_maker make, const e2e_source *source, uint32_t first)
{
    for (uint32_t h = 0; h < t->heads; h++) {
        for (uint32_t n = 0; n < t->tokens[0]; n++) {
            for (uint32_t c = 0; c < t->dim; c++) {
                e2e_put(t, 0, h, n, c, make(source->user, source->seq, h, first + n, c));
            }
        }
    }
    e2e_upload(rig, t);
}

gear_status e2e_try_append(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence,
                           const e2e_source *source, uint32_t first, uint32_t count)
{
    e2e_tensor t[2];
    const gear_batch batch = {1, &sequence, NULL, count};
    for (int s = 0; s < 2; s++) {
        e2e_tensor_open(rig, &t[s], GEAR_F16, E2E_PACKED, desc->num_kv_heads, desc->head_dim, 1, &count);
        fill(rig, &t[s], s ? source->value : source->key, source, first);
    }
    gear_status status = gear_append(cache, 0, &batch, &t[0].view, &t[1].view, &rig->sync, &rig->error);
    (void)clFinish(rig->cl.queue);
    e2e_tensor_close(&t[0]);
    e2e_tensor_close(&t[1]);
    return status;
}

void e2e_append(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence, const e2e_source *source,
                uint32_t first, uint32_t count)
{
    e2e_expect(rig, e2e_try_append(rig, cache, desc, sequence, source, first, count), GEAR_OK, "append at", first);
}

void e2e_flush(e2e_rig *rig, gear_cache *cache, gear_sequence sequence)
{
    const gear_batch batch = {1, &sequence, NULL, 0};
    E2E_OK(rig, gear_flush(cache, 0, &batch, &rig->sync, &rig->error));
    (void)clFinish(rig->cl.queue);
}

void e2e_attend(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence, const e2e_source *source,
                uint32_t queries, float *out)
{
    e2e_tensor q, o;
    const gear_batch batch = {1, &sequence, NULL, queries};
    uint32_t heads = desc->num_query_heads, length = (uint32_t)e2e_length(rig, cache, 0, sequence, NULL);
    e2e_tensor_open(rig, &q, GEAR_F32, E2E_HEADS, heads, desc->head_dim, 1, &queries);
    e2e_tensor_open(rig, &o, GEAR_F32, E2E_HEADS, heads, desc->head_dim, 1, &queries);
    fill(rig, &q, source->query, source, length - queries);
    E2E_OK(rig, gear_attend(cache, 0, &batch, &q.view, NULL, &o.view, &rig->sync, &rig->error));
    e2e_download(rig, &o, "out");
    memcpy(out, o.image + o.view.offset, (size_t)heads * queries * desc->head_dim * sizeof *out);
    e2e_tensor_close(&q);
    e2e_tensor_close(&o);
}

uint64_t e2e_digest(e2e_rig *rig, gear_cache *cache, const gear_cache_desc *desc, gear_sequence sequence,
                    const e2e_source *source)
{
    e2e_dense dense;
    uint64_t hash = 14695981039346656037u;
    e2e_dense_open(rig, &dense, cache, 0, sequence, desc->num_kv_heads, desc->head_dim, 0);
    size_t count = (size_t)dense.heads * dense.rows * dense.dim, outputs = (size_t)desc->num_query_heads * dense.dim;
    float *out = calloc(outputs, sizeof *out);
    cr_assert_not_null(out);
    if (dense.length) {
        e2e_attend(rig, cache, desc, sequence, source, 1, out);
    }
    const struct {
        const void *data;
        size_t bytes;
    } parts[] = {{dense.k, count * sizeof(float)}, {dense.v, count * sizeof(float)}, {out, outputs * sizeof(float)}};
    for (size_t p = 0; p < 3; p++) {
        const unsigned char *bytes = parts[p].data;
        for (size_t i = 0; i < parts[p].bytes; i++) {
            hash = (hash ^ bytes[i]) * 1099511628211u;
        }
    }
    free(out);
    e2e_dense_close(&dense);
    return hash;
}
