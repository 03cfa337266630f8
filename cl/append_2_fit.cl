/* append_2_fit: scales and zeros of the mixed backbone: fitted by group, then stored in 6 + 6 bits (K) or 6 + 4 bits (V) under
 * the super scales of the block. Convention: docs/design.md, rule 11. Reference: src/ref/append_2_fit.c. 64 work-items for each
 * (staging block, KV head). */
#include "fit.clh"

#if !defined HEAD_DIM || !defined IS_V
#  error "HEAD_DIM or IS_V is missing"
#endif

#if IS_V
#  define GROUPS (64 * ((HEAD_DIM + 63) / 64)) /* [channel group][token] */
#else
#  define GROUPS HEAD_DIM
#endif

/* s and z of one group of values `stride` apart, by the level count: all of the range at 8 and more levels, 0.88 of it at 4,
 * least squares at 2, weighted by tokens (two rounds from three starts; the sums in order, so that they are the same
 * everywhere). weights: as far apart as the values. */
GEAR__INLINE float2 gear_fit(__global const ushort *x, __global const uchar *mask, __global const float *weights, uint count,
                             uint stride, uint bits)
{
    float lo = 0.0f, hi = 0.0f, sum = 0.0f, all = 0.0f;
    uint kept = 0u;
    for (uint i = 0; i < count; i++) {
        if (mask[i * stride] & (GEAR__MASK_OUTLIER | GEAR__MASK_PADDING)) {
            continue;
        }
        float value = gear_float_from_half(x[i * stride]) + 0.0f, weight = bits == 1u ? weights[i * stride] : 0.0f;
        lo = kept ? fmin(lo, value) : value;
        hi = kept ? fmax(hi, value) : value;
        sum += weight * value;
        all += weight;
        kept++;
    }
    float2 best = gear_fit_range(lo, hi, bits);
    if (bits != 1u || !kept) {
        return best;
    }
    const float middle = best.y, range = best.x;
    float mean = sum * gear_reciprocal(all), best_error = 0.0f;
    for (uint start = 0; start < 3u; start++) {
        float s = range * (start == 0u ? 0.5f : start == 1u ? 0.65f : 0.8f), z = 0.5f * (middle + mean), error = 0.0f;
        for (uint round = 0; round < 3u; round++) { /* two refits; the third pass measures */
            float above = 0.0f, above_sum = 0.0f, below = 0.0f, below_sum = 0.0f;
            error = 0.0f;
            for (uint i = 0; i < count; i++) {
                if (mask[i * stride] & (GEAR__MASK_OUTLIER | GEAR__MASK_PADDING)) {
                    continue;
                }
                float value = gear_float_from_half(x[i * stride]) + 0.0f, weight = weights[i * stride];
                uint up = value > z;
                float miss = value - z - (up ? s : -s), part = weight * value;
                above += up ? weight : 0.0f;
                above_sum += up ? part : 0.0f;
                below += up ? 0.0f : weight;
                below_sum += up ? 0.0f : part;
                error += weight * (miss * miss);
            }
            if (round < 2u && above > 0.0f && below > 0.0f) {
                /* two clusters: z + s and z - s are their means */
                float high = above_sum * gear_reciprocal(above), low = below_sum * gear_reciprocal(below);
                s = (high - low) * 0.5f;
                z = (high + low) * 0.5f;
                s = s > 1e-7f ? s : range;
            }
        }
        if (start == 0u || error < best_error) {
            best_error = error;
            best = (float2)(s, z);
        }
    }
    return best;
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_append_2_fit(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *jobs,
    __global const uint *row_jobs, uint num_rows, __global const ushort *x, __global const uchar *mask, __global const float *r)
{
    __local float s[GROUPS], z[GROUPS];
    uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *side = shape + GEAR_SIDE(IS_V);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    __global const uint *entry = gear_entry_of(table, job, row_block);
    __global uchar *record = gear_block_head(pool, shape, entry[GEAR__BLOCK_OFFSET], job[GEAR__JOB_CLASS], head);
    __global ushort *supers = (__global ushort *)(record + side[GEAR__SIDE_SUPERS]);
    __global uchar *pairs = record + side[GEAR__SIDE_PAIRS];
    ulong at = ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    for (uint i = lid; i < GROUPS; i += 64u) {
#if IS_V
        uint first = i / 64u * 64u, count = min(64u, HEAD_DIM - first);
        ulong start = at + (i % 64u) * HEAD_DIM + first;
        float2 fit = gear_fit(x + start, mask + start, r, count, 1u, side[GEAR__SIDE_BITS]);
#else
        float2 fit = gear_fit(x + at + i, mask + at + i, r + at, 64u, HEAD_DIM, gear_segment_of(side, i).bits);
#endif
        s[i] = fit.x;
        z[i] = fit.y;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#if IS_V
    if (lid == 0u) {
        float most = 0.0f;
        for (uint i = 0; i < GROUPS; i++) {
            most = fmax(most, s[i]);
        }
        supers[0] = (ushort)gear_super(most);
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    /* four pairs of 10 bits in five bytes */
    for (uint i = lid; i < GROUPS / 4; i += 64u) {
        ulong word = 0ul;
        for (uint k = 0; k < 4u; k++) {
            word |= (ulong)gear_field_v(s[4u * i + k], z[4u * i + k], supers[0]) << (10u * k);
        }
        for (uint k = 0; k < 5u; k++) {
            pairs[5u * i + k] = (uchar)(word >> (8u * k));
        }
    }
#else
    if (lid < side[GEAR__SIDE_SEGMENTS]) {
        uint first = 0u, channels = side[GEAR__SIDE_SEGMENT + lid] & 0xffffu;
        for (uint i = 0; i < lid; i++) {
            first += side[GEAR__SIDE_SEGMENT + i] & 0xffffu;
        }
        float most = s[first], least = z[first], highest = z[first];
        for (uint i = first; i < first + channels; i++) {
            most = fmax(most, s[i]);
            least = fmin(least, z[i]);
            highest = fmax(highest, z[i]);
        }
        uint zero = gear_half_saturate(least);
        supers[3u * lid] = (ushort)gear_super(most);
        supers[3u * lid + 1u] = (ushort)zero;
        supers[3u * lid + 2u] = (ushort)gear_super(fmax(highest - gear_float_from_half(zero), 0.0f));
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    /* two pairs of 12 bits in three bytes; segments start at even channels */
    for (uint i = lid; i < HEAD_DIM / 2; i += 64u) {
        __global const ushort *super = supers + 3u * gear_segment_of(side, 2u * i).index;
        uint word = 0u;
        for (uint k = 0; k < 2u; k++) {
            word |= gear_field_k(s[2u * i + k], z[2u * i + k], super[0], super[1], super[2]) << (12u * k);
        }
        for (uint k = 0; k < 3u; k++) {
            pairs[3u * i + k] = (uchar)(word >> (8u * k));
        }
    }
#endif
}
