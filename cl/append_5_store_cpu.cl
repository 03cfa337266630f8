/* append_5_store_cpu: append_5_store for CPU devices: the same kernels, arguments and results, with one work-item each: one for
 * each (staging block, KV head), or for each job. Reference: src/ref/append_5_store.c. */
#include "decode.clh"
#include "exact.clh"
#include "lanes.clh"
#include "marks.clh"
#include "vectors.clh"

#if !defined HEAD_DIM || !defined IS_V || !defined BITS
#  error "HEAD_DIM, IS_V or BITS is missing"
#endif

#define LISTS_PER_TOKEN ((HEAD_DIM + 127) / 128)
#define LISTS           (IS_V ? HEAD_DIM : 64 * LISTS_PER_TOKEN)
#define LIST_VECTORS    (HEAD_DIM / LISTS_PER_TOKEN / 16) /* of 16 channels, in a list of K */

GEAR_CODES(gear_delta_codes, 8)

/* Outliers of 16 values. */
GEAR__INLINE uchar16 gear_marks16(__global const uchar *mask)
{
    return vload16(0, mask) & (uchar16)(GEAR__MASK_OUTLIER);
}

/* Lengths of the lists of a block; returns their sum. */
static __attribute__((noinline)) uint gear_count_lists(__global const uchar *mask, __global uchar *counts)
{
    uint total = 0u;
#if IS_V
#  pragma unroll 1
    for (uint channel = 0; channel < HEAD_DIM; channel += 16u) {
        uchar16 sum = 0;
#  pragma unroll 4
        for (uint token = 0; token < 64u; token++) {
            sum += gear_marks16(mask + token * HEAD_DIM + channel);
        }
        vstore16(sum, 0, counts + channel);
        total += gear_sum_ushort16(convert_ushort16(sum));
    }
#else
#  pragma unroll 1
    for (uint list = 0; list < LISTS; list++) {
        uchar16 sum = 0;
#  pragma unroll
        for (uint i = 0; i < LIST_VECTORS; i++) {
            sum += gear_marks16(mask + (list * LIST_VECTORS + i) * 16u);
        }
        const uint count = gear_sum_ushort16(convert_ushort16(sum));
        counts[list] = (uchar)count;
        total += count;
    }
#endif
    return total;
}

/* Counts the entries of each list. The total goes to the base word. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_5_count_cpu(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const uchar *mask)
{
    const uint row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    const uint block = gear_entry_of(table, job, row_block)[GEAR__BLOCK_OFFSET];
    __global uchar *counts =
        gear_block_head(pool, shape, block, job[GEAR__JOB_CLASS], head) + shape[GEAR_SIDE(IS_V) + GEAR__SIDE_COUNTS];
    *gear_base_of(pool, shape, block, head, IS_V) =
        gear_count_lists(mask + ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM, counts);
}

/* Turns the totals of a segment into exclusive sums, head after head, and writes the segment header. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_5_bases_cpu(__global const uint *shape,
                                                                                       __global uchar *pool,
                                                                                       __global const uint *table,
                                                                                       __global const uint *jobs)
{
    __global const uint *job = jobs + (uint)get_group_id(0) * GEAR__JOB_WORDS;
    const uint blocks = job[GEAR__JOB_BLOCKS], heads = shape[GEAR__SHAPE_KV_HEADS];
    uint before = 0u;
    table += job[GEAR__JOB_TABLE] * (ulong)GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET;
#pragma unroll 1
    for (uint head = 0; head < heads; head++) {
#pragma unroll 1
        for (uint i = 0; i < blocks; i++) {
            __global uint *base = gear_base_of(pool, shape, table[i * GEAR__BLOCK_WORDS], head, IS_V);
            const uint total = *base;
            *base = before;
            before += total;
        }
    }
    __global uint *header = (__global uint *)gear_record(pool, job[GEAR__JOB_SEGMENT]);
    header[GEAR__SEGMENT_OUTLIERS_K + IS_V] = before;
}

/* Places of the outliers of a block, token x HEAD_DIM + channel, list after list. counts: lengths of the lists of V, which go
 * by channel. */
GEAR__INLINE uint gear_list_entries(__global const uchar *mask, __global const uchar *counts, ushort *entries)
{
#if IS_V
    ushort places[GEAR_MOST_PLACES], next[HEAD_DIM];
    const uint count = gear_list_marks(mask, places);
    uint sum = 0u;
#  pragma unroll 1
    for (uint i = 0; i < HEAD_DIM; i++) {
        next[i] = (ushort)sum;
        sum += counts[i];
    }
#  pragma unroll 1
    for (uint n = 0; n < count; n++) {
        entries[next[places[n] % HEAD_DIM]++] = places[n];
    }
    return count;
#else
    (void)counts;
    return gear_list_marks(mask, entries);
#endif
}

/* A block whose entries are written. */
typedef struct gear_store_block {
    gear_block_view view;
    __global const ushort *x; /* this and mask: of the block */
    __global const uchar *mask, *counts;
    __global uchar *indices, *deltas; /* of its first entry */
    __global ushort *scale;           /* of deltas of 8 bits, or NULL */
} gear_store_block;

#define FACTORS (64u + HEAD_DIM)

/* A column of factors as floats. */
GEAR__INLINE void gear_load_column(__global const uchar *column, uint count, uint bits, float scale, float *to)
{
#pragma unroll 1
    for (uint i = 0; i < count; i += 8u) {
        if (bits == 16u) {
            vstore8(vload_half8(0, (__global const half *)column + i), 0, to + i);
        } else {
#pragma unroll 1
            for (uint n = i; n < i + 8u; n++) {
                to[n] = gear_factor(column, n, bits, scale);
            }
        }
    }
}

/* Factors of the block and its segment: [column][64 tokens, HEAD_DIM channels]. */
GEAR__INLINE void gear_load_factors(const gear_block_view *v, float *factors)
{
#pragma unroll 1
    for (uint j = 0; j < v->rank; j++) {
        float *column = factors + j * FACTORS;
        gear_load_column(gear_column_a(v, j), 64u, v->bits, gear_scale_a(v, j), column);
        gear_load_column(gear_column_b(v, j, HEAD_DIM), HEAD_DIM, v->bits, gear_scale_b(v, j), column + 64u);
    }
}

/* What D + L leaves of the marked value x. */
GEAR__INLINE float gear_rest_of(const gear_store_block *b, const float *factors, float x, uint place)
{
    const uint token = place / HEAD_DIM, channel = place % HEAD_DIM;
    float sum = 0.0f;
#pragma unroll 1
    for (uint j = 0; j < b->view.rank; j++) {
        sum = fma(factors[j * FACTORS + token], factors[j * FACTORS + 64u + channel], sum);
    }
    return x - gear_marked_backbone(&b->view, IS_V, BITS, token, channel) - sum;
}

/* Deltas as halves. */
GEAR__INLINE void gear_put_halves(const float8 *rest, uint count, __global ushort *deltas)
{
#pragma unroll 1
    for (uint i = 0; 8u * i < count; i++) {
        const ushort8 h = gear_halves8(clamp(rest[i], -65504.0f, 65504.0f)); /* clamping first saturates alike */
        if (8u * i + 8u <= count) {
            vstore8(h, i, deltas);
        } else {
            ushort last[8];
            vstore8(h, 0, last);
#pragma unroll 1
            for (uint n = 8u * i; n < count; n++) {
                deltas[n] = last[n % 8u];
            }
        }
    }
}

/* Deltas as codes of 8 bits under one scale. */
GEAR__INLINE void gear_put_codes(const float8 *rest, uint count, __global char *deltas, __global ushort *scale)
{
    float8 largest = 0.0f;
#pragma unroll 1
    for (uint i = 0; 8u * i < count; i++) {
        largest = max(largest, fabs(rest[i]));
    }
    const uint scale_bits = gear_half_saturate(gear_max8(largest) * 0x1.020408p-7f);
    const float step = gear_float_from_half(scale_bits), inverse = scale_bits ? gear_inverse(scale_bits) : 0.0f;
    *scale = (ushort)scale_bits;
#pragma unroll 1
    for (uint i = 0; 8u * i < count; i++) {
        const float8 code = gear_delta_codes(fabs(rest[i]), (float8)(step), (float8)(inverse), 127.0f) - GEAR_ROUNDER;
        char last[8];
        vstore8(convert_char8(rest[i] < 0.0f ? -code : code), 0, last);
#pragma unroll 1
        for (uint n = 8u * i; n < min(8u * i + 8u, count); n++) {
            deltas[n] = last[n % 8u];
        }
    }
}

static __attribute__((noinline)) void gear_store_entries(const gear_store_block *b)
{
    ushort entries[GEAR_MOST_PLACES];
    ushort values[64 * HEAD_DIM];
    float8 rest[8 * HEAD_DIM];
    float factors[GEAR__MAX_RANK * FACTORS];
    const uint count = gear_list_entries(b->mask, b->counts, entries);
    gear_load_factors(&b->view, factors);
    rest[count ? (count - 1u) / 8u : 0u] = 0.0f; /* lanes without an entry */
#pragma unroll 4
    for (uint n = 0; n < count; n++) { /* a loop of its own: many reads from far away are under way at once */
        values[n] = b->x[entries[n]];
    }
#pragma unroll 1
    for (uint n = 0; n < count; n++) {
        ((float *)rest)[n] = gear_rest_of(b, factors, vload_half(n, (const half *)values), entries[n]);
        b->indices[n] = (uchar)(IS_V ? entries[n] / HEAD_DIM : entries[n] % HEAD_DIM);
    }
    if (b->scale) {
        gear_put_codes(rest, count, (__global char *)b->deltas, b->scale);
    } else {
        gear_put_halves(rest, count, (__global ushort *)b->deltas);
    }
}

/* Writes the entries. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_append_5_store_cpu(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask)
{
    const uint row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *side = shape + GEAR_SIDE(IS_V), *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    const uint block = entry[GEAR__BLOCK_OFFSET], segment = entry[GEAR__BLOCK_SEGMENT], cls = job[GEAR__JOB_CLASS];
    const uint base = *gear_base_of(pool, shape, block, head, IS_V), is_short = side[GEAR__SIDE_OUTLIERS] == 8u;
    const ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    __global uchar *record = gear_block_head(pool, shape, block, cls, head), *lists = gear_record(pool, segment);
    const gear_store_block b = {gear_view_block(pool, shape, IS_V, HEAD_DIM, block, segment, cls, head),
                                x + at,
                                mask + at,
                                record + side[GEAR__SIDE_COUNTS],
                                lists + job[GEAR__JOB_PARTS + 2u * IS_V] + base,
                                lists + job[GEAR__JOB_PARTS + 2u * IS_V + 1u] + (is_short ? 1u : 2u) * base,
                                is_short ? (__global ushort *)(record + side[GEAR__SIDE_DELTA_SCALE]) : 0};
    gear_store_entries(&b);
}
