/* reconstruct.c: dense values of a token range from records, exact record and window: X ~ (D + L) + S. */
#include <string.h>

#include "ref/kit.h"
#include "ref/source.h"

/* What one (head, token) is read from. */
typedef struct reader {
    const gear__ref_store *store;
    const gear__side *side;
    const uint32_t *entry; /* page table entry of the block */
    uint32_t head, cls;
    const uint8_t *segment;
    gear__ref_place place;
} reader;

/* The stores of a place are only read here. */
static uint8_t *writable(const uint8_t *at)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } cast = {at};
    return cast.out;
}

static void open_block(reader *in, const uint32_t *entry, uint32_t head)
{
    const gear__shape *shape = in->store->shape;
    const uint8_t *block = in->store->pool + (size_t)entry[GEAR__BLOCK_OFFSET] * GEAR__GRANULE;
    in->entry = entry;
    in->head = head;
    in->cls = GEAR__INFO_CLASS(entry[GEAR__BLOCK_INFO]);
    in->segment = in->store->pool + (size_t)entry[GEAR__BLOCK_SEGMENT] * GEAR__GRANULE;
    in->place.shared = writable(block);
    in->place.head = writable(block + shape->head_first + (size_t)head * shape->head_stride[in->cls]);
    in->place.seg = writable(in->segment + shape->seg_head_first + (size_t)head * shape->seg_head_stride[in->cls]);
}

/* Adds S of one token of the open block to out[head_dim]. */
static void add_outliers(const reader *in, uint32_t token, float *out)
{
    const gear__shape *shape = in->store->shape;
    const gear__side *side = in->side;
    if (!side->counts_bytes) {
        return;
    }
    uint32_t entries_k = gear__ref_load_word(in->segment, GEAR__SEGMENT_OUTLIERS_K);
    uint32_t entries_v = gear__ref_load_word(in->segment, GEAR__SEGMENT_OUTLIERS_V);
    int part = side->is_v ? 2 : 0;
    const uint8_t *indices = in->segment + gear__outlier_part(shape, in->cls, entries_k, entries_v, part);
    const uint8_t *deltas = in->segment + gear__outlier_part(shape, in->cls, entries_k, entries_v, part + 1);
    const uint8_t *counts = in->place.head + side->counts;
    uint16_t scale = side->delta_bits == 8 ? gear__ref_load_half(in->place.head + side->delta_scale, 0) : 0;
    uint32_t at = gear__ref_load_word(in->place.shared + shape->shared_bases, 2u * in->head + side->is_v);
    uint32_t per_token = gear__k_lists_per_token(shape->head_dim);
    uint32_t lists = side->is_v ? shape->head_dim : GEAR__BLOCK * per_token;
    for (uint32_t list = 0; list < lists; list++) {
        for (uint32_t i = 0; i < counts[list]; i++, at++) {
            uint32_t channel = side->is_v ? list : indices[at];
            if ((side->is_v ? indices[at] : list / per_token) == token) {
                out[channel] += side->delta_bits == 8 ? (float)(int8_t)deltas[at] * gear__float_from_half(scale)
                                                      : gear__float_from_half(gear__ref_load_half(deltas, at));
            }
        }
    }
}

static void read_compressed(reader *in, uint32_t token, float *out)
{
    const gear__shape *shape = in->store->shape;
    for (uint32_t c = 0; c < shape->head_dim; c++) {
        out[c] = gear__ref_dequantize(shape, in->side, in->cls, in->place, token, c);
        if (in->side->rank[in->cls]) {
            out[c] += gear__ref_lowrank(shape, in->side, in->cls, in->place, token, c);
        }
    }
    add_outliers(in, token, out);
}

/* Stored places to channels. */
static void unorder(float *x, uint32_t d, const uint8_t *order)
{
    float copy[256];
    memcpy(copy, x, d * sizeof *x);
    for (uint32_t i = 0; i < d; i++) {
        x[order[i]] = copy[i];
    }
}

static void unrotate(float *x, uint32_t d)
{
    float copy[256];
    memcpy(copy, x, d * sizeof *x);
    for (uint32_t first = 0, size; first < d; first += size) {
        size = gear__ref_rotation_part(d, first);
        for (uint32_t i = 0; i < size; i++) {
            float sum = 0;
            for (uint32_t j = 0; j < size; j++) {
                uint32_t sign = 0;
                for (uint32_t both = i & j; both; both &= both - 1) {
                    sign ^= 1;
                }
                sum += sign ? -copy[first + j] : copy[first + j];
            }
            x[first + i] = sum * gear__rotation_scale(size);
        }
    }
}

void gear__ref_reconstruct(const gear__ref_store *store, const uint32_t *seq, uint32_t is_v, uint32_t first, uint32_t count,
                           float *out)
{
    const gear__shape *shape = store->shape;
    const uint32_t *header = store->table + (size_t)seq[GEAR__SEQ_SLOT] * store->table_row_entries * GEAR__BLOCK_WORDS;
    const uint8_t *record = store->pool + (size_t)header[GEAR__HEADER_EXACT] * GEAR__GRANULE;
    const uint8_t *order = store->pool + (size_t)header[GEAR__HEADER_ORDER] * GEAR__GRANULE;
    reader in = {.store = store, .side = &shape->side[is_v]};
    for (uint32_t head = 0; head < shape->kv_heads; head++) {
        const uint32_t *entry = header + GEAR__BLOCK_WORDS, *end = entry + (size_t)seq[GEAR__SEQ_BLOCKS] * GEAR__BLOCK_WORDS;
        for (uint32_t i = 0; i < count; i++, out += shape->head_dim) {
            uint32_t position = first + i;
            if (position >= seq[GEAR__SEQ_FIRST]) {
                for (uint32_t c = 0; c < shape->head_dim; c++) {
                    out[c] = gear__float_from_half(store->window[gear__ref_ring_index(shape, seq, is_v, head, position, c)]);
                }
            } else if (position < header[GEAR__HEADER_TOKENS]) {
                size_t row = ((size_t)is_v * shape->kv_heads + head) * shape->exact_max + position;
                for (uint32_t c = 0; c < shape->head_dim; c++) {
                    out[c] = gear__float_from_half(gear__ref_load_half(record, row * shape->head_dim + c));
                }
            } else {
                while (entry < end && position - entry[GEAR__BLOCK_FIRST] >= GEAR__INFO_TOKENS(entry[GEAR__BLOCK_INFO])) {
                    entry += GEAR__BLOCK_WORDS;
                }
                open_block(&in, entry, head);
                read_compressed(&in, position - entry[GEAR__BLOCK_FIRST], out);
                if (in.side->ordered) {
                    unorder(out, shape->head_dim, order + (size_t)head * shape->head_dim);
                } else if (in.side->rotate) {
                    unrotate(out, shape->head_dim);
                }
            }
        }
    }
}
