/* attend_1_partial_nvidia: attend_1_partial and attend_2_merge for NVIDIA's tensor cores (sm_80 and later): the arguments of
 * both and the same partial results, with 16-bit operands and float32 sums. A warp owns a block at a time: 64 tokens x one KV
 * head x a row tile of up to 8 query rows, or two of them (NV_ROW_TILES). It copies the next block to local memory (cp.async)
 * while it multiplies bare codes of the present one; scales of K are folded into the queries, scales of V into the
 * probabilities, but both into the codes with two row tiles; zeros and the low-rank part take a few products more. A work-group
 * of NV_WARPS warps serves one split. Reference: src/ref/attend_1_partial.c; what was measured: docs/kernels.md. Range: 32
 * NV_WARPS work-items for each (split, KV head x ROWS query rows, sequence), or (KV head x ROWS query rows, piece). */

#if !defined HEAD_DIM || !defined NV_WARPS || !defined NV_ROW_TILES || !defined NV_DIRECT || !defined NV_PAIRED ||             \
    !defined K_SCALES || !defined V_SCALES || !defined V_GROUP
#  error "HEAD_DIM, NV_WARPS, NV_ROW_TILES, NV_DIRECT, NV_PAIRED, K_SCALES, V_SCALES or V_GROUP is missing"
#endif

#if !defined K_RANK_0 || !defined K_RANK_1 || !defined V_RANK_0 || !defined V_RANK_1 || !defined K_TOKEN_GROUPS
#  error "K_RANK_i, V_RANK_i or K_TOKEN_GROUPS is missing"
#endif

#include "attend_nvidia_merge.clh"
#if NV_OUTLIERS
#  include "attend_nvidia_outliers.clh"
#endif
#include "attend_nvidia_scores.clh"
#include "attend_nvidia_values.clh"
#if NV_ROW_TILES > 1
#  include "attend_nvidia_exact_scores.clh"
#  include "attend_nvidia_exact_values.clh"
#endif

/* Whether the warp's number comes by a shuffle. The compiler then knows that all lanes have the same and leaves out what brings
 * them together before shuffles, 10 % of the code. No gain for K of low rank at head_dim 128: gear_2_6 272 us, 284 with it. */
#define NV_KNOWN_WARP (NV_OUTLIERS || (K_SCALES == NV_SCALES_MIXED && (K_RANK == 0 || HEAD_DIM <= 64)))

/* No reqd_work_group_size: with it the compiler ignores the limit on registers (variant.c) and takes 224 where 167 do. */
__kernel void gear_k_attend_1_partial_nvidia(__global const uint *shape, __global uchar *pool, __global const uint *table,
                                             __global const uint *seqs, uint advance, __global const ushort *window,
                                             __global const ulong *call, __global const uchar *q, ulong q_offset,
                                             __global const uchar *tail_k, ulong tail_k_offset, __global const uchar *tail_v,
                                             ulong tail_v_offset, float scale, float soft_cap, uint query_heads, uint row_tiles,
                                             __global float *partial, __global float *softmax, __global uchar *out,
                                             ulong out_offset, ulong out_stride_seq, ulong out_stride_head,
                                             ulong out_stride_token, uint out_type, __global float *lse, ulong lse_offset,
                                             uint has_lse, __global uint *counters, uint8 first_words, uint table_row,
                                             uint exact_max, uint group, uint pieces_at, uint share_of_all, uint piece_rows)
{
    __local uint4 rings[NV_WARPS * (NV_RING / 16) + NV_BEYOND / 16];
    __local uint4 queries[QUERY_ROWS * QUERY_PITCH];
#if K_MIXED
    __local uint4 stored_queries[QUERY_ROWS * QUERY_PITCH];
    __local uint channel_order[HEAD_DIM / 4];
#endif
#if K_OUTLIERS
    __local float4 query_table[NV_TABLES * NV_TABLE_ROWS];
#endif
#if NV_OUTLIERS
    __local uint4 outliers[NV_WARPS][NV_OUTLIER_BYTES / 16];
#endif
    __local ushort fold[NV_WARPS][FOLD ? FOLD : 8] __attribute__((aligned(16)));
    __local uint2 code_powers[HEAD_DIM / 16];
    __local ushort constants[NV_CONSTANTS] __attribute__((aligned(16)));
    __local float up[ROWS], reference[NV_WARPS][ROWS], total[NV_WARPS][ROWS], split_most[ROWS], split_total[ROWS];
    __local nv_row_places row_places;
    __local nv_part part;
    __local uint arrived;
#if NV_ROW_TILES > 1
    __local uint lows[NV_WARPS];
    __local uint4 powers[32];
    __local uint4 ready[NV_WARPS][NV_READY / 16];
#endif
#if V_ROTATE
    __local float parked[ROWS];
#endif

    const uint lid = (uint)get_local_id(0), warp = NV_KNOWN_WARP ? nv_shuffle(lid / 32u, 0u) : lid / 32u;
    __local uint4 *ring = rings + warp * (NV_RING / 16);
    const uint lane = lid % 32u, row = lane >> 2, quarter = lane & 3u;
    const nv_tensor tensor = nv_query_tensor(q + q_offset, call);
    /* Even: (split, KV head x row tile, sequence). Ragged: (KV head x row tile, piece), the largest pieces first. */
    uint split = (uint)get_group_id(0), splits = (uint)get_num_groups(0), entry = (uint)get_group_id(2);
    uint head_tile = (uint)get_group_id(1), head_tiles = (uint)get_num_groups(1), pieces_before = 0u;
    if (pieces_at) {
        const uint2 piece = ((__global const uint2 *)(seqs + pieces_at))[head_tile];
        head_tile = split, head_tiles = splits;
        entry = piece.x & 0xffffu, split = piece.x >> 16;
        splits = piece.y & 0xffffu, pieces_before = piece.y >> 16;
    }
    uint head = head_tile, heads = head_tiles, row0 = 0u;
    if (row_tiles > 1u) { /* quotients take a while */
        heads /= row_tiles, head /= row_tiles;
        row0 = (head_tile - head * row_tiles) * ROWS;
    }
    __global const uint *seq = seqs + entry * GEAR__SEQ_WORDS;
    uint8 words = first_words; /* of a batch of one: what need not be waited for */
    if (pieces_at || get_num_groups(2) > 1u) {
        words = *(__global const uint8 *)seq;
    }
    const gear_sequence_view s = gear_view_of(words, seq, table, table_row, exact_max, advance);
    const uint rows = s.queries * group, first_row = words.s3; /* GEAR__SEQ_ROW */

    /* The split's tiles, a warp every NV_WARPS-th: the work-group then reads memory that lies close together. */
    const uint share = share_of_all ? share_of_all : gear__split_share(s.blocks, s.tiles, splits);
    const uint low = gear__tile_at(s.blocks, s.tiles, split * share);
    const uint high = split + 1u < splits ? gear__tile_at(s.blocks, s.tiles, split * share + share) : s.tiles;
    const uint first = low + warp, last_block = min(high, s.blocks);
    __global const uint4 *entries = (__global const uint4 *)(s.row + GEAR__BLOCK_WORDS);
    const uint ring_at = nv_address(ring);
    const nv_source source = {pool, head, heads, shape[GEAR__SHAPE_BASES]};
    /* Of the present block and the next: entry of the page table, places of the outliers. */
    uint4 now = nv_load_here((__global const uint *)(first < last_block ? entries + first : entries - 1)); /* or the header */
    uint4 next = now;
    if (first + NV_WARPS < last_block) {
        next = entries[first + NV_WARPS];
    }
    uint4 places = (uint4)(0u), next_places = (uint4)(0u);
    if (row0 >= rows) { /* not before these loads, which would then wait for those that tell */
        return;
    }

    const nv_asked asked = nv_ask_queries(&tensor, first_row, entry, group, head, row0, rows, &row_places, warp, lane);
    uint2 counts = (uint2)(0u); /* lengths of the lane's lists of outliers */
#if NV_OUTLIERS
    if (first < last_block) {
        places = nv_outlier_places(&source, now);
        counts = nv_counts(&source, now, lane);
    }
#endif
    const uint first_dense = max(low, s.blocks);
    const uint has_dense = first_dense < high;
    if (!has_dense && first < last_block) { /* else dense tiles need the local memory first */
        nv_stage_k(&source, now, places, counts.x, 1u, ring_at, lane);
    }
    nv_commit();
    for (uint i = lid; i < NV_CONSTANTS; i += NV_ITEMS) {
        constants[i] = i < NV_ONES ? 0 : (ushort)ONES;
    }
    if (K_SCALES == NV_SCALES_MIXED && lid < HEAD_DIM / 16) {
        code_powers[lid] = (uint2)(nv_powers_k(lid, 0u, NV_FOLD_LIFT), nv_powers_k(lid, 1u, NV_FOLD_LIFT));
    }
#if K_MIXED
    if (s.blocks) {
        __global const uint *order = (__global const uint *)gear_record(pool, s.row[GEAR__HEADER_ORDER]);
        for (uint i = lid; i < HEAD_DIM / 4; i += 32u * NV_WARPS) {
            channel_order[i] = order[head * (HEAD_DIM / 4) + i];
        }
    }
#endif
    if (lid == 0u) {
        part.partial = pieces_at ? (ulong)pieces_before * piece_rows : (ulong)first_row * query_heads * splits;
        part.entry = entry, part.row = first_row, part.count = min(rows - row0, (uint)ROWS), part.queries = s.queries;
        part.split = split, part.splits = splits, part.counter = entry * head_tiles + head_tile;
    }
#if NV_ROW_TILES > 1
    powers[lane] = nv_ready_powers(lane);                                 /* the same from all warps */
    lows[warp] = nv_any(nv_put_queries(&asked, queries, up, warp, lane)); /* the same from all lanes */
#else
    (void)nv_put_queries(&asked, queries, up, warp, lane);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
#if K_MIXED /* in the stored channel order, for blocks */
    if (s.blocks) {
        nv_order_queries((__local const ushort *)queries, (__local const uchar *)channel_order, (__local half *)stored_queries,
                         lid);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const uint4 *block_queries = stored_queries;
#else
    __local const uint4 *block_queries = queries;
#endif

#if K_OUTLIERS
    nv_load_query_table((__local const ushort *)block_queries, (__local float *)query_table, lid);
    barrier(CLK_LOCAL_MEM_FENCE);
#endif

    nv_sums sums[NV_ROW_TILES];
    nv_segment segment[NV_ROW_TILES];
    nv_queries view[NV_ROW_TILES];
    const float cap = fmax(soft_cap, 0.0f), unit = scale * LOG2_E * (cap > 0.0f ? 2.0f * nv_reciprocal(cap) : 1.0f);
#pragma unroll
    for (uint t = 0; t < NV_ROW_TILES; t++) {
        const uint row_a = 8u * t + 2u * (NV_PAIRED ? quarter % 2u : quarter), at = 8u * t + 2u * quarter;
        view[t].up0 = up[at] * unit, view[t].up1 = up[at + 1u] * unit, view[t].cap = cap * LOG2_E;
        view[t].last0 = (int)(s.total + row_places.token[row_a]) - (int)s.queries;
        view[t].last1 = (int)(s.total + row_places.token[row_a + 1u]) - (int)s.queries;
        view[t].all = (int)(s.total + row_places.token[0]) - (int)s.queries;
        sums[t].m0 = sums[t].m1 = LOWEST;
        segment[t].u = 0u, segment[t].up = 0.0f;
        sums[t].aux[0] = sums[t].aux[1] = sums[t].aux[2] = sums[t].aux[3] = 0.0f;
        nv_clear(sums + t);
    }
#if NV_ROW_TILES > 1
    const uint has_low = nv_any_of(lows); /* whether rounding took something from the queries */
#endif

    /* Dense tiles first, all warps together. */
#pragma unroll 1
    for (uint index = first_dense; index < high; index++) {
        const gear_tile dense = gear_tile_of(&s, index);
        const gear_dense k = gear_dense_of(&s, &dense, shape, pool, window, tail_k + tail_k_offset, call + GEAR__CALL_TAIL_K,
                                           entry, 0u, head, HEAD_DIM);
        const gear_dense v = gear_dense_of(&s, &dense, shape, pool, window, tail_v + tail_v_offset, call + GEAR__CALL_TAIL_V,
                                           entry, 1u, head, HEAD_DIM);
        nv_dense(&k, &v, &dense, (warp + index) % NV_WARPS, queries, view, (__local ushort *)ring, lane, sums);
    }

#if V_ROTATE
    /* Their sums are not rotated: they wait in the place of the result. */
    if (has_dense) {
        nv_share(sums, reference, (__local float *)ring, warp, lane);
        const nv_part mine = part;
        const nv_tile tile = nv_tile_of(&mine, &row_places, query_heads);
        for (uint i = lid; i < tile.count * QUADS; i += NV_ITEMS) {
            __global float *to = partial + (nv_partial_at(&tile, i / QUADS, mine.splits) + mine.split) * HEAD_DIM;
            ((__global float4 *)to)[i % QUADS] = nv_sum_of_warps((__local const float *)rings, i / QUADS, i % QUADS);
        }
        if (lid < ROWS) {
            parked[lid] = nv_most(reference, lid);
        }
#  pragma unroll
        for (uint t = 0; t < NV_ROW_TILES; t++) {
            nv_clear(sums + t);
        }
        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    }
#endif

    __local uchar *part_k = (__local uchar *)ring, *part_v = part_k + K_PART;
    if (has_dense && first < last_block) {
        nv_stage_k(&source, now, places, counts.x, 1u, ring_at, lane);
    }
    nv_commit();
#if NV_OUTLIERS
    const nv_outlier_memory memory = nv_outlier_memory_at(outliers[warp], lane);
#endif
    uint opens = 1u;
#pragma unroll 1
    for (uint index = first; index < last_block; index += NV_WARPS) {
        const uint cls = GEAR__INFO_CLASS(now.w), ends = index + NV_WARPS >= last_block, closes = ends || next.y != now.y;
        /* K: its part is there once all copies but those asked for last are done. */
        nv_stage_v(&source, now, places, counts.y, closes, ring_at + K_PART, lane);
        nv_commit();
        uint4 after = next;
        if (index + 2u * NV_WARPS < last_block) {
            after = entries[index + 2u * NV_WARPS];
        }
#if NV_OUTLIERS
        const nv_block_lists lists = nv_find_lists(counts, places, &memory, lane);
        uint next_word = 0u;
        if (!ends) {
            next_word = nv_ask_places(&source, next, nv_lane());
            counts = nv_counts(&source, next, nv_lane());
        }
#endif
        NV_WAIT(1);
        nv_sync();
        const nv_parts k = nv_unpack_k(part_k, code_powers, fold[warp], cls, opens, lane);
#if NV_DIRECT
        __global const uchar *codes_k = gear_block_head(pool, shape, now.x, cls, head), *codes_v = codes_k + V_CODES;
#else
        __local const uchar *codes_k = part_k, *codes_v = part_v;
#endif
        float scores[NV_ROW_TILES][4][4];
        uint p[NV_ROW_TILES][8];
#pragma unroll
        for (uint m = 0; m < 4u * NV_ROW_TILES; m++) {
            float *x = scores[m / 4u][m % 4u];
            x[0] = x[1] = x[2] = x[3] = 0.0f;
        }
#if NV_ROW_TILES > 1
#  pragma unroll
        for (uint t = 0; t < NV_ROW_TILES; t++) { /* anew, for registers are few */
            const uint at = 8u * t + 2u * quarter;
            view[t].up0 = up[at] * unit, view[t].up1 = up[at + 1u] * unit;
        }
        nv_exact_scores((NV_PLANE const uint *)codes_k, &k, block_queries, has_low, constants, powers + lane, ready[warp],
                        cls ? K_RANK_1 : K_RANK_0, opens, view, sums, lane, segment, scores);
#else
#  if K_OUTLIERS
        nv_outlier_scores(&source, now, places, part_k, query_table, &memory, lists.k);
#  endif
        nv_block_scores((NV_PLANE const uint *)codes_k, &k, block_queries, constants, cls ? K_RANK_1 : K_RANK_0, opens, view,
                        NV_OUTLIERS ? nv_lane() : lane, segment, scores[0]);
#  if K_OUTLIERS
        const float delta = nv_delta_scale(part_k + K_AT_SUPERS - K_SUPERS + K_DELTA_SCALE, 0u) * (1.0f / NV_LIFT);
        nv_add_outlier_scores(&memory, delta * view[0].up0, delta * view[0].up1, scores[0]);
#  endif
#endif
#if NV_OUTLIERS /* others have registers for it only after the softmax */
        nv_stage_next_k(&source, next, &next_places, next_word, counts.x, !ends, closes, ring_at);
#endif
        const int tokens = (int)GEAR__INFO_TOKENS(now.w), at = (int)now.z;
#if V_OUTLIERS
        const float m0 = sums[0].m0, m1 = sums[0].m1;
#endif
#pragma unroll
        for (uint t = 0; t < NV_ROW_TILES; t++) {
            nv_cap(scores[t], NV_SCORE_TILES, view[t].cap);
        }
        if (tokens < 64 || at < (int)s.exact || at + 63 > view[0].all) {
#pragma unroll
            for (uint t = 0; t < NV_ROW_TILES; t++) {
#if NV_ROW_TILES > 1 /* anew, for registers are few */
                view[t].last0 = view[0].all + (int)(row_places.token[8u * t + 2u * quarter] - row_places.token[0]);
                view[t].last1 = view[0].all + (int)(row_places.token[8u * t + 2u * quarter + 1u] - row_places.token[0]);
#endif
                nv_hide(scores[t], NV_SCORE_TILES, view + t, at, (int)s.exact - at, tokens,
                        row + (NV_HALVED ? quarter / 2u * 32u : 0u));
            }
        }
#if NV_ROW_TILES > 1
        nv_exact_softmax(scores, NV_ROOM, view[0].cap, sums, p);
#else
        nv_probabilities(scores[0], NV_SCORE_TILES, NV_HALVED, NV_ROOM, sums, p[0], lane);
#endif
#if V_OUTLIERS
        nv_shrink_outliers(&memory, m0, m1, sums);
#endif
        nv_sync();

        /* V */
#if !NV_OUTLIERS
        if (!ends) {
            nv_stage_k(&source, next, next_places, counts.x, closes, ring_at, lane);
        }
        nv_commit();
#endif
        NV_WAIT(1);
        nv_sync();
        const nv_parts v = nv_unpack_v(part_v, fold[warp], cls, closes, lane);
#if V_OUTLIERS
        nv_outlier_values(&source, now, places, part_v, &memory, &lists, p[0]);
#endif
#if NV_ROW_TILES > 1
        nv_exact_values((NV_PLANE const uint *)codes_v, &v, constants, powers, (__local uint *)ready[warp], p,
                        cls ? V_RANK_1 : V_RANK_0, nv_lane(), sums);
#else
        nv_block_values((NV_PLANE const uint *)codes_v, &v, constants, p[0], cls ? V_RANK_1 : V_RANK_0,
                        NV_OUTLIERS ? nv_lane() : lane, sums);
#endif
#if V_RANK
#  pragma unroll
        for (uint t = 0; t < NV_ROW_TILES && closes; t++) {
            nv_close_segment(&v, constants, cls ? V_RANK_1 : V_RANK_0, lane, sums + t);
        }
#endif
        nv_sync();
        opens = closes;
        now = next, next = after, places = next_places;
    }
    NV_WAIT(0);
#if V_OUTLIERS
    nv_join_outliers(&memory, sums);
#endif

    const nv_part mine = part;
    const nv_tile tile = nv_tile_of(&mine, &row_places, query_heads);
    nv_put_totals(sums, total[warp], row, quarter);
    nv_share(sums, reference, (__local float *)ring, warp, lane);
    __local float *joined = (__local float *)rings;
#if V_ROTATE
    for (uint i = lid; i < QUERY_ROWS * QUADS; i += NV_ITEMS) {
        *(__local float4 *)(joined + i / QUADS * SUM_PITCH + 4u * (i % QUADS)) = nv_sum_of_warps(joined, i / QUADS, i % QUADS);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    nv_rotate_back(joined, lid);
#endif
    const float most = nv_most(reference, lid % ROWS);
    const float sum = nv_total(total, reference, lid % ROWS, most);
    if (lid < ROWS) {
        split_most[lid] = sum > 0.0f ? most * (1.0f / LOG2_E) : NEVER;
        split_total[lid] = sum;
        if (lid < tile.count) {
            ((__global float2 *)softmax)[nv_partial_at(&tile, lid, mine.splits) + mine.split] = (float2)(split_most[lid], sum);
        }
    }
    const nv_output output = {out + out_offset, out_stride_seq, out_stride_head,
                              out_stride_token, out_type,       has_lse ? lse + lse_offset : (__global float *)0};
    if (mine.splits == 1u) {
        barrier(CLK_LOCAL_MEM_FENCE);
        nv_write_lse(&output, &tile, mine.queries, split_most, split_total, lid);
    }
    for (uint i = lid; i < tile.count * QUADS; i += NV_ITEMS) {
        const uint r = i / QUADS, quad = i % QUADS;
        __global float *to = partial + (nv_partial_at(&tile, r, mine.splits) + mine.split) * HEAD_DIM + 4u * quad;
#if V_ROTATE
        float4 values = *(__local const float4 *)(joined + r * SUM_PITCH + 4u * quad);
        if (has_dense) {
            values = fma(*(__global const float4 *)to, (float4)(nv_exp2(parked[r] - nv_most(reference, r))), values);
        }
#else
        const float4 values = nv_sum_of_warps(joined, r, quad);
#endif
        *(__global float4 *)to = values;
        if (mine.splits == 1u) {
            nv_write_quad(&output, &tile, r, quad, values, split_total[r]);
        }
    }
    if (mine.splits > 1u && nv_is_last(counters + mine.counter, mine.splits, &arrived, lid)) {
        nv_merge(&output, &tile, mine.queries, partial, softmax, mine.splits, joined, split_most, split_total, lid);
    }
}
