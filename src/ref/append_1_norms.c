/* append_1_norms.c: the weight of each token in the least-squares fit of 1-bit channels of K (rule 11). */
#include "ref/kit.h"
#include "ref/source.h"

static float norm_of(float squares)
{
    return squares > 0 ? squares * gear__ref_rsqrt(squares) : 0;
}

static float reciprocal(float a)
{
    float y = gear__ref_rsqrt(a);
    return y * y;
}

static float v_squares(const gear__ref_round *round, gear__ref_source *v, const gear__ref_job *job, uint32_t head,
                       uint32_t position)
{
    const uint32_t *seq = v->seqs + (size_t)job->entry * GEAR__SEQ_WORDS;
    float sum = 0;
    for (uint32_t c = 0; c < round->shape->head_dim; c++) {
        uint16_t half = position < seq[GEAR__SEQ_LENGTH]
                            ? v->window[gear__ref_ring_index(round->shape, seq, 1, head, position, c)]
                            : gear__ref_input(v, job->entry, head, position, c);
        float x = gear__float_from_half(half);
        sum += x * x;
    }
    return sum;
}

static float k_squares(const gear__ref_round *round, size_t at)
{
    float sum = 0;
    for (uint32_t c = 0; c < round->shape->head_dim; c++) {
        float x = gear__float_from_half(round->x[at + c]);
        sum += x * x;
    }
    return sum;
}

static void weigh_block(gear__ref_round *round, gear__ref_source *v, const gear__ref_job *job, uint32_t head, uint32_t block)
{
    float k[GEAR__BLOCK] = {0}, values[GEAR__BLOCK] = {0}, sum_k = 0, sum_v = 0;
    uint32_t count = 0;
    for (uint32_t t = 0; t < GEAR__BLOCK; t++) {
        size_t at = gear__ref_row(round, head, job->row + block * GEAR__BLOCK + t);
        if (round->mask[at] == GEAR__MASK_NORMAL) {
            k[t] = norm_of(k_squares(round, at));
            values[t] = norm_of(v_squares(round, v, job, head, job->first + block * GEAR__BLOCK + t));
            sum_k += k[t];
            sum_v += values[t];
            count++;
        }
    }
    for (uint32_t t = 0; t < GEAR__BLOCK; t++) {
        size_t at = gear__ref_row(round, head, job->row + block * GEAR__BLOCK + t);
        float weight = 1;
        if (round->mask[at] == GEAR__MASK_NORMAL && sum_k > 0 && sum_v > 0) {
            float inverse = 1.0f / (float)count, mean = (sum_k * inverse) * (sum_v * inverse);
            weight = reciprocal((k[t] * values[t]) * reciprocal(mean) + 1e-4f);
            weight = weight < 0.01f ? 0.01f : weight > 1000.0f ? 1000.0f : weight;
        }
        gear__ref_weights(round)[at] = weight;
    }
}

void gear__ref_append_1_norms(gear__ref_round *round, const gear__ref_source *v)
{
    uint64_t counted[2] = {0}; /* V is counted where it is gathered */
    gear__ref_source source = *v;
    source.health = counted;
    for (uint32_t j = 0; j < round->num_jobs && gear__ref_side(round)->weighted; j++) {
        gear__ref_job job = gear__ref_job_at(round, j);
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            for (uint32_t block = 0; block < job.blocks; block++) {
                weigh_block(round, &source, &job, head, block);
            }
        }
    }
}
