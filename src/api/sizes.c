/* sizes.c: how large every device buffer of a cache is; gear_cache_query and gear_cache_create agree because both ask here. */
#include "api/internal.h"

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* Granules of the segment record of one decode or one-block prompt segment, whichever takes more for each of its blocks. */
static uint64_t worst_segment_per_block(const gear_cache_desc *desc, const gear__shape *shape)
{
    uint64_t worst = 0;
    /* Outlier counts round differently for every length, so every prompt length is asked; longer segments share one B. */
    for (uint32_t blocks = 1; blocks <= desc->max_segment_tokens / 64; blocks++) {
        uint64_t k = gear__outlier_entries(shape, &shape->side[0], blocks * 64, 0);
        uint64_t v = gear__outlier_entries(shape, &shape->side[1], blocks * 64, 0);
        uint64_t per = (gear__segment_granules(shape, GEAR__PROMPT, k, v) + blocks - 1) / blocks;
        worst = per > worst ? per : worst;
    }
    uint32_t blocks = (desc->window + 63) / 64;
    uint64_t k = gear__outlier_entries(shape, &shape->side[0], desc->window, 0);
    uint64_t v = gear__outlier_entries(shape, &shape->side[1], desc->window, 0);
    uint64_t per = (gear__segment_granules(shape, GEAR__DECODE, k, v) + blocks - 1) / blocks;
    return per > worst ? per : worst;
}

static void pool_sizes(const gear_cache_desc *desc, const gear__shape *shape, gear__sizes *sizes)
{
    uint64_t prompt = gear__block_granules(shape, GEAR__PROMPT), decode = gear__block_granules(shape, GEAR__DECODE);
    uint64_t block = (prompt > decode ? prompt : decode) + worst_segment_per_block(desc, shape);
    uint64_t of_sequence =
        (round_up(shape->exact_bytes, GEAR__GRANULE) + round_up(shape->order_bytes, GEAR__GRANULE)) / GEAR__GRANULE;
    sizes->least_granules = block + of_sequence;
    sizes->granules = desc->pool_bytes ? desc->pool_bytes / GEAR__GRANULE
                                       : gear__desc_capacity_blocks(desc) * block + of_sequence * desc->capacity_sequences;
}

void gear__sizes_of(const gear_cache_desc *desc, const gear__shape *shape, const gear__caps *caps, int any_rank,
                    gear__sizes *sizes)
{
    uint64_t values = (uint64_t)desc->num_kv_heads * desc->head_dim, sequences = desc->capacity_sequences;
    uint64_t row = gear__desc_sequence_blocks(desc) + 1;
    pool_sizes(desc, shape, sizes);
    sizes->pool_bytes = sizes->granules * GEAR__GRANULE;
    sizes->table_bytes = sequences * row * GEAR__BLOCK_WORDS * 4;
    sizes->window_bytes = sequences * 2 * shape->window_tokens * values * 2;

    uint64_t rows = round_up(desc->max_segment_tokens > desc->window ? desc->max_segment_tokens : desc->window, 64);
    sizes->staging_rows = rows;
    sizes->x_bytes = rows * values * 2;
    sizes->mask_bytes = rows * values;
    sizes->r_bytes = rows * values * 4;
    /* A of every row, a slot for every part of a fit; a round has at most one part a block */
    sizes->a_bytes =
        any_rank ? desc->num_kv_heads * 4 * (rows * GEAR__MAX_RANK + rows / 64 * GEAR__FIT_SLOT(desc->head_dim)) : 4;

    uint64_t query_rows = sequences * desc->max_query_tokens * desc->num_query_heads;
    /* gear_attend splits only while work-groups are few */
    uint64_t split_rows = (uint64_t)GEAR__ATTEND_ROWS_PER_UNIT * caps->compute_units;
    uint64_t entries = query_rows > split_rows ? query_rows : split_rows;
    sizes->partial_bytes = entries * desc->head_dim * 4;
    sizes->softmax_bytes = entries * 2 * 4;
    uint64_t group_rows = (uint64_t)desc->max_query_tokens * (desc->num_query_heads / desc->num_kv_heads);
    sizes->counter_bytes =
        sequences * desc->num_kv_heads * ((group_rows + GEAR__ATTEND_LEAST_ROWS - 1) / GEAR__ATTEND_LEAST_ROWS) * 4;
    sizes->scratch_bytes =
        sizes->x_bytes + sizes->mask_bytes + sizes->r_bytes + sizes->a_bytes + sizes->partial_bytes + sizes->softmax_bytes;
    sizes->list_bytes = 2 * sequences * GEAR__SEQ_WORDS * 4 + rows / 64 * (GEAR__JOB_WORDS + 1) * 4 + GEAR__CALL_WORDS * 4 +
                        GEAR__HEALTH_WORDS * 4 + sizes->counter_bytes + 4;
}
