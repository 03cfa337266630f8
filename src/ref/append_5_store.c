/* append_5_store.c: segment header, outlier lists and their deltas (rule 9). */
#include <math.h>

#include "ref/kit.h"

/* Where the entries of the round's side go. */
typedef struct sink {
    uint8_t *indices, *deltas;
    uint32_t next;
    uint16_t scale; /* of deltas of 8 bits, of the block at hand */
} sink;

static float rest(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block, uint32_t t, uint32_t c)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    gear__ref_place place = gear__ref_place_at(round, job, block, head);
    float x = gear__float_from_half(round->x[gear__ref_row(round, head, job->row + block * GEAR__BLOCK + t) + c]);
    float delta = x - gear__ref_dequantize(shape, side, job->cls, place, t, c);
    return delta - gear__ref_lowrank(shape, side, job->cls, place, t, c);
}

static void put(sink *out, gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block, uint32_t t,
                uint32_t c)
{
    float delta = rest(round, job, head, block, t, c);
    out->indices[out->next] = (uint8_t)(round->is_v ? t : c);
    if (gear__ref_side(round)->delta_bits == 8) {
        out->deltas[out->next] = (uint8_t)gear__ref_divide(delta, out->scale, -127, 127);
    } else {
        gear__ref_store_half(out->deltas, out->next, gear__half_saturate(delta));
    }
    out->next++;
}

static int marked(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block, uint32_t t, uint32_t c)
{
    return round->mask[gear__ref_row(round, head, job->row + block * GEAR__BLOCK + t) + c] == GEAR__MASK_OUTLIER;
}

/* Scale of the deltas of 8 bits of one (head, block). */
static uint16_t scale_of(const gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block)
{
    float largest = 0;
    for (uint32_t t = 0; t < GEAR__BLOCK; t++) {
        for (uint32_t c = 0; c < round->shape->head_dim; c++) {
            if (marked(round, job, head, block, t, c)) {
                largest = fmaxf(largest, fabsf(rest(round, job, head, block, t, c)));
            }
        }
    }
    return gear__half_saturate(largest * (1.0f / 127.0f));
}

/* K lists: by token, then channel. A list ends with its token or every 128 channels. */
static void store_k(gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block, uint8_t *counts, sink *out)
{
    uint32_t d = round->shape->head_dim, lists = gear__k_lists_per_token(d);
    for (uint32_t i = 0; i < GEAR__BLOCK * lists; i++) {
        uint32_t t = i / lists, first = i % lists * 128u, before = out->next;
        for (uint32_t c = first; c < d && c < first + 128u; c++) {
            if (marked(round, job, head, block, t, c)) {
                put(out, round, job, head, block, t, c);
            }
        }
        counts[i] = (uint8_t)(out->next - before);
    }
}

/* V lists: by channel, then token. */
static void store_v(gear__ref_round *round, const gear__ref_job *job, uint32_t head, uint32_t block, uint8_t *counts, sink *out)
{
    for (uint32_t c = 0; c < round->shape->head_dim; c++) {
        uint32_t before = out->next;
        for (uint32_t t = 0; t < GEAR__BLOCK; t++) {
            if (marked(round, job, head, block, t, c)) {
                put(out, round, job, head, block, t, c);
            }
        }
        counts[c] = (uint8_t)(out->next - before);
    }
}

void gear__ref_append_5_store(gear__ref_round *round)
{
    const gear__shape *shape = round->shape;
    const gear__side *side = gear__ref_side(round);
    for (uint32_t j = 0; j < round->num_jobs; j++) {
        gear__ref_job job = gear__ref_job_at(round, j);
        uint8_t *segment = round->pool + (size_t)job.segment * GEAR__GRANULE;
        uint32_t exact = gear__ref_exact_tokens(round, &job);
        uint64_t entries_k = gear__outlier_entries(shape, &shape->side[0], job.tokens, exact);
        uint64_t entries_v = gear__outlier_entries(shape, &shape->side[1], job.tokens, exact);
        gear__ref_store_word(segment, GEAR__SEGMENT_TOKENS, job.tokens);
        gear__ref_store_word(segment, GEAR__SEGMENT_BLOCKS, job.blocks);
        gear__ref_store_word(segment, GEAR__SEGMENT_OUTLIERS_K, (uint32_t)entries_k);
        gear__ref_store_word(segment, GEAR__SEGMENT_OUTLIERS_V, (uint32_t)entries_v);
        if (!shape->has_outliers) {
            continue;
        }
        int part = round->is_v ? 2 : 0;
        sink out = {
            .indices = segment + gear__outlier_part(shape, job.cls, entries_k, entries_v, part),
            .deltas = segment + gear__outlier_part(shape, job.cls, entries_k, entries_v, part + 1),
        };
        for (uint32_t head = 0; head < shape->kv_heads; head++) {
            for (uint32_t block = 0; block < job.blocks; block++) {
                gear__ref_place place = gear__ref_place_at(round, &job, block, head);
                gear__ref_store_word(place.shared + shape->shared_bases, 2u * head + round->is_v, out.next);
                if (side->counts_bytes) {
                    uint8_t *counts = place.head + side->counts;
                    if (side->delta_bits == 8) {
                        out.scale = scale_of(round, &job, head, block);
                        gear__ref_store_half(place.head + side->delta_scale, 0, out.scale);
                    }
                    (round->is_v ? store_v : store_k)(round, &job, head, block, counts, &out);
                }
            }
        }
    }
}
