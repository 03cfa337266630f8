/* append_6_window.c: the new tokens that stay in the window, as halves (rule 1). */
#include "ref/kit.h"
#include "ref/source.h"

void gear__ref_append_6_window(gear__ref_round *round, gear__ref_source *source)
{
    const gear__shape *shape = round->shape;
    for (uint32_t entry = 0; entry < source->num_seqs; entry++) {
        const uint32_t *seq = source->seqs + (size_t)entry * GEAR__SEQ_WORDS;
        uint32_t first = seq[GEAR__SEQ_FIRST], old = seq[GEAR__SEQ_LENGTH], end = old + seq[GEAR__SEQ_COUNT];
        for (uint32_t head = 0; head < shape->kv_heads; head++) {
            for (uint32_t p = first > old ? first : old; p < end; p++) {
                for (uint32_t c = 0; c < shape->head_dim; c++) {
                    source->window[gear__ref_ring_index(shape, seq, round->is_v, head, p, c)] =
                        gear__ref_input(source, entry, head, p, c);
                }
            }
        }
    }
}
