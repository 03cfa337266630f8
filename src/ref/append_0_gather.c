/* append_0_gather.c: collects the tokens of each segment from window and input as halves (rule 1), and sets exact tokens aside
 * (rule 2). */
#include "ref/kit.h"
#include "ref/source.h"

/* Rule 2: exact tokens of one (job, head, channel). Rows t of the segment with first + t < exact. */
static void replace_exact(gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t channel, uint32_t exact)
{
    uint32_t fixed = exact > job->first ? exact - job->first : 0, others = 0;
    float sum = 0;
    fixed = fixed < job->tokens ? fixed : job->tokens;
    for (uint32_t t = fixed; t < job->tokens; t++) {
        sum += gear__float_from_half(round->x[gear__ref_row(round, head, job->row + t) + channel]);
        others++;
    }
    uint16_t mean = others ? gear__half_from_float(sum * (1.0f / (float)others)) : 0;
    for (uint32_t t = 0; t < fixed; t++) {
        uint32_t stand_in = t + exact; /* position exact + (first + t), counted from the segment's first token */
        uint16_t value = stand_in < job->tokens ? round->x[gear__ref_row(round, head, job->row + stand_in) + channel] : mean;
        size_t at = gear__ref_row(round, head, job->row + t) + channel;
        round->x[at] = value;
        round->mask[at] = GEAR__MASK_EXACT;
    }
}

static void gather_row(gear__ref_round *round, gear__ref_source *source, const gear__ref_job *job, uint32_t head, uint32_t t)
{
    const gear__shape *shape = round->shape;
    const uint32_t *seq = source->seqs + (size_t)job->entry * GEAR__SEQ_WORDS;
    const uint32_t *header = round->table + (size_t)seq[GEAR__SEQ_SLOT] * source->table_row_entries * GEAR__BLOCK_WORDS;
    uint32_t position = job->first + t, d = shape->head_dim;
    size_t at = gear__ref_row(round, head, job->row + t);
    for (uint32_t c = 0; c < d; c++) {
        uint16_t half = 0;
        uint8_t mask = GEAR__MASK_PADDING;
        if (t < job->tokens) {
            mask = GEAR__MASK_NORMAL;
            half = position < seq[GEAR__SEQ_LENGTH]
                       ? source->window[gear__ref_ring_index(shape, seq, round->is_v, head, position, c)]
                       : gear__ref_input(source, job->entry, head, position, c);
            if (position < header[1]) {
                uint8_t *record = round->pool + (size_t)header[0] * GEAR__GRANULE;
                size_t row = ((size_t)round->is_v * shape->kv_heads + head) * shape->exact_max + position;
                gear__ref_store_half(record, row * d + c, half);
            }
        }
        round->x[at + c] = half;
        round->mask[at + c] = mask;
    }
}

void gear__ref_append_0_gather(gear__ref_round *round, gear__ref_source *source)
{
    for (uint32_t j = 0; j < round->num_jobs; j++) {
        gear__ref_job job = gear__ref_job_at(round, j);
        const uint32_t *seq = source->seqs + (size_t)job.entry * GEAR__SEQ_WORDS;
        uint32_t exact = round->table[(size_t)seq[GEAR__SEQ_SLOT] * source->table_row_entries * GEAR__BLOCK_WORDS + 1];
        for (uint32_t head = 0; head < round->shape->kv_heads; head++) {
            for (uint32_t t = 0; t < job.blocks * GEAR__BLOCK; t++) {
                gather_row(round, source, &job, head, t);
            }
            for (uint32_t c = 0; c < round->shape->head_dim; c++) {
                replace_exact(round, &job, head, c, exact);
            }
        }
    }
}
