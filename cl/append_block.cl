/* append_block: all that compressing a block takes where nothing but the channel order reaches beyond it: a work-group brings
 * the 64 tokens of one KV head and side from the window or the caller's tensor into local memory (append_0_gather), orders or
 * rotates them (append_1_transform), fits (append_2_range, append_2_fit), writes codes (append_3_quantize) and, where there is
 * a low-rank part, the residual. The same bits as those stages. Reference: src/ref/append_block.c.
 * Work-groups: (staging blocks, KV heads, sides from first_side on). */
#include "block_codes.clh"
#include "block_fit.clh"

#if !defined HEAD_DIM || !defined K_AXIS || !defined V_AXIS
#  error "HEAD_DIM, K_AXIS or V_AXIS is missing"
#endif

#define K_WEIGHTED (K_AXIS == 5 && (K_BITS_0 == 1 || K_BITS_1 == 1 || K_BITS_2 == 1 || K_BITS_3 == 1))

/* Scales at hand, as src/stage/append_tile.c counts them. */
#define TOKEN_SCALES(group) ((HEAD_DIM + (group)-1) / (group)*64)
#if K_AXIS == 1
#  define K_SCALES (64 / K_GROUP * HEAD_DIM)
#elif K_AXIS == 5
#  define K_SCALES HEAD_DIM
#else
#  define K_SCALES (K_AXIS == 0 ? 4 : TOKEN_SCALES(K_GROUP))
#endif
#define V_SCALES (V_AXIS == 0 ? 4 : TOKEN_SCALES(V_GROUP))
#define SCALES   (K_SCALES > V_SCALES ? K_SCALES : V_SCALES)
#define FIELDS   (HEAD_DIM > 64 * ((HEAD_DIM + 63) / 64) ? HEAD_DIM : 64 * ((HEAD_DIM + 63) / 64))
#define FLOATS   (V_ROTATE && GEAR_TURN_FLOATS > 8 * HEAD_DIM ? GEAR_TURN_FLOATS : 8 * HEAD_DIM)

/* What a work-group knows of its block. */
typedef struct gear_block {
    gear_block_rows rows;
    __global uchar *pool, *record; /* record: head part of the block */
    __global const uint *shape;
    uint offset, segment, cls, head, lid;
    __global ushort *exact_record;
    volatile __global uint *health;
    __global float *residual; /* or NULL */
    gear_tile tile;
    gear_block_fit fit;
} gear_block;

/* Called by a compile-time list of the channel segments. */
#define FOR_SEGMENTS(call)                                                                                                     \
  call(0u, K_BITS_0, 0u, K_CHANNELS_0, 0u);                                                                                    \
  if (K_CHANNELS_1) {                                                                                                          \
    call(1u, K_BITS_1, K_CHANNELS_0, K_CHANNELS_1, 2u * (K_CHANNELS_0 * K_BITS_0));                                            \
  }                                                                                                                            \
  if (K_CHANNELS_2) {                                                                                                          \
    call(2u, K_BITS_2, K_CHANNELS_0 + K_CHANNELS_1, K_CHANNELS_2, 2u * (K_CHANNELS_0 * K_BITS_0 + K_CHANNELS_1 * K_BITS_1));   \
  }                                                                                                                            \
  if (K_CHANNELS_3) {                                                                                                          \
    call(3u, K_BITS_3, K_CHANNELS_0 + K_CHANNELS_1 + K_CHANNELS_2, K_CHANNELS_3,                                               \
         2u * (K_CHANNELS_0 * K_BITS_0 + K_CHANNELS_1 * K_BITS_1 + K_CHANNELS_2 * K_BITS_2));                                  \
  }

#if K_WEIGHTED
GEAR__INLINE float gear_add_squares(float sum, float8 x)
{
    x *= x;
    return (((((((sum + x.s0) + x.s1) + x.s2) + x.s3) + x.s4) + x.s5) + x.s6) + x.s7;
}

GEAR__INLINE float gear_norm(float squares)
{
    return squares > 0.0f ? squares * gear_rsqrt(squares) : 0.0f;
}

/* Weights of the tokens in the fit of 1 bit (append_1_norms). v: the V that comes in with K. norms: [2][64]. */
GEAR__INLINE void gear_weigh_tokens(const gear_block *b, const gear_rows *v, GEAR_LOCAL float *norms, GEAR_LOCAL float *weights)
{
    const uint exact = min(gear_exact_in(&b->rows), 64u);
    for (uint t = b->lid; t < 64u; t += ITEMS) {
        float k = 0.0f, values = 0.0f;
        if (t >= exact && t < b->rows.tokens) {
#  pragma unroll 1
            for (uint c = 0; c < HEAD_DIM; c += 8u) {
                k = gear_add_squares(k, GEAR_FLOATS(8, b->tile.halves + t * GEAR_PITCH_K + c));
                values = gear_add_squares(values, gear_unpack8(gear_clean8(gear_read8(v, b->rows.first + t, c), 0, 0u)));
            }
        }
        norms[t] = gear_norm(k);
        norms[64u + t] = gear_norm(values);
    }
    GEAR_BARRIER();
    float sum_k = 0.0f, sum_v = 0.0f;
    for (uint t = 0; t < 64u; t++) { /* zeros of the others change no sum */
        sum_k += norms[t];
        sum_v += norms[64u + t];
    }
    const uint count = max(b->rows.tokens, exact + 1u) - exact;
    const float inverse = gear_inverse_count(count), mean = (sum_k * inverse) * (sum_v * inverse);
    const uint is_usable = sum_k > 0.0f && sum_v > 0.0f;
    for (uint t = b->lid; t < 64u; t += ITEMS) {
        const float norm = is_usable ? (norms[t] * norms[64u + t]) * gear_reciprocal(mean) + 1e-4f : 1.0f;
        weights[t] = is_usable && t >= exact && t < b->rows.tokens ? clamp(gear_reciprocal(norm), 0.01f, 1000.0f) : 1.0f;
    }
}
#endif

#if K_AXIS == 5
/* Pairs of K under the super scales of each channel segment. */
GEAR__INLINE void gear_fit_mixed_channels(const gear_block *b, GEAR_LOCAL const float *weights)
{
    const gear_block_fit *f = &b->fit;
    __global const uint *side = b->shape + GEAR_SIDE(0u);
    gear_ranges_of_channels(f);
    GEAR_BARRIER();
    gear_fit_channels(f, side, K_WEIGHTED, weights);
    GEAR_BARRIER();
    gear_find_extremes(f, HEAD_DIM);
    GEAR_BARRIER();
    __global ushort *supers = (__global ushort *)(b->record + side[GEAR__SIDE_SUPERS]);
    for (uint s = b->lid; s < side[GEAR__SIDE_SEGMENTS]; s += ITEMS) {
        uint first = 0u, count = (side[GEAR__SIDE_SEGMENT + s] & 0xffffu) / 16u;
        for (uint i = 0; i < s; i++) {
            first += (side[GEAR__SIDE_SEGMENT + i] & 0xffffu) / 16u;
        }
        float most = f->parts[first], least = f->parts[16u + first], highest = f->parts[32u + first];
        for (uint i = first + 1u; i < first + count; i++) {
            most = max(most, f->parts[i]);
            least = min(least, f->parts[16u + i]);
            highest = max(highest, f->parts[32u + i]);
        }
        const uint zero = gear_half_saturate(least);
        const uint3 found = (uint3)(gear_super(most), zero, gear_super(fmax(highest - gear_float_from_half(zero), 0.0f)));
        f->supers[3u * s] = supers[3u * s] = (ushort)found.x;
        f->supers[3u * s + 1u] = supers[3u * s + 1u] = (ushort)found.y;
        f->supers[3u * s + 2u] = supers[3u * s + 2u] = (ushort)found.z;
    }
    GEAR_BARRIER();
    for (uint c = b->lid; c < HEAD_DIM; c += ITEMS) {
        const gear_segment_view segment = gear_segment_of(side, c);
        GEAR_LOCAL const ushort *super = f->supers + 3u * segment.index;
        const uint field = gear_field_k(f->step[c], f->low[c], super[0], super[1], super[2]);
        const float s = (float)(field & 63u) * gear_float_from_half(super[0]);
        const float z = fma((float)(field >> 6), gear_float_from_half(super[2]), gear_float_from_half(super[1]));
        f->fields[c] = (ushort)field;
        gear_keep_levels(f, c, (float2)(s, z), segment.bits);
    }
    GEAR_BARRIER();
    __global uint *out = (__global uint *)(b->record + side[GEAR__SIDE_PAIRS]);
    for (uint i = b->lid; i < HEAD_DIM * 12u / 32u; i += ITEMS) {
        out[i] = gear_field_word(f->fields, 12u, HEAD_DIM, i);
    }
}
#endif

GEAR__INLINE gear_block_codes gear_codes_of(const gear_block *b, uint is_v)
{
    const gear_block_codes e = {
        b->tile.halves, b->tile.pitch,
        b->rows.tokens, b->lid,
        b->fit.low,     b->fit.step,
        b->fit.inverse, (__global uint *)(b->record + b->shape[GEAR_SIDE(is_v) + GEAR__SIDE_CODES]),
        b->residual,    gear_exact_in(&b->rows),
    };
    return e;
}

GEAR__INLINE void gear_block_k(const gear_block *b, const gear_rows *v, GEAR_LOCAL uchar *places, GEAR_LOCAL float *weights)
{
    const gear_block_codes e = gear_codes_of(b, 0u);
#if K_AXIS == 5
    const uint to = GEAR_TO_PLACES;
    __global const uint *header = b->rows.header;
    __global const uchar *order = gear_record(b->pool, header[GEAR__HEADER_ORDER]) + b->head * HEAD_DIM;
    for (uint i = b->lid; i < HEAD_DIM; i += ITEMS) {
        places[order[i]] = (uchar)i;
    }
    GEAR_BARRIER();
#else
    const uint to = GEAR_TO_TILE;
    (void)places;
#endif
    (void)v; /* for the weights alone */
    (void)weights;
    gear_load_rows(&b->rows, &b->tile, to, 0u, 64u, 1u, b->exact_record, b->health, b->lid);
    GEAR_BARRIER();
#if K_AXIS == 0
    gear_copy_k(&e);
#else
#  if K_AXIS == 5
#    if K_WEIGHTED
    gear_weigh_tokens(b, v, (GEAR_LOCAL float *)b->fit.ranges, weights);
    GEAR_BARRIER();
#    endif
    gear_fit_mixed_channels(b, weights);
#  else
    const gear_pairs p = gear_pairs_of(b->pool, b->shape, 0u, HEAD_DIM, b->offset, b->segment, b->cls, b->head);
#    if K_AXIS == 1
    gear_fit_channel_groups(&b->fit, &p, K_GROUP, K_BITS_0);
#    else
    gear_fit_token_groups(&b->fit, &p, K_GROUP, K_BITS_0);
#    endif
#  endif
    GEAR_BARRIER();
#  define ENCODE(segment, bits, first, channels, words)                                                                        \
    gear_encode_k(&e, bits, first, channels, words, K_AXIS == 2, K_AXIS == 5 ? 64u : K_GROUP)
    FOR_SEGMENTS(ENCODE)
#endif
}

GEAR__INLINE void gear_block_v(const gear_block *b)
{
    const gear_block_codes e = gear_codes_of(b, 1u);
#if V_ROTATE
    gear_load_turned(&b->rows, &b->tile, 1u, b->exact_record, b->health, b->lid);
#else
    gear_load_rows(&b->rows, &b->tile, GEAR_TO_TILE, 0u, 64u, 1u, b->exact_record, b->health, b->lid);
#endif
    GEAR_BARRIER();
#if V_AXIS == 0
    gear_copy_v(&e);
#else
#  if V_AXIS == 6
    gear_fit_mixed_tokens(&b->fit, b->record, b->shape + GEAR_SIDE(1u), V_BITS, V_NORMAL);
#  else
    const gear_pairs p = gear_pairs_of(b->pool, b->shape, 1u, HEAD_DIM, b->offset, b->segment, b->cls, b->head);
    gear_fit_token_groups(&b->fit, &p, V_GROUP, V_BITS);
#  endif
    GEAR_BARRIER();
    gear_encode_v(&e, V_BITS, V_NORMAL, V_GROUP);
#endif
}

/* What a work-group shares, and what K and V come from. */
typedef struct gear_block_memory {
    GEAR_LOCAL ushort *halves;
    GEAR_LOCAL float *floats, *low, *step, *inverse, *parts, *weights;
    GEAR_LOCAL ushort *supers, *fields;
    GEAR_LOCAL uchar *places;
} gear_block_memory;

/* is_v is a compile-time constant. */
GEAR__INLINE gear_block gear_block_of(const gear_block_memory *m, __global const uint *shape, __global uchar *pool,
                                      __global const uint *table, __global const uint *job, __global const uint *header,
                                      const gear_rows *rows, __global float *r, uint num_rows, volatile __global uint *health,
                                      uint row_block, uint head, uint is_v, uint lid)
{
    __global const uint *place = gear_entry_of(table, job, row_block);
    const uint pitch = is_v ? GEAR_PITCH_V : GEAR_PITCH_K;
    gear_block b;
    b.lid = lid;
    b.head = head;
    b.shape = shape;
    b.pool = pool;
    b.cls = job[GEAR__JOB_CLASS];
    b.offset = place[GEAR__BLOCK_OFFSET];
    b.segment = place[GEAR__BLOCK_SEGMENT];
    b.record = gear_block_head(pool, shape, b.offset, b.cls, head);
    b.health = health;
    b.exact_record = (__global ushort *)gear_record(pool, header[GEAR__HEADER_EXACT]) +
                     (ulong)((is_v * shape[GEAR__SHAPE_KV_HEADS] + head) * shape[GEAR__SHAPE_EXACT_MAX]) * HEAD_DIM;
    b.residual =
        shape[GEAR_SIDE(is_v) + GEAR__SIDE_RANK + b.cls] ? r + ((ulong)head * num_rows + row_block * 64ul) * HEAD_DIM : 0;
    b.rows = gear_block_rows_of(rows, job, header, row_block - job[GEAR__JOB_ROW] / 64u);
    b.fit = (gear_block_fit){m->halves, pitch,      b.rows.tokens, lid,       m->floats, m->low,
                             m->step,   m->inverse, m->parts,      m->supers, m->fields};
    b.tile = (gear_tile){m->halves, m->floats, m->places, pitch};
    return b;
}

/* k, v: the callers' tensors. */
GEAR_OUTLINE void gear_append_block(const gear_block_memory *m, __global const uint *shape, __global uchar *pool,
                                    __global const uint *table, __global const uint *seqs, __global const uint *jobs,
                                    __global const uint *row_jobs, __global const ushort *window, const gear_tensor *k,
                                    const gear_tensor *v, uint num_rows, __global float *r, volatile __global uint *health,
                                    uint row_block, uint head, uint is_v, uint lid)
{
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    const uint entry = job[GEAR__JOB_ENTRY];
    __global const uint *header =
        table + (ulong)seqs[entry * GEAR__SEQ_WORDS + GEAR__SEQ_SLOT] * shape[GEAR__SHAPE_TABLE_ROW] * GEAR__BLOCK_WORDS;
    if (is_v) {
        const gear_rows rows = gear_rows_of(shape, seqs, window, v, entry, 1u, head);
        const gear_block b =
            gear_block_of(m, shape, pool, table, job, header, &rows, r, num_rows, health, row_block, head, 1u, lid);
        gear_block_v(&b);
        return;
    }
    if (row_block * 64u == job[GEAR__JOB_ROW] && head == 0u && lid == 0u) {
        __global uint *segment = (__global uint *)gear_record(pool, job[GEAR__JOB_SEGMENT]);
        segment[GEAR__SEGMENT_TOKENS] = job[GEAR__JOB_TOKENS];
        segment[GEAR__SEGMENT_BLOCKS] = job[GEAR__JOB_BLOCKS];
        segment[GEAR__SEGMENT_OUTLIERS_K] = 0u;
        segment[GEAR__SEGMENT_OUTLIERS_V] = 0u;
    }
    const gear_rows rows = gear_rows_of(shape, seqs, window, k, entry, 0u, head);
    const gear_rows v_rows = gear_rows_of(shape, seqs, window, v, entry, 1u, head);
    const gear_block b =
        gear_block_of(m, shape, pool, table, job, header, &rows, r, num_rows, health, row_block, head, 0u, lid);
    gear_block_k(&b, &v_rows, m->places, m->weights);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_block(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, __global const uint *row_jobs, __global const ushort *window, __global const uchar *k,
    ulong k_offset, ulong k_stride_seq, ulong k_stride_head, ulong k_stride_token, uint k_type, __global const uchar *v,
    ulong v_offset, ulong v_stride_seq, ulong v_stride_head, ulong v_stride_token, uint v_type, uint num_rows,
    __global float *r, volatile __global uint *health, uint first_side)
{
    GEAR_LOCAL ushort halves[64 * GEAR_PITCH] __attribute__((aligned(16)));
    GEAR_LOCAL float floats[FLOATS] __attribute__((aligned(16))), low[SCALES] __attribute__((aligned(16)));
    GEAR_LOCAL float step[SCALES] __attribute__((aligned(16))), inverse[SCALES] __attribute__((aligned(16)));
    GEAR_LOCAL float parts[48], weights[64];
    GEAR_LOCAL ushort supers[12], fields[FIELDS];
    GEAR_LOCAL uchar places[HEAD_DIM] __attribute__((aligned(8)));
    const gear_block_memory memory = {halves, floats, low, step, inverse, parts, weights, supers, fields, places};
    const gear_tensor k_tensor = {k + k_offset, k_stride_seq, k_stride_head, k_stride_token, k_type};
    const gear_tensor v_tensor = {v + v_offset, v_stride_seq, v_stride_head, v_stride_token, v_type};
    gear_append_block(&memory, shape, pool, table, seqs, jobs, row_jobs, window, &k_tensor, &v_tensor, num_rows, r, health,
                      (uint)get_group_id(0), (uint)get_group_id(1), (uint)get_group_id(2) + first_side, (uint)get_local_id(0));
}
