/* attend_1_partial_nvidia: attend_1_partial and attend_2_merge for NVIDIA's tensor cores (sm_80 and later): the arguments of
 * both and the same partial results, with 16-bit operands and float32 sums. A warp owns a block at a time: 64 tokens x one KV
 * head x up to 8 query rows. It copies the next block to local memory (cp.async) while it multiplies bare codes of the present
 * one; scales of K are folded into the queries, scales of V into the probabilities, zeros and the low-rank part take a few
 * products more. A work-group of NV_WARPS warps serves one split. Reference: src/ref/attend_1_partial.c; what was measured:
 * docs/kernels.md. Range: 32 NV_WARPS work-items for each (split, KV head x row tile, sequence). */

#if !defined HEAD_DIM || !defined NV_WARPS || !defined NV_STAGES || !defined NV_DIRECT || !defined NV_PAIRED ||                \
    !defined K_SCALES || !defined V_SCALES || !defined V_GROUP
#  error "HEAD_DIM, NV_WARPS, NV_STAGES, NV_DIRECT, NV_PAIRED, K_SCALES, V_SCALES or V_GROUP is missing"
#endif

#if !defined K_RANK_0 || !defined K_RANK_1 || !defined V_RANK_0 || !defined V_RANK_1 || !defined HEAD_SKIP ||                  \
    !defined K_TOKEN_GROUPS
#  error "K_RANK_i, V_RANK_i, HEAD_SKIP or K_TOKEN_GROUPS is missing"
#endif

#include "attend_nvidia_merge.clh"
#include "attend_nvidia_outliers.clh"
#include "attend_nvidia_scores.clh"
#include "attend_nvidia_values.clh"

/* No reqd_work_group_size: with it the compiler ignores the limit on registers (variant.c) and takes 224 where 167 do. */
__kernel void gear_k_attend_1_partial_nvidia(__global const uint *shape, __global uchar *pool, __global const uint *table,
                                             __global const uint *seqs, uint advance, __global const ushort *window,
                                             __global const ulong *call, __global const uchar *q, ulong q_offset,
                                             __global const uchar *tail_k, ulong tail_k_offset, __global const uchar *tail_v,
                                             ulong tail_v_offset, float scale, float soft_cap, uint query_heads, uint row_tiles,
                                             __global float *partial, __global float *softmax, __global uchar *out,
                                             ulong out_offset, ulong out_stride_seq, ulong out_stride_head,
                                             ulong out_stride_token, uint out_type, __global float *lse, ulong lse_offset,
                                             uint has_lse, __global uint *counters)
{
    __local uint4 ring[NV_WARPS][NV_RING / 16];
    __local uint4 queries[ROWS * QUERY_PITCH];
#if K_MIXED
    __local uint4 stored_queries[ROWS * QUERY_PITCH];
    __local uint channel_order[HEAD_DIM / 4];
#endif
#if K_OUTLIERS
    __local float query_table[HEAD_DIM * NV_OF_LIST] __attribute__((aligned(32))); /* [channel][NV_OF_LIST] */
#endif
#if NV_OUTLIERS
    __local uint4 outliers[NV_WARPS][NV_OUTLIER_BYTES / 16];
#endif
    __local ushort fold[NV_WARPS][FOLD ? FOLD : 8] __attribute__((aligned(16)));
    __local ushort constants[16] __attribute__((aligned(16))); /* 8 zeros, 8 ones */
    __local float up[ROWS], reference[NV_WARPS][ROWS], total[NV_WARPS][ROWS], split_most[ROWS], split_total[ROWS];
    __local nv_row_places row_places;
    __local uint arrived;
#if V_ROTATE
    __local float parked[ROWS];
#endif

    const uint lid = (uint)get_local_id(0), warp = lid / 32u, lane = lid % 32u, row = lane >> 2, quarter = lane & 3u;
    const uint split = (uint)get_group_id(0), splits = (uint)get_num_groups(0);
    const uint entry = (uint)get_group_id(2);
    uint head = (uint)get_group_id(1), heads = (uint)get_num_groups(1), row0 = 0u;
    if (row_tiles > 1u) { /* quotients take a while */
        heads /= row_tiles, head /= row_tiles;
        row0 = ((uint)get_group_id(1) - head * row_tiles) * ROWS;
    }
    const uint group = query_heads / heads;
    const gear_sequence_view s = gear_view_sequence(shape, table, seqs, entry, advance);
    const uint rows = s.queries * group, first_row = s.seq[GEAR__SEQ_ROW];
    const nv_tensor tensor = nv_query_tensor(q + q_offset, call);

    /* The split's tiles, a warp every NV_WARPS-th: the work-group then reads memory that lies close together. */
    const uint low = gear__first_tile(s.blocks, s.tiles, splits, split);
    const uint high = gear__first_tile(s.blocks, s.tiles, splits, split + 1u);
    const uint first = low + warp, last_block = min(high, s.blocks);
    __global const uint4 *entries = (__global const uint4 *)(s.row + GEAR__BLOCK_WORDS);
    const uint ring_at = nv_address(ring[warp]);
    uint4 page[NV_STAGES + 1]; /* entries of the present block and those after it */
#pragma unroll
    for (uint i = 0; i < NV_STAGES; i++) {
        page[i] = first + i * NV_WARPS < last_block ? entries[first + i * NV_WARPS] : (uint4)(0u);
    }
    if (row0 >= rows) { /* not before these loads, which would then wait for those that tell */
        return;
    }

    const nv_asked asked = nv_ask_queries(&tensor, first_row, entry, group, head, row0, rows, &row_places, warp, lane);
    const uint first_dense = max(low, s.blocks);
    if (first_dense >= high) { /* else dense tiles need the local memory first */
        nv_stage_first(pool, page, head, first, last_block, ring_at, lane);
    }
    if (lid < 16u) {
        constants[lid] = lid < 8u ? 0 : (ushort)ONES;
    }
#if K_MIXED
    if (s.blocks) {
        __global const uint *order = (__global const uint *)gear_record(pool, s.row[GEAR__HEADER_ORDER]);
        for (uint i = lid; i < HEAD_DIM / 4; i += 32u * NV_WARPS) {
            channel_order[i] = order[head * (HEAD_DIM / 4) + i];
        }
    }
#endif
    nv_put_queries(&asked, queries, up, warp, lane);
    barrier(CLK_LOCAL_MEM_FENCE);
#if K_MIXED /* in the stored channel order, for blocks */
    if (s.blocks) {
        __local const uchar *order = (__local const uchar *)channel_order;
        __local const ushort *from = (__local const ushort *)queries;
        __local ushort *to = (__local ushort *)stored_queries;
        for (uint i = lid; i < ROWS * HEAD_DIM; i += 32u * NV_WARPS) {
            const uint r = i / HEAD_DIM, c = i % HEAD_DIM, source = nv_query_at(r, order[c]);
            vstore_half(nv_half(from + source) * NV_LIFT, nv_query_at(r, c), (__local half *)to);
            vstore_half(nv_half(from + source + 2) * NV_LIFT, nv_query_at(r, c) + 2u, (__local half *)to);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const uint4 *block_queries = stored_queries;
#else
    __local const uint4 *block_queries = queries;
#endif

#if K_OUTLIERS
    for (uint i = lid; i < NV_OF_LIST * HEAD_DIM; i += 32u * NV_WARPS) {
        const uint r = i / HEAD_DIM, c = i % HEAD_DIM;
        __local const ushort *at = (__local const ushort *)block_queries + nv_query_at(r, c);
        query_table[c * NV_OF_LIST + r] = (nv_half(at) + nv_half(at + 2)) * (1.0f / NV_LIFT);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#endif

    nv_sums sums;
    nv_segment segment;
    nv_queries view;
    const uint row_a = 2u * (NV_PAIRED ? quarter % 2u : quarter);
    const float cap = fmax(soft_cap, 0.0f), unit = scale * LOG2_E * (cap > 0.0f ? 2.0f * nv_reciprocal(cap) : 1.0f);
    view.up0 = up[2u * quarter] * unit, view.up1 = up[2u * quarter + 1u] * unit, view.cap = cap * LOG2_E;
    view.last0 = (int)(s.total + row_places.token[row_a]) - (int)s.queries;
    view.last1 = (int)(s.total + row_places.token[row_a + 1u]) - (int)s.queries;
    view.all = (int)(s.total + row_places.token[0]) - (int)s.queries;
    const nv_tile tile = {&row_places, entry, query_heads, min(rows - row0, (uint)ROWS), first_row};
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

    /* Dense tiles first, all warps together. */
#pragma unroll 1
    for (uint index = first_dense; index < high; index++) {
        const gear_tile dense = gear_tile_of(&s, index);
        const gear_dense k = gear_dense_of(&s, &dense, shape, pool, window, tail_k + tail_k_offset, call + GEAR__CALL_TAIL_K,
                                           entry, 0u, head, HEAD_DIM);
        const gear_dense v = gear_dense_of(&s, &dense, shape, pool, window, tail_v + tail_v_offset, call + GEAR__CALL_TAIL_V,
                                           entry, 1u, head, HEAD_DIM);
        nv_dense(&k, &v, &dense, (warp + index) % NV_WARPS, queries, &view, (__local ushort *)ring[warp], lane, &sums);
    }

#if V_ROTATE
    /* Their sums are not rotated: they wait in the place of the result. */
    if (first_dense < high) {
        nv_share(&sums, reference, (__local float *)ring[warp], warp, lane);
        for (uint i = lid; i < tile.count * QUADS; i += NV_ITEMS) {
            __global float *to = partial + (nv_partial_at(&tile, i / QUADS, splits) + split) * HEAD_DIM;
            ((__global float4 *)to)[i % QUADS] = nv_sum_of_warps((__local const float *)ring[0], i / QUADS, i % QUADS);
        }
        if (lid < ROWS) {
            parked[lid] = nv_most(reference, lid);
        }
#  pragma unroll
        for (uint step = 0; step < STEPS; step++) {
            sums.acc[step][0] = sums.acc[step][1] = sums.acc[step][2] = sums.acc[step][3] = 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    }
#endif

    __local uchar *stages = (__local uchar *)ring[warp];
    if (first_dense < high) {
        nv_stage_first(pool, page, head, first, last_block, ring_at, lane);
    }
#if NV_OUTLIERS
    __local uchar *mine = (__local uchar *)outliers[warp];
    const nv_outlier_memory memory = {mine, mine + NV_FIRST, (__local uint *)(mine + NV_FIRST + NV_RAW),
                                      (__local float *)(mine + NV_FIRST + NV_RAW + 4 * NV_CHUNK)};
    uint4 places = (uint4)(0u); /* of the present block's entries, asked for a block ahead */
    if (first < last_block) {
        places = nv_outlier_places(pool, shape, page[0], head);
    }
#endif
    uint opens = 1u, slot = 0u, filled = NV_STAGES - 1u; /* slots of this block and of the one that is asked for */
#pragma unroll 1
    for (uint index = first; index < last_block; index += NV_WARPS) {
        const uint4 now = page[0];
        const uint cls = GEAR__INFO_CLASS(now.w);
        const uint closes = index + NV_WARPS >= last_block || page[1].y != now.y;
#if NV_OUTLIERS
        NV_WAIT(NV_STAGES - 2);
        nv_sync();
        __local const uchar *block = stages + slot * STAGE - HEAD_SKIP;
        nv_entries outlier_entries = {pool, shape, now, places, 0u, 0u, 0u, 0u};
        nv_open_entries(&outlier_entries, block, &memory, lane);
        nv_commit();
        if (index + NV_WARPS < last_block) {
            places = nv_outlier_places(pool, shape, page[1], head);
        }
#endif
        if (index + (NV_STAGES - 1u) * NV_WARPS < last_block) {
            nv_stage(pool, page[NV_STAGES - 1], head, page[NV_STAGES - 1].y != page[NV_STAGES - 2].y, ring_at + filled * STAGE,
                     lane);
        }
        page[NV_STAGES] = page[NV_STAGES - 1];
        if (index + NV_STAGES * NV_WARPS < last_block) {
            page[NV_STAGES] = entries[index + NV_STAGES * NV_WARPS];
        }
        nv_commit();
#if !NV_OUTLIERS
        NV_WAIT(NV_STAGES - 1);
        nv_sync();
#endif

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
#if NV_OUTLIERS
        NV_WAIT(1);
        nv_sync();
#endif
#if K_OUTLIERS
        nv_add_outliers_k(&outlier_entries, block, &memory, query_table, &view, lane, scores);
#endif
        nv_cap(scores, 4u, view.cap);
        const int tokens = (int)GEAR__INFO_TOKENS(now.w), at = (int)now.z;
        if (tokens < 64 || at < (int)s.exact || at + 63 > view.all) {
            nv_hide(scores, 4u, &view, at, (int)s.exact - at, tokens, row);
        }
#if V_OUTLIERS
        nv_probabilities(scores, 4u, NV_ROOM, &sums, p, (__local uint *)memory.first, lane);
        nv_sync();
        nv_add_outliers_v(&outlier_entries, block, &memory, lane, &sums);
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
#pragma unroll
        for (uint i = 0; i < NV_STAGES; i++) {
            page[i] = page[i + 1u];
        }
        slot = slot + 1u < NV_STAGES ? slot + 1u : 0u;
        filled = filled + 1u < NV_STAGES ? filled + 1u : 0u;
    }
    NV_WAIT(0);

    if (row == 7u) {
        total[warp][2u * quarter] = sums.aux[0];
        total[warp][2u * quarter + 1u] = sums.aux[1];
    }
    nv_share(&sums, reference, (__local float *)ring[warp], warp, lane);
    __local float *joined = (__local float *)ring[0];
#if V_ROTATE
    for (uint i = lid; i < NV_OWN_ROWS * QUADS; i += NV_ITEMS) {
        *(__local float4 *)(joined + i / QUADS * SUM_PITCH + 4u * (i % QUADS)) = nv_sum_of_warps(joined, i / QUADS, i % QUADS);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    nv_rotate_back(joined, lid);
#endif
    const float most = nv_most(reference, lid % ROWS);
    float sum = 0.0f; /* of p, of row lid % ROWS */
#pragma unroll
    for (uint w = 0; w < NV_WARPS; w++) {
        sum = fma(total[w][lid % ROWS], nv_exp2(reference[w][lid % ROWS] - most), sum);
    }
    if (lid < ROWS) {
        split_most[lid] = sum > 0.0f ? most * (1.0f / LOG2_E) : NEVER;
        split_total[lid] = sum;
        if (lid < tile.count) {
            ((__global float2 *)softmax)[nv_partial_at(&tile, lid, splits) + split] = (float2)(split_most[lid], sum);
        }
    }
    const nv_output output = {out + out_offset, out_stride_seq, out_stride_head,
                              out_stride_token, out_type,       has_lse ? lse + lse_offset : (__global float *)0};
    if (splits == 1u) {
        barrier(CLK_LOCAL_MEM_FENCE);
        nv_write_lse(&output, &tile, s.queries, split_most, split_total, lid);
    }
    for (uint i = lid; i < tile.count * QUADS; i += NV_ITEMS) {
        const uint r = i / QUADS, quad = i % QUADS;
        __global float *to = partial + (nv_partial_at(&tile, r, splits) + split) * HEAD_DIM + 4u * quad;
#if V_ROTATE
        float4 values = *(__local const float4 *)(joined + r * SUM_PITCH + 4u * quad);
        if (first_dense < high) {
            values = fma(*(__global const float4 *)to, (float4)(nv_exp2(parked[r] - nv_most(reference, r))), values);
        }
#else
        const float4 values = nv_sum_of_warps(joined, r, quad);
#endif
        *(__global float4 *)to = values;
        if (splits == 1u) {
            nv_write_quad(&output, &tile, r, quad, values, split_total[r]);
        }
    }
    if (splits > 1u && nv_is_last(counters + ((ulong)entry * get_num_groups(1) + get_group_id(1)), splits, &arrived, lid)) {
        nv_merge(&output, &tile, s.queries, partial, softmax, splits, joined, split_most, split_total, lid);
    }
}
