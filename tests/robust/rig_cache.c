/* rig_cache.c: see the header. */
#include "rig_cache.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint32_t seed = 77;

void rig_cache_open(rig_cache *r)
{
    static const uint32_t tokens[RIG_SEQS] = {RIG_TOKENS, RIG_TOKENS}, queries[RIG_SEQS] = {RIG_QUERIES, RIG_QUERIES};
    cl_int code;
    memset(r, 0, sizeof *r);
    e2e_open(&r->rig);
    r->codec = e2e_codec(GEAR_BACKBONE_KIVI, 2, 2, 0.02f);
    r->codec.k = e2e_codec(GEAR_BACKBONE_MIXED, 2, 2, 0.02f).k;
    r->desc = e2e_desc(&r->codec, RIG_HEADS, RIG_QUERY_HEADS, RIG_DIM, RIG_CAPACITY);
    r->desc.capacity_sequences = RIG_SEQS;
    r->desc.max_sequence_tokens = 600;
    r->desc.max_query_tokens = RIG_QUERIES;
    r->desc.exact_first = 4;
    r->cache = e2e_cache(&r->rig, &r->desc);
    for (uint32_t i = 0; i < RIG_SEQS; i++) {
        const e2e_source source = e2e_synthetic(&seed, i);
        r->names[i] = e2e_add(&r->rig, r->cache);
        e2e_append(&r->rig, r->cache, &r->desc, r->names[i], &source, 0, 100 + 30 * i);
    }
    e2e_tensor_open(&r->rig, &r->k, GEAR_F32, E2E_STRIDED, RIG_HEADS, RIG_DIM, RIG_SEQS, tokens);
    e2e_tensor_open(&r->rig, &r->v, GEAR_F32, E2E_STRIDED, RIG_HEADS, RIG_DIM, RIG_SEQS, tokens);
    e2e_tensor_open(&r->rig, &r->q, GEAR_F32, E2E_STRIDED, RIG_QUERY_HEADS, RIG_DIM, RIG_SEQS, queries);
    e2e_tensor_open(&r->rig, &r->out, GEAR_F32, E2E_STRIDED, RIG_QUERY_HEADS, RIG_DIM, RIG_SEQS, queries);
    e2e_tensor_open(&r->rig, &r->tail_k, GEAR_F32, E2E_STRIDED, RIG_HEADS, RIG_DIM, RIG_SEQS, queries);
    e2e_tensor_open(&r->rig, &r->tail_v, GEAR_F32, E2E_STRIDED, RIG_HEADS, RIG_DIM, RIG_SEQS, queries);
    e2e_tensor_open(&r->rig, &r->dense_k, GEAR_F32, E2E_HEADS, RIG_HEADS, RIG_DIM, 1, tokens);
    e2e_tensor_open(&r->rig, &r->dense_v, GEAR_F32, E2E_HEADS, RIG_HEADS, RIG_DIM, 1, tokens);
    e2e_fill(&r->rig, &r->k, e2e_key, &seed, NULL);
    e2e_fill(&r->rig, &r->v, e2e_value, &seed, NULL);
    e2e_fill(&r->rig, &r->q, e2e_query, &seed, NULL);
    e2e_fill(&r->rig, &r->tail_k, e2e_key, &seed, NULL);
    e2e_fill(&r->rig, &r->tail_v, e2e_value, &seed, NULL);
    static float ones[RIG_SEQS * RIG_HEADS * RIG_DIM];
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
        ones[i] = 1;
    }
    r->squares = clCreateBuffer(r->rig.cl.context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof ones, ones, &code);
    cr_assert_eq(code, CL_SUCCESS);
    r->lse = clCreateBuffer(r->rig.cl.context, CL_MEM_READ_WRITE, RIG_SEQS * RIG_QUERIES * RIG_QUERY_HEADS * 4, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS);
}

void rig_cache_close(rig_cache *r)
{
    (void)clFinish(r->rig.cl.queue);
    gear_cache_destroy(r->cache);
    e2e_tensor_close(&r->k);
    e2e_tensor_close(&r->v);
    e2e_tensor_close(&r->q);
    e2e_tensor_close(&r->out);
    e2e_tensor_close(&r->tail_k);
    e2e_tensor_close(&r->tail_v);
    e2e_tensor_close(&r->dense_k);
    e2e_tensor_close(&r->dense_v);
    (void)clReleaseMemObject(r->lse);
    (void)clReleaseMemObject(r->squares);
    e2e_close(&r->rig);
}

uint64_t rig_cache_digest(rig_cache *r)
{
    uint64_t hash = 0;
    gear_bytes bytes;
    E2E_OK(&r->rig, gear_cache_bytes(r->cache, GEAR_ALL_LAYERS, &bytes, &r->rig.error));
    const uint64_t parts[] = {bytes.codes,  bytes.scales, bytes.lowrank, bytes.outliers, bytes.exact,
                              bytes.window, bytes.tables, bytes.scratch, bytes.unused,   bytes.total};
    for (uint32_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        hash = hash * 1099511628211u + parts[i];
    }
    for (uint32_t i = 0; i < RIG_SEQS; i++) {
        const e2e_source source = e2e_synthetic(&seed, i);
        uint64_t compressed, tokens = e2e_length(&r->rig, r->cache, 0, r->names[i], &compressed);
        hash = hash * 1099511628211u + tokens * 1000 + compressed;
        hash = hash * 1099511628211u + e2e_digest(&r->rig, r->cache, &r->desc, r->names[i], &source);
    }
    return hash;
}

void rig_refused(const rig_cache *r, gear_status got, gear_status want, const char *text, const char *what)
{
    const gear_error *e = &r->rig.error;
    cr_assert_eq(got, want, "%s: %s, not %s (%s)", what, gear_status_name(got), gear_status_name(want), got ? e->message : "");
    cr_assert_eq(e->status, want, "%s: the error has status %d", what, (int)e->status);
    cr_assert(e->where && e->where[0], "%s: the error has no `where`", what);
    cr_assert_not_null(strstr(e->message, text), "%s: '%s' is not in '%s'", what, text, e->message);
}
