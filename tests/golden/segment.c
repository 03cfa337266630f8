/* segment.c: see segment.h. */
#include "segment.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ref/kit.h"

static void *garbage(size_t bytes)
{
    void *memory = malloc(bytes);
    cr_assert(memory);
    memset(memory, 0xa5, bytes);
    return memory;
}

static void place_records(segment *s, uint32_t exact, uint32_t cls)
{
    uint32_t fixed = exact > s->first ? exact - s->first : 0;
    fixed = fixed < s->tokens ? fixed : s->tokens;
    for (int side = 0; side < 2; side++) {
        s->entries[side] = gear__outlier_entries(&s->shape, &s->shape.side[side], s->tokens, fixed);
    }
    uint32_t order_at = (s->shape.exact_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE;
    uint32_t segment_at = order_at + (s->shape.order_bytes + GEAR__GRANULE - 1) / GEAR__GRANULE;
    uint32_t block_at = segment_at + (uint32_t)gear__segment_granules(&s->shape, cls, s->entries[0], s->entries[1]);
    s->table = garbage((1 + s->blocks) * GEAR__BLOCK_WORDS * sizeof *s->table);
    memcpy(s->table, (uint32_t[4]){0, exact, order_at, 0}, 16);
    for (uint32_t b = 0; b < s->blocks; b++) {
        uint32_t rest = s->tokens - 64 * b, info = (rest < 64 ? rest : 64) | cls << 8 | b << 16;
        memcpy(s->table + 4 * (1 + b), (uint32_t[4]){block_at, segment_at, s->first + 64 * b, info}, 16);
        block_at += gear__block_granules(&s->shape, cls);
    }
    s->pool_bytes = (size_t)block_at * GEAR__GRANULE;
    s->job[GEAR__JOB_SEGMENT] = segment_at;
    s->job[GEAR__JOB_TABLE] = 1;
    s->job[GEAR__JOB_BLOCKS] = s->blocks;
    s->job[GEAR__JOB_TOKENS] = s->tokens;
    s->job[GEAR__JOB_FIRST] = s->first;
    s->job[GEAR__JOB_CLASS] = cls;
    s->seq[GEAR__SEQ_LENGTH] = s->first;
    s->seq[GEAR__SEQ_COUNT] = s->tokens;
    s->seq[GEAR__SEQ_FIRST] = s->first + s->tokens;
    s->seq[GEAR__SEQ_BLOCKS] = s->blocks;
}

/* [heads][tokens][head_dim] with the tokens backwards. */
static void *backwards(const void *values, uint32_t heads, uint32_t tokens, size_t row)
{
    char *out = garbage(heads * (size_t)tokens * row);
    for (size_t i = 0; i < (size_t)heads * tokens; i++) {
        memcpy(out + (i / tokens * tokens + tokens - 1 - i % tokens) * row, (const char *)values + i * row, row);
    }
    return out;
}

void segment_open(segment *s, const gear_codec *codec, uint32_t is_v, uint32_t heads, uint32_t head_dim, uint32_t tokens,
                  uint32_t first, uint32_t exact, uint32_t cls, const void *values, gear_type type)
{
    gear_codec_pair pair = {*codec, *codec};
    gear_cache_desc desc = {.num_kv_heads = heads, .head_dim = head_dim, .exact_first = exact < 64 ? exact : 64};
    memset(s, 0, sizeof *s);
    gear__shape_init(&s->shape, &desc, &pair);
    s->shape.exact_max = exact; /* tests go beyond the 64 of the API */
    s->shape.exact_bytes = exact * heads * head_dim * 4;
    s->tokens = tokens;
    s->first = first;
    s->blocks = (tokens + 63) / 64;
    place_records(s, exact, cls);
    size_t staging = (size_t)heads * s->blocks * 64 * head_dim;
    s->row_jobs = calloc(s->blocks, sizeof *s->row_jobs);
    s->round = (gear__ref_round){
        .shape = &s->shape,
        .is_v = is_v,
        .jobs = s->job,
        .num_jobs = 1,
        .row_jobs = s->row_jobs,
        .num_rows = s->blocks * 64,
        .table = s->table,
        .pool = garbage(s->pool_bytes),
        .x = garbage(staging * sizeof(uint16_t)),
        .mask = garbage(staging),
        .r = garbage(staging * sizeof(float)), /* weights first */
    };
    s->source = (gear__ref_source){
        .seqs = s->seq,
        .num_seqs = 1,
        .table_row_entries = 1 + s->blocks,
        .input = values,
        .stride_head = (size_t)tokens * head_dim,
        .stride_token = head_dim,
        .type = type,
        .health = s->health,
    };
    if (!is_v && s->shape.side[0].weighted) {
        s->reversed = backwards(values, heads, tokens, (size_t)head_dim * (type == GEAR_F32 ? 4 : 2));
    }
}

void segment_compress(segment *s)
{
    const gear__side *side = &s->shape.side[s->round.is_v];
    void (*find_pairs)(gear__ref_round *) = gear__is_mixed(side) ? gear__ref_append_2_fit : gear__ref_append_2_range;
    gear__ref_append_0_gather(&s->round, &s->source);
    gear__ref_append_1_order(&s->round, &s->source);
    gear__ref_append_1_transform(&s->round, &s->source);
    if (s->reversed) {
        gear__ref_source v = s->source;
        v.input = s->reversed;
        gear__ref_append_1_norms(&s->round, &v);
    }
    if (side->outlier_rule == GEAR_OUTLIER_BLOCK) {
        find_pairs(&s->round);
    }
    gear__ref_append_1_outliers(&s->round);
    find_pairs(&s->round);
    gear__ref_append_3_quantize(&s->round);
    cr_assert(gear__ref_append_4_lowrank(&s->round));
    gear__ref_append_5_store(&s->round);
}

void segment_reconstruct(const segment *s, float *out)
{
    gear__ref_store store = {
        .shape = &s->shape,
        .table = s->table,
        .table_row_entries = 1 + s->blocks,
        .pool = s->round.pool,
    };
    gear__ref_reconstruct(&store, s->seq, s->round.is_v, s->first, s->tokens, out);
}

void segment_close(segment *s)
{
    free(s->table);
    free(s->row_jobs);
    free(s->round.pool);
    free(s->round.x);
    free(s->round.mask);
    free(s->round.r);
    free(s->reversed);
}
