/* attend_1_partial_nvidia: attend_1_partial for NVIDIA's tensor cores (sm_80 and later): the same arguments and the same
 * partial results, with 16-bit operands and float32 sums. A warp owns a block at a time: 64 tokens x one KV head x up to 8
 * query rows. It copies the next block to local memory (cp.async) while it multiplies bare codes of the present one; scales of
 * K are folded into the queries, scales of V into the probabilities, zeros and the low-rank part take a few products more. A
 * work-group of NV_WARPS warps serves one split. Reference: src/ref/attend_1_partial.c; what was measured: docs/kernels.md.
 * Range: 32 NV_WARPS work-items for each (split, KV head x row tile, sequence). */

#if !defined HEAD_DIM || !defined NV_WARPS || !defined NV_DIRECT || !defined K_SCALES || !defined V_SCALES || !defined V_GROUP
#  error "HEAD_DIM, NV_WARPS, NV_DIRECT, K_SCALES, V_SCALES or V_GROUP is missing"
#endif

#include "attend_nvidia_dense.clh"
#include "attend_nvidia_outliers.clh"
#include "attend_nvidia_rows.clh"

/* What of a block is copied to local memory: its head part (from HEAD_SKIP on, where codes are read directly), V's pairs of the
 * shared part, and the segment's head part when the segment opens. */
#define STAGE_HEAD    (NV_MOST(HEAD_BYTES_0, HEAD_BYTES_1) - HEAD_SKIP)
#define STAGE_SHARED  (V_SCALES == NV_SCALES_SHARED ? 256 : 0)
#define STAGE_SEGMENT NV_MOST(SEGMENT_BYTES_0, SEGMENT_BYTES_1)
#define STAGE         (STAGE_HEAD + STAGE_SHARED + STAGE_SEGMENT)
#define RING          NV_MOST(NV_MOST(2 * STAGE, DENSE_BYTES), 4 * ROWS * HEAD_DIM)

/* Starts the copy of `most` bytes or, where that is less, `bytes`, both multiples of 16. */
GEAR__INLINE void nv_stage_part(__global const uchar *from, uint most, uint bytes, uint to, uint lane)
{
#pragma unroll
    for (uint i = 0; i < (most + 511u) / 512u; i++) {
        const uint at = 512u * i + 16u * lane;
        if (at < bytes) {
            nv_copy_16(to + at, from + at);
        }
    }
}

/* Starts the copy of the head part of a segment. */
GEAR__INLINE void nv_stage_segment(__global uchar *pool, uint4 entry, uint head, uint to, uint lane)
{
    const uint bytes = GEAR__INFO_CLASS(entry.w) ? SEGMENT_BYTES_1 : SEGMENT_BYTES_0;
    nv_stage_part(gear_record(pool, entry.y) + SEGMENT_FIRST + head * bytes, STAGE_SEGMENT, bytes, to, lane);
}

/* Starts the copy of a block; `opens`: with its segment. */
GEAR__INLINE void nv_stage(__global uchar *pool, uint4 entry, uint head, uint opens, uint to, uint lane)
{
    const uint bytes = GEAR__INFO_CLASS(entry.w) ? HEAD_BYTES_1 : HEAD_BYTES_0;
    __global const uchar *record = gear_record(pool, entry.x);
    nv_stage_part(record + HEAD_FIRST + head * bytes + HEAD_SKIP, STAGE_HEAD, bytes - HEAD_SKIP, to, lane);
    nv_stage_part(record + V_SHARED_PAIRS, STAGE_SHARED, STAGE_SHARED, to + STAGE_HEAD, lane);
    if (STAGE_SEGMENT && opens) {
        nv_stage_segment(pool, entry, head, to + STAGE_HEAD + STAGE_SHARED, lane);
    }
}

__kernel __attribute__((reqd_work_group_size(32 * NV_WARPS, 1, 1))) void gear_k_attend_1_partial_nvidia(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs, uint advance,
    __global const ushort *window, __global const ulong *call, __global const uchar *q, ulong q_offset,
    __global const uchar *tail_k, ulong tail_k_offset, __global const uchar *tail_v, ulong tail_v_offset, float scale,
    float soft_cap, uint query_heads, uint row_tiles, __global float *partial, __global float *softmax)
{
    __local uint4 ring[NV_WARPS][RING / 16];
    __local uint4 queries[ROWS * QUERY_PITCH];
#if K_MIXED
    __local uint4 stored_queries[ROWS * QUERY_PITCH];
#endif
#if K_OUTLIERS
    __local float query_table[HEAD_DIM * ROWS] __attribute__((aligned(32))); /* [channel][8] */
#endif
#if K_OUTLIERS || V_OUTLIERS
    __local float exchange[NV_WARPS][EXCHANGE] __attribute__((aligned(32)));
#endif
#if V_OUTLIERS
    __local uint p_table[NV_WARPS][64 * ROWS / 2] __attribute__((aligned(16)));
#endif
    __local ushort fold[NV_WARPS][FOLD ? FOLD : 8] __attribute__((aligned(16)));
    __local ushort constants[16] __attribute__((aligned(16))); /* 8 zeros, 8 ones */
    __local float up[ROWS], reference[NV_WARPS][ROWS], total[NV_WARPS][ROWS];
#if V_ROTATE
    __local float parked[ROWS];
    __local uint plain[NV_WARPS]; /* warps whose sums are of dense tiles alone, which are not rotated */
#endif

    const uint lid = (uint)get_local_id(0), warp = lid / 32u, lane = lid % 32u, row = lane >> 2, quarter = lane & 3u;
    const uint split = (uint)get_group_id(0), splits = (uint)get_num_groups(0);
    const uint head = (uint)get_group_id(1) / row_tiles, row0 = (uint)get_group_id(1) % row_tiles * ROWS;
    const uint entry = (uint)get_group_id(2), group = query_heads / shape[GEAR__SHAPE_KV_HEADS];
    const gear_sequence_view s = gear_view_sequence(shape, table, seqs, entry, advance);
    const uint rows = s.queries * group;
    if (row0 >= rows) {
        return;
    }

    /* This warp's tiles: a run of the split's. */
    const uint per = (s.tiles + splits - 1u) / splits, low = min(split * per, s.tiles), high = min(low + per, s.tiles);
    const uint each = (high - low + NV_WARPS - 1u) / NV_WARPS, first = min(low + warp * each, high),
               end = min(first + each, high);
    const uint last_block = min(end, s.blocks);
    __global const uint4 *entries = (__global const uint4 *)(s.row + GEAR__BLOCK_WORDS);
    const uint ring_at = nv_address(ring[warp]);
    uint4 now = (uint4)(0u), next = (uint4)(0u);
    if (first < last_block) {
        next = entries[first];
    }

    if (lid < 16u) {
        constants[lid] = lid < 8u ? 0 : (ushort)ONES;
    }
    nv_load_queries(q + q_offset, call, &s, entry, group, head, row0, rows, (__local ushort *)queries, up, warp, lane);
    barrier(CLK_LOCAL_MEM_FENCE);
#if K_MIXED /* in the stored channel order, for blocks */
    if (s.blocks) {
        __global const uchar *order = gear_record(pool, s.row[GEAR__HEADER_ORDER]) + head * HEAD_DIM;
        __local const ushort *from = (__local const ushort *)queries;
        __local ushort *to = (__local ushort *)stored_queries;
        for (uint i = lid; i < ROWS * HEAD_DIM; i += 32u * NV_WARPS) {
            const uint r = i / HEAD_DIM, c = i % HEAD_DIM, source = nv_query_at(r, order[c]);
            to[nv_query_at(r, c)] = from[source];
            to[nv_query_at(r, c) + 2u] = from[source + 2u];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const uint4 *block_queries = stored_queries;
#else
    __local const uint4 *block_queries = queries;
#endif

#if K_OUTLIERS
    for (uint i = lid; i < ROWS * HEAD_DIM; i += 32u * NV_WARPS) {
        const uint r = i / HEAD_DIM, c = i % HEAD_DIM;
        __local const ushort *at = (__local const ushort *)block_queries + nv_query_at(r, c);
        query_table[c * ROWS + r] = nv_half(at) + nv_half(at + 2);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#endif

    nv_sums sums;
    nv_segment segment;
    nv_queries view;
    const uint row_a = row0 + 2u * quarter;
    const float cap = fmax(soft_cap, 0.0f), unit = scale * LOG2_E * (cap > 0.0f ? 2.0f / cap : 1.0f);
    view.up0 = up[2u * quarter] * unit, view.up1 = up[2u * quarter + 1u] * unit, view.cap = cap * LOG2_E;
    view.last0 = (int)(s.total + row_a / group) - (int)s.queries;
    view.last1 = (int)(s.total + (row_a + 1u) / group) - (int)s.queries;
    view.all = (int)(s.total + row0 / group) - (int)s.queries;
    sums.m0 = sums.m1 = LOWEST;
    segment.u = 0u, segment.up = 0.0f;
#pragma unroll
    for (uint i = 0; i < 4u; i++) {
        sums.aux[i] = 0.0f;
#pragma unroll
        for (uint step = 0; step < STEPS; step++) {
            sums.acc[step][i] = 0.0f;
        }
    }

    /* Dense tiles first. */
    const uint first_dense = max(first, s.blocks);
#pragma unroll 1
    for (uint index = first_dense; index < end; index++) {
        const gear_tile tile = gear_tile_of(&s, index);
        const gear_dense k = gear_dense_of(&s, &tile, shape, pool, window, tail_k + tail_k_offset, call + GEAR__CALL_TAIL_K,
                                           entry, 0u, head, HEAD_DIM);
        const gear_dense v = gear_dense_of(&s, &tile, shape, pool, window, tail_v + tail_v_offset, call + GEAR__CALL_TAIL_V,
                                           entry, 1u, head, HEAD_DIM);
        nv_dense(&k, &v, &tile, queries, &view, (__local ushort *)ring[warp], lane, &sums);
    }

#if V_ROTATE
    /* Where dense tiles and blocks meet in one warp, the sums of the former wait in the place of the result. */
    if (lane == 0u) {
        plain[warp] = first_dense < end && first >= s.blocks;
    }
    if (first < s.blocks && s.blocks < end) {
#  pragma unroll
        for (uint step = 0; step < STEPS; step++) {
#  pragma unroll
            for (uint i = 0; i < 4u; i++) {
                const uint r = 2u * quarter + (i & 1u), c = 16u * step + row + 4u * (i & 2u);
                if (row0 + r < rows) {
                    partial[gear_partial_at(&s, row0 + r, group, head, query_heads, splits, split) * HEAD_DIM + c] =
                        sums.acc[step][i] * V_UNIT;
                }
                sums.acc[step][i] = 0.0f;
            }
        }
        if (row == 0u) {
            parked[2u * quarter] = sums.m0;
            parked[2u * quarter + 1u] = sums.m1;
        }
    }
#endif

    __local uchar *stages = (__local uchar *)ring[warp];
    if (first < last_block) {
        nv_stage(pool, next, head, 1u, ring_at, lane);
    }
    nv_commit();
    uint opens = 1u, slot = 0u;
    now = next;
    if (first + 1u < last_block) {
        next = entries[first + 1u];
    }
#pragma unroll 1
    for (uint index = first; index < last_block; index++) {
        /* Here `now` is the entry of this block, `next` that of the next one, whose copy starts. */
        const uint closes = index + 1u == last_block || next.y != now.y;
        uint4 after = next;
        if (index + 1u < last_block) {
            nv_stage(pool, next, head, closes, ring_at + (slot ^ 1u) * STAGE, lane);
        }
        if (index + 2u < last_block) {
            after = entries[index + 2u];
        }
        nv_commit();
        const uint cls = GEAR__INFO_CLASS(now.w);
#if K_OUTLIERS
        gear_outliers k_outliers = gear_outliers_of(pool, shape, 0u, now.x, now.y, cls, head);
        k_outliers.bits = K_OUTLIERS;
#endif
#if V_OUTLIERS
        gear_outliers v_outliers = gear_outliers_of(pool, shape, 1u, now.x, now.y, cls, head);
        v_outliers.bits = V_OUTLIERS;
#endif
        NV_WAIT(1);
        nv_sync();

        __local uchar *record = stages + slot * STAGE, *tail_part = record + STAGE_HEAD,
                      *segment_part = tail_part + STAGE_SHARED;
        const uint k_factors = cls ? K_FACTORS_1 : K_FACTORS_0, v_factors = cls ? V_FACTORS_1 : V_FACTORS_0;
        const nv_parts parts = nv_unpack(record - HEAD_SKIP, tail_part, segment_part, fold[warp], cls, opens, lane);
#if NV_DIRECT
        __global const uchar *codes = gear_block_head(pool, shape, now.x, cls, head);
#else
        __local const uchar *codes = record;
#endif
        float scores[4][4];
        uint p[8];
        nv_block_scores((NV_PLANE const uint *)(codes + K_CODES), &parts, block_queries, constants,
                        (__local const ushort *)(segment_part + k_factors), cls ? K_RANK_1 : K_RANK_0, opens, &view, lane,
                        &segment, scores);
#if K_OUTLIERS
        nv_add_outliers_k(&k_outliers, record - HEAD_SKIP + K_COUNTS, query_table, &view, exchange[warp], lane, scores);
#endif
        nv_cap(scores, 4u, view.cap);
        const int tokens = (int)GEAR__INFO_TOKENS(now.w), at = (int)now.z;
        if (tokens < 64 || at < (int)s.exact || at + 63 > view.all) {
            nv_hide(scores, 4u, &view, at, (int)s.exact - at, tokens, row);
        }
#if V_OUTLIERS
        nv_probabilities(scores, 4u, NV_ROOM, &sums, p, p_table[warp], lane);
        nv_sync();
        nv_add_outliers_v(&v_outliers, record - HEAD_SKIP + V_COUNTS, (__local const ushort *)p_table[warp], exchange[warp],
                          lane, &sums);
#else
        nv_probabilities(scores, 4u, NV_ROOM, &sums, p, 0, lane);
#endif
        nv_block_values((NV_PLANE const uint *)(codes + V_CODES), &parts, constants, p, cls ? V_RANK_1 : V_RANK_0, lane, &sums);
#if V_RANK
        if (closes) {
            if (!opens) { /* the copy that came with the segment's first block is gone */
                nv_stage_segment(pool, now, head, nv_address(segment_part), lane);
                nv_commit();
                NV_WAIT(0);
                nv_sync();
            }
            nv_close_segment(parts.b_v, (__local const ushort *)(segment_part + v_factors), constants,
                             cls ? V_RANK_1 : V_RANK_0, lane, &sums);
        }
#endif
        nv_sync();
        opens = closes;
        now = next;
        next = after;
        slot ^= 1u;
    }
    NV_WAIT(0);

    /* Sums of the warps: zeros of V join the codes. */
    if (row == 7u) {
        total[warp][2u * quarter] = sums.aux[0];
        total[warp][2u * quarter + 1u] = sums.aux[1];
        reference[warp][2u * quarter] = sums.m0;
        reference[warp][2u * quarter + 1u] = sums.m1;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float most0 = LOWEST, most1 = LOWEST;
#pragma unroll
    for (uint w = 0; w < NV_WARPS; w++) {
        most0 = fmax(most0, reference[w][2u * quarter]);
        most1 = fmax(most1, reference[w][2u * quarter + 1u]);
    }
    const float by0 = nv_exp2(sums.m0 - most0), by1 = nv_exp2(sums.m1 - most1);
    __local float *mine = (__local float *)ring[warp];
#pragma unroll
    for (uint g = 0; g < V_GROUPS; g++) {
        const float z0 = V_SCALES ? nv_shuffle_float(sums.aux[0], 4u * g + quarter) : 0.0f;
        const float z1 = V_SCALES ? nv_shuffle_float(sums.aux[1], 4u * g + quarter) : 0.0f;
#pragma unroll
        for (uint step = g * (V_GROUP / 16u); step < min((g + 1u) * (V_GROUP / 16u), (uint)STEPS); step++) {
            const uint c = 16u * step + row;
            __local float *even = mine + 2u * quarter * HEAD_DIM, *odd = even + HEAD_DIM;
            even[c] = fma(sums.acc[step][0], V_UNIT, z0) * by0;
            odd[c] = fma(sums.acc[step][1], V_UNIT, z1) * by1;
            even[c + 8u] = fma(sums.acc[step][2], V_UNIT, z0) * by0;
            odd[c + 8u] = fma(sums.acc[step][3], V_UNIT, z1) * by1;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
#if V_ROTATE
    __local float *joined = (__local float *)ring[0];
    if (!plain[0]) { /* else no warp has a block */
        for (uint i = lid; i < ROWS * HEAD_DIM; i += 32u * NV_WARPS) {
            for (uint w = 1; w < NV_WARPS; w++) {
                joined[i] += plain[w] ? 0.0f : ((__local const float *)ring[w])[i];
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        nv_rotate_back(joined, lid);
    }
    const uint has_parked = low < s.blocks && s.blocks < high && (s.blocks - low) % each != 0u;
#endif
    for (uint i = lid; i < ROWS * HEAD_DIM; i += 32u * NV_WARPS) {
        const uint r = i / HEAD_DIM;
        float sum = 0.0f;
        if (row0 + r >= rows) {
            continue;
        }
        __global float *to =
            partial + gear_partial_at(&s, row0 + r, group, head, query_heads, splits, split) * HEAD_DIM + i % HEAD_DIM;
#if V_ROTATE
        sum = joined[i];
        for (uint w = 1; w < NV_WARPS; w++) {
            sum += plain[w] ? ((__local const float *)ring[w])[i] : 0.0f;
        }
        if (has_parked) {
            float most = LOWEST;
            for (uint w = 0; w < NV_WARPS; w++) {
                most = fmax(most, reference[w][r]);
            }
            sum = fma(*to, nv_exp2(parked[r] - most), sum);
        }
#else
#  pragma unroll
        for (uint w = 0; w < NV_WARPS; w++) {
            sum += ((__local const float *)ring[w])[i];
        }
#endif
        *to = sum;
    }
    if (lid < ROWS && row0 + lid < rows) {
        float most = LOWEST, sum = 0.0f;
        for (uint w = 0; w < NV_WARPS; w++) {
            most = fmax(most, reference[w][lid]);
        }
        for (uint w = 0; w < NV_WARPS; w++) {
            sum = fma(total[w][lid], nv_exp2(reference[w][lid] - most), sum);
        }
        __global float *to = softmax + 2ul * gear_partial_at(&s, row0 + lid, group, head, query_heads, splits, split);
        to[0] = sum > 0.0f ? most / LOG2_E : NEVER;
        to[1] = sum;
    }
}
