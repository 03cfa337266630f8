/* source.c: the caller's tensors as clean halves (rule 1), and the ring of the window. */
#include "ref/source.h"

#include <math.h>

#include "model/half.h"

uint16_t gear__ref_sanitize(float value, uint64_t *health)
{
    if (isnan(value)) {
        health[0]++;
        return 0;
    }
    uint16_t half = gear__half_from_float(value);
    if ((half & 0x7fffu) == 0x7c00u) {
        health[1]++;
        return (uint16_t)((half & 0x8000u) | GEAR__HALF_MAX);
    }
    return half;
}

uint16_t gear__ref_input(gear__ref_source *source, uint32_t entry, uint32_t head, uint32_t position, uint32_t channel)
{
    const uint32_t *seq = source->seqs + (size_t)entry * GEAR__SEQ_WORDS;
    size_t token = position - seq[GEAR__SEQ_LENGTH], at = head * source->stride_head + channel;
    if (source->stride_seq) {
        at += entry * source->stride_seq + token * source->stride_token;
    } else {
        at += (seq[GEAR__SEQ_ROW] + token) * source->stride_token;
    }
    float value;
    switch (source->type) {
    case GEAR_F16: value = gear__float_from_half(((const uint16_t *)source->input)[at]); break;
    case GEAR_BF16: value = gear__float_from_bf16(((const uint16_t *)source->input)[at]); break;
    default: value = ((const float *)source->input)[at]; break;
    }
    return gear__ref_sanitize(value, source->health);
}

size_t gear__ref_ring_index(const gear__shape *shape, const uint32_t *seq, uint32_t is_v, uint32_t head, uint32_t position,
                            uint32_t channel)
{
    size_t row = ((size_t)seq[GEAR__SEQ_SLOT] * 2u + is_v) * shape->kv_heads + head;
    return (row * shape->window_tokens + position % shape->window_tokens) * shape->head_dim + channel;
}
