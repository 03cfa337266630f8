/* sizes.c: how large every device buffer of a cache is; gear_cache_query and gear_cache_create agree because both ask here. */
#include "api/internal.h"
#include "stage/attend_pieces.h"

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

gear__scratch_needs gear__scratch_needs_of(const gear_cache_desc *desc, const gear__caps *caps)
{
    gear__scratch_needs needs = {0};
    for (uint32_t i = 0; i < desc->num_codecs; i++) {
        gear__shape shape;
        gear__shape_init(&shape, desc, &desc->codecs[i]);
        const int staged = !gear__append_tile_of(caps, &shape).is_fused;
        needs.staged |= staged;
        needs.weighted |= staged && shape.side[0].weighted;
        needs.marked |= shape.has_outliers != 0;
        needs.ordered |= shape.side[0].ordered != 0;
        needs.ranked |= gear__has_rank(&shape, 0) || gear__has_rank(&shape, 1);
    }
    return needs;
}

static uint64_t longest_segment(const gear_cache_desc *desc)
{
    return round_up(desc->max_segment_tokens > desc->window ? desc->max_segment_tokens : desc->window, 64);
}

/* Rows that a round takes at a time: at least the longest segment; on a GPU, which a few segments leave idle, as many as make
 * `groups` work-groups a compute unit, a block and KV head each; no more than the layer can hold or, with up to row_bytes a row
 * in one of them, the device's largest buffer. */
static uint64_t round_rows(const gear_cache_desc *desc, const gear__caps *caps, uint64_t groups, uint64_t row_bytes)
{
    uint64_t least = longest_segment(desc);
    uint64_t filling = caps->is_gpu ? caps->compute_units * groups / desc->num_kv_heads * 64 : 0;
    uint64_t most = 64 * gear__desc_capacity_blocks(desc), fitting = caps->max_alloc / row_bytes / 64 * 64;
    most = most < fitting ? most : fitting;
    filling = filling < most ? filling : most;
    return filling > least ? filling : least;
}

/* Floats of the slot of a block and KV head in fits of segments of GEAR__GRAM_ROWS whose Gram matrix is in memory. Fits in one
 * launch on tensor cores take less (gear__lowrank_slot; at head_dim 128 416, and 1216 in segments of 4096, where this is 2080):
 * what that leaves goes to rounds of one block or a few, which take up to 2064. */
static uint64_t usual_slot(const gear_cache_desc *desc)
{
    return GEAR__FIT_SLOT(desc->head_dim, GEAR__GRAM_ROWS / 64);
}

/* Floats for the slots of a KV head's fits: usual_slot for each block, and room for any one segment. A round of segments that
 * take more for each block (of one, at head_dim 64, or of five with a Gram matrix) ends earlier. */
static uint64_t fit_floats(const gear_cache_desc *desc, uint64_t rows)
{
    const uint32_t blocks = (uint32_t)(longest_segment(desc) / 64);
    const uint64_t one = GEAR__FIT_FLOATS(desc->head_dim, blocks) + 16u * blocks; /* slots are multiples of 16 */
    const uint64_t usual = rows / 64 * usual_slot(desc);
    return usual > one ? usual : one;
}

uint64_t gear__attend_list_words(const gear_cache_desc *desc, const gear__caps *caps)
{
    const uint64_t slots = (uint64_t)GEAR__ATTEND_ROWS_PER_UNIT / GEAR__ATTEND_LEAST_ROWS * caps->compute_units;
    const uint64_t most = caps->is_nvidia ? gear__attend_most_pieces(slots, desc->capacity_sequences) : 0;
    return (uint64_t)desc->capacity_sequences * GEAR__SEQ_WORDS + most * GEAR__PIECE_WORDS;
}

void gear__sizes_of(const gear_cache_desc *desc, const gear__shape *shape, const gear__caps *caps,
                    const gear__scratch_needs *needs, gear__sizes *sizes)
{
    uint64_t values = (uint64_t)desc->num_kv_heads * desc->head_dim, sequences = desc->capacity_sequences;
    uint64_t row = gear__desc_sequence_blocks(desc) + 1;
    pool_sizes(desc, shape, sizes);
    sizes->pool_bytes = sizes->granules * GEAR__GRANULE;
    sizes->table_bytes = sequences * row * GEAR__BLOCK_WORDS * 4;
    sizes->window_bytes = sequences * 2 * shape->window_tokens * values * 2;

    /* what a round stages costs memory by the row, what it lists hardly any */
    const uint64_t of_values = 4 * values, of_fits = desc->num_kv_heads * 4 * (GEAR__MAX_RANK + (usual_slot(desc) + 63) / 64);
    const uint64_t row_bytes = of_values > of_fits ? of_values : of_fits;
    uint64_t rows = round_rows(desc, caps, needs->staged ? 16 : 64, row_bytes);
    uint64_t listed = round_rows(desc, caps, 128, needs->ordered ? (values + 7) / 8 : 1); /* sums; places: 64 bytes a block */
    sizes->staging_rows = rows;
    sizes->list_rows = listed;
    sizes->x_bytes = needs->staged ? rows * values * 2 : 4;
    sizes->mask_bytes = needs->staged ? rows * values : needs->marked ? rows * values / 8 : 4;
    /* halves; where tokens have weights these are in their place first (append_1_norms) */
    sizes->r_bytes = needs->weighted ? rows * values * 4 : needs->staged || needs->ranked ? rows * values * 2 : 4;
    sizes->fit_floats = fit_floats(desc, rows);
    sizes->a_bytes = needs->ranked ? desc->num_kv_heads * 4 * (rows * GEAR__MAX_RANK + sizes->fit_floats) : 4;
    sizes->sums_bytes = needs->ordered ? listed / 64 * values * 2 * 4 : 4;

    uint64_t query_rows = sequences * desc->max_query_tokens * desc->num_query_heads;
    /* gear_attend splits only while work-groups are few; each sequence of a ragged batch has a piece more than that */
    uint64_t split_rows = (uint64_t)GEAR__ATTEND_ROWS_PER_UNIT * caps->compute_units;
    uint64_t entries = caps->is_nvidia ? query_rows + split_rows : query_rows > split_rows ? query_rows : split_rows;
    sizes->partial_bytes = entries * desc->head_dim * 4;
    sizes->softmax_bytes = entries * 2 * 4;
    uint64_t group_rows = (uint64_t)desc->max_query_tokens * (desc->num_query_heads / desc->num_kv_heads);
    /* gear_attend's, one for each row tile; between its calls those of fits of more than a block, one and GEAR__FIT_NV_COUNTERS
     * for each staging block and KV head */
    const uint64_t tiles = sequences * ((group_rows + GEAR__ATTEND_LEAST_ROWS - 1) / GEAR__ATTEND_LEAST_ROWS);
    const uint64_t of_fits_counted = caps->is_nvidia && needs->ranked ? rows / 64 * GEAR__FIT_NV_COUNTERS : 0;
    const uint64_t counted = of_fits_counted > tiles ? of_fits_counted : tiles;
    sizes->counter_bytes = (counted * desc->num_kv_heads + 1) * 4;
    sizes->scratch_bytes = sizes->x_bytes + sizes->mask_bytes + sizes->r_bytes + sizes->a_bytes + sizes->sums_bytes +
                           sizes->partial_bytes + sizes->softmax_bytes;
    sizes->list_bytes = (sequences * GEAR__SEQ_WORDS + gear__attend_list_words(desc, caps)) * 4 +
                        listed / 64 * (GEAR__JOB_WORDS + 1 + GEAR__PLACE_WORDS) * 4 + GEAR__CALL_WORDS * 4 +
                        GEAR__HEALTH_WORDS * 4 + sizes->counter_bytes + 4;
}

static gear_status check_limits(const gear_cache_desc *desc, uint32_t layer, const gear__sizes *sizes, const char *where,
                                gear_error *error)
{
    if (sizes->granules >= UINT32_MAX) {
        return gear__fail(error, GEAR_ERROR_UNSUPPORTED, where, "layer %u needs a pool of %llu bytes; the limit is 256 GiB",
                          layer, (unsigned long long)sizes->pool_bytes);
    }
    if (sizes->table_bytes / 4 > UINT32_MAX) { /* uploads address words by 32 bits */
        return gear__fail(
            error, GEAR_ERROR_UNSUPPORTED, where,
            "capacity_sequences %u x max_sequence_tokens %llu need a page table of %llu bytes a layer; the limit is 16 GiB",
            desc->capacity_sequences, (unsigned long long)desc->max_sequence_tokens, (unsigned long long)sizes->table_bytes);
    }
    if (sizes->granules < sizes->least_granules) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "pool_bytes is %llu; layer %u needs at least %llu for one block",
                          (unsigned long long)desc->pool_bytes, layer,
                          (unsigned long long)sizes->least_granules * GEAR__GRANULE);
    }
    return GEAR_OK;
}

gear_status gear__sizes_check(const gear_cache_desc *desc, uint32_t layer, const gear__sizes *sizes, const gear__caps *caps,
                              const char *where, gear_error *error)
{
    const struct {
        const char *what, *fields;
        uint64_t bytes;
    } buffers[] = {
        {"the pool", "capacity_tokens or pool_bytes", sizes->pool_bytes},
        {"the page table", "capacity_sequences or max_sequence_tokens", sizes->table_bytes},
        {"the window", "capacity_sequences, recent or window", sizes->window_bytes},
        {"the staging", "max_segment_tokens", sizes->x_bytes},
        {"the mask", "max_segment_tokens", sizes->mask_bytes},
        {"the residual", "max_segment_tokens", sizes->r_bytes},
        {"the low-rank scratch", "max_segment_tokens", sizes->a_bytes},
        {"the sums of the channel order", "max_segment_tokens", sizes->sums_bytes},
        {"the partial results of attend", "capacity_sequences or max_query_tokens", sizes->partial_bytes},
        {"the partial sums of attend", "capacity_sequences or max_query_tokens", sizes->softmax_bytes},
        {"the counters of attend and of fits", "capacity_sequences, max_query_tokens or max_segment_tokens",
         sizes->counter_bytes},
    };
    gear_status status = check_limits(desc, layer, sizes, where, error);
    for (size_t i = 0; !status && i < sizeof buffers / sizeof *buffers; i++) {
        if (buffers[i].bytes > caps->max_alloc) {
            status =
                gear__fail(error, GEAR_ERROR_DEVICE, where,
                           "%s of layer %u has %llu bytes; the device's largest buffer has %llu: lower %s", buffers[i].what,
                           layer, (unsigned long long)buffers[i].bytes, (unsigned long long)caps->max_alloc, buffers[i].fields);
        }
    }
    return status;
}
