/* append_1_order.c: the channel order of the sequences that a job opens (rule 10): by falling importance over that job's
 * segment. */
#include "ref/kit.h"
#include "ref/source.h"

static float value_at(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t token, uint32_t channel)
{
    return gear__float_from_half(round->x[gear__ref_row(round, head, job->row + token) + channel]);
}

static float sum_of(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block, uint32_t channel)
{
    float sum = 0;
    for (uint32_t t = 0; t < gear__ref_block_tokens(job, block); t++) {
        sum += value_at(round, job, head, block * GEAR__BLOCK + t, channel);
    }
    return sum;
}

/* Squares about the mean of the block, then those of the block's mean about `mean`. */
static float squares_of(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block, uint32_t channel,
                        float mean)
{
    uint32_t tokens = gear__ref_block_tokens(job, block);
    float squares = 0, inverse = 1.0f / (float)tokens;
    float block_mean = sum_of(round, job, head, block, channel) * inverse, apart = block_mean - mean;
    for (uint32_t t = 0; t < tokens; t++) {
        float d = value_at(round, job, head, block * GEAR__BLOCK + t, channel) - block_mean;
        squares += d * d;
    }
    return squares + (float)tokens * (apart * apart);
}

static float importance_of(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t channel)
{
    const gear__shape *shape = round->shape;
    float inverse = 1.0f / (float)job->tokens, sum = 0, squares = 0, weight = 1;
    for (uint32_t b = 0; b < job->blocks; b++) {
        sum += sum_of(round, job, head, b, channel);
    }
    float mean = sum * inverse;
    for (uint32_t b = 0; b < job->blocks; b++) {
        squares += squares_of(round, job, head, b, channel, mean);
    }
    if (round->weights) {
        weight = round->weights[((size_t)job->entry * shape->kv_heads + head) * shape->head_dim + channel];
    }
    float importance = squares * inverse * weight;
    return importance > 0 ? importance : 0;
}

uint8_t *gear__ref_order_of(const gear__ref_round *round, const gear__ref_source *source, const gear__ref_job *job,
                            uint32_t head)
{
    uint32_t slot = source->seqs[(size_t)job->entry * GEAR__SEQ_WORDS + GEAR__SEQ_SLOT];
    const uint32_t *header = round->table + (size_t)slot * source->table_row_entries * GEAR__BLOCK_WORDS;
    return round->pool + (size_t)header[GEAR__HEADER_ORDER] * GEAR__GRANULE + (size_t)head * round->shape->head_dim;
}

void gear__ref_append_1_order(gear__ref_round *round, const gear__ref_source *source)
{
    uint32_t d = round->shape->head_dim;
    for (uint32_t i = 0; i < round->num_jobs * round->shape->kv_heads && gear__ref_side(round)->ordered; i++) {
        gear__ref_job job = gear__ref_job_at(round, i / round->shape->kv_heads);
        uint32_t head = i % round->shape->kv_heads;
        uint8_t *order = gear__ref_order_of(round, source, &job, head);
        float importance[256];
        for (uint32_t c = 0; c < d && !job.first; c++) {
            importance[c] = importance_of(round, &job, head, c);
        }
        for (uint32_t c = 0; c < d && !job.first; c++) {
            uint32_t place = 0;
            for (uint32_t other = 0; other < d; other++) {
                place += importance[other] > importance[c] || (importance[other] == importance[c] && other < c);
            }
            order[place] = (uint8_t)c;
        }
    }
}
