/* kit.c: places of records and work items for the reference stages. Codes, pairs and factors are in kit_codes.c. */
#include "ref/kit.h"

#include <string.h>

gear__ref_job gear__ref_job_at(const gear__ref_round *round, uint32_t job)
{
    const uint32_t *words = round->jobs + (size_t)job * GEAR__JOB_WORDS;
    return (gear__ref_job){
        .segment = words[GEAR__JOB_SEGMENT],
        .table = words[GEAR__JOB_TABLE],
        .blocks = words[GEAR__JOB_BLOCKS],
        .tokens = words[GEAR__JOB_TOKENS],
        .row = words[GEAR__JOB_ROW],
        .first = words[GEAR__JOB_FIRST],
        .entry = words[GEAR__JOB_ENTRY],
        .cls = words[GEAR__JOB_CLASS],
    };
}

const gear__side *gear__ref_side(const gear__ref_round *round)
{
    return &round->shape->side[round->is_v];
}

float *gear__ref_weights(const gear__ref_round *round)
{
    return (float *)(void *)round->r;
}

size_t gear__ref_row(const gear__ref_round *round, uint32_t head, uint32_t row)
{
    return ((size_t)head * round->num_rows + row) * round->shape->head_dim;
}

uint32_t gear__ref_block_tokens(const gear__ref_job *job, uint32_t block)
{
    uint32_t before = block * GEAR__BLOCK;
    return job->tokens <= before ? 0 : job->tokens - before < GEAR__BLOCK ? job->tokens - before : GEAR__BLOCK;
}

uint32_t gear__ref_exact_tokens(const gear__ref_round *round, const gear__ref_job *job)
{
    uint32_t exact = 0;
    for (uint32_t t = 0; t < job->tokens; t++) {
        exact += round->mask[gear__ref_row(round, 0, job->row + t)] == GEAR__MASK_EXACT;
    }
    return exact;
}

gear__ref_place gear__ref_place_at(const gear__ref_round *round, const gear__ref_job *job, uint32_t block, uint32_t head)
{
    const gear__shape *shape = round->shape;
    const uint32_t *entry = round->table + ((size_t)job->table + block) * GEAR__BLOCK_WORDS;
    uint8_t *record = round->pool + (size_t)entry[GEAR__BLOCK_OFFSET] * GEAR__GRANULE;
    uint8_t *segment = round->pool + (size_t)job->segment * GEAR__GRANULE;
    return (gear__ref_place){
        .shared = record,
        .head = record + shape->head_first + (size_t)head * shape->head_stride[job->cls],
        .seg = segment + shape->seg_head_first + (size_t)head * shape->seg_head_stride[job->cls],
    };
}

uint32_t gear__ref_rotation_part(uint32_t head_dim, uint32_t first)
{
    uint32_t size = GEAR__STEP;
    while (2 * size <= head_dim - first) {
        size *= 2;
    }
    return size;
}

uint16_t gear__ref_load_half(const uint8_t *at, size_t index)
{
    uint16_t half;
    memcpy(&half, at + 2 * index, sizeof half);
    return half;
}

void gear__ref_store_half(uint8_t *at, size_t index, uint16_t half)
{
    memcpy(at + 2 * index, &half, sizeof half);
}

uint32_t gear__ref_load_word(const uint8_t *at, size_t index)
{
    uint32_t word;
    memcpy(&word, at + 4 * index, sizeof word);
    return word;
}

void gear__ref_store_word(uint8_t *at, size_t index, uint32_t word)
{
    memcpy(at + 4 * index, &word, sizeof word);
}
