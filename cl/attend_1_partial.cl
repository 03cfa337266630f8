/* attend_1_partial: fused attention of up to ROWS query rows of one KV head over a range of a sequence's tiles: dequantisation,
 * low rank (u = B^T q first, so L is never formed), outliers, window, tail and online softmax. Writes an unnormalised partial
 * result. Portable variant: OpenCL 1.2, no extensions; reads the fragment-ordered planes a word at a time. Paper, section 4
 * ("GEAR inference"); layout in docs/format.md. Reference: src/ref/attend_1_partial.c. 64 work-items for each (split, KV head x
 * row tile, sequence): a token each for q.K, channels lid, lid + 64, ... for p.V. */

#include "attend_options.clh"

#define OWNED ((HEAD_DIM + 63) / 64)

#include "attend.clh"
#include "attend_block.clh"
#include "rotate.clh"

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_attend_1_partial(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs, uint advance,
    __global const ushort *window, __global const ulong *call, __global const uchar *q, ulong q_offset,
    __global const uchar *tail_k, ulong tail_k_offset, __global const uchar *tail_v, ulong tail_v_offset, float scale,
    float soft_cap, uint query_heads, uint row_tiles, __global float *partial, __global float *softmax)
{
    __local float query[ROWS * HEAD_DIM], p[ROWS * 64], u[ROWS * GEAR__MAX_RANK], w[ROWS * GEAR__MAX_RANK], maxima[ROWS * 8];
    __local float fold[K_MIXED | V_MIXED ? 2 * FOLD : 1];
#if K_MIXED
    __local float stored_query[ROWS * HEAD_DIM];
#endif
    __local uint part[64];
    const uint lid = (uint)get_local_id(0), split = (uint)get_group_id(0), splits = (uint)get_num_groups(0);
    const uint head = (uint)get_group_id(1) / row_tiles, row0 = (uint)get_group_id(1) % row_tiles * ROWS;
    const uint entry = (uint)get_group_id(2), group = query_heads / shape[GEAR__SHAPE_KV_HEADS];
    const gear_sequence_view s = gear_view_sequence(shape, table, seqs, entry, advance);
    const uint rows = s.queries * group;
    if (row0 >= rows) {
        return;
    }

    for (uint i = lid; i < ROWS * HEAD_DIM; i += 64u) {
        uint row = row0 + i / HEAD_DIM;
        ulong at = gear_query_at(&s, call, entry, row, group, head) + i % HEAD_DIM;
        query[i] = row < rows ? gear_load(q + q_offset, at, (uint)call[GEAR__CALL_Q + GEAR__CALL_TYPE]) : 0.0f;
    }
    for (uint i = lid; i < ROWS * GEAR__MAX_RANK; i += 64u) {
        u[i] = 0.0f;
        w[i] = 0.0f;
    }

    float m[ROWS], l[ROWS], out[OWNED][ROWS];
#if V_ROTATE /* what comes from dense tiles is not rotated */
    float plain[OWNED][ROWS];
#else
#  define plain out
#endif
#pragma unroll
    for (uint r = 0; r < ROWS; r++) {
        m[r] = NEVER;
        l[r] = 0.0f;
#pragma unroll
        for (uint i = 0; i < OWNED; i++) {
            out[i][r] = 0.0f;
            plain[i][r] = 0.0f;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#if K_MIXED /* q in the stored channel order, for blocks */
    if (s.blocks) {
        __global const uchar *order = gear_record(pool, s.row[GEAR__HEADER_ORDER]) + head * HEAD_DIM;
        for (uint i = lid; i < ROWS * HEAD_DIM; i += 64u) {
            stored_query[i] = query[i - i % HEAD_DIM + order[i % HEAD_DIM]];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const float *block_query = stored_query;
#else
    __local const float *block_query = query;
#endif

    const uint tile_end = gear__first_tile(s.blocks, s.tiles, splits, split + 1u);
    uint segment = 0xffffffffu;
    for (uint index = gear__first_tile(s.blocks, s.tiles, splits, split); index < tile_end; index++) {
        const gear_tile tile = gear_tile_of(&s, index);
        const uint is_block = tile.kind == GEAR_TILE_BLOCK, position = tile.first + lid;
        const uint valid = lid < tile.tokens && !(is_block && position < s.exact);
        float score[ROWS];
#pragma unroll
        for (uint r = 0; r < ROWS; r++) {
            score[r] = 0.0f;
        }

        { /* scores of token lid; u = B_K^T q once a segment */
            gear_block_view v = gear_view_block(pool, shape, 0u, HEAD_DIM, tile.block, tile.segment, tile.cls, head);
            gear_outliers o = gear_outliers_of(pool, shape, 0u, tile.block, tile.segment, tile.cls, head);
            const uint outliers = K_OUTLIERS != 0 && is_block, lists = gear__k_lists_per_token(HEAD_DIM);
            v.bits = K_FACTOR_BITS; /* known when compiling; 0: no low-rank part */
            v.rank = K_FACTOR_BITS ? v.rank : 0u;
            o.bits = K_OUTLIERS;
            if (K_FACTOR_BITS && is_block && tile.segment != segment) {
                segment = tile.segment;
                for (uint i = lid; i < ROWS * v.rank; i += 64u) {
                    uint r = i / v.rank, j = i % v.rank;
                    float sum = 0.0f;
                    for (uint c = 0; c < HEAD_DIM; c++) {
                        sum = fma(block_query[r * HEAD_DIM + c], gear_factor_b(&v, j, c, HEAD_DIM), sum);
                    }
                    u[r * GEAR__MAX_RANK + j] = sum;
                }
            }
            if (outliers) {
                gear_list_sums(&o, 64u * lists, part, lid);
            }
#if K_MIXED
            if (is_block) {
                gear_fold_k(&v, fold, lid);
            }
#endif
            barrier(CLK_LOCAL_MEM_FENCE);
            if (valid && is_block) {
                gear_block_scores(&v, fold, lid, block_query, score);
                for (uint j = 0; j < v.rank; j++) {
                    float a = gear_factor_a(&v, j, lid);
#pragma unroll
                    for (uint r = 0; r < ROWS; r++) {
                        score[r] = fma(a, u[r * GEAR__MAX_RANK + j], score[r]);
                    }
                }
                uint e = outliers ? gear_list_start(&o, lid * lists, 64u * lists, part) : 0u, end = e;
                for (uint i = 0; i < (outliers ? lists : 0u); i++) {
                    end += o.counts[lid * lists + i];
                }
                for (; e < end; e++) {
                    float delta = gear_delta(&o, e);
#pragma unroll
                    for (uint r = 0; r < ROWS; r++) {
                        score[r] = fma(delta, block_query[r * HEAD_DIM + o.indices[e]], score[r]);
                    }
                }
            } else if (valid) {
                const gear_dense d = gear_dense_of(&s, &tile, shape, pool, window, tail_k + tail_k_offset,
                                                   call + GEAR__CALL_TAIL_K, entry, 0u, head, HEAD_DIM);
                const ulong at = gear_dense_row(&d, lid);
                for (uint c = 0; c < HEAD_DIM; c++) {
                    float x = gear_load(d.data, at + c, d.type);
#pragma unroll
                    for (uint r = 0; r < ROWS; r++) {
                        score[r] = fma(query[r * HEAD_DIM + c], x, score[r]);
                    }
                }
            }
        }

        /* online softmax */
#pragma unroll
        for (uint r = 0; r < ROWS; r++) {
            float x = score[r] * scale;
            x = soft_cap > 0.0f ? soft_cap * tanh(x / soft_cap) : x;
            score[r] = valid && position + s.queries <= s.total + (row0 + r) / group ? x : NEVER;
            p[r * 64u + lid] = score[r];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid < ROWS * 8u) {
            float x = NEVER;
            for (uint i = 0; i < 8u; i++) {
                x = fmax(x, p[(lid / 8u) * 64u + (lid % 8u) * 8u + i]);
            }
            maxima[lid] = x;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (uint r = 0; r < ROWS; r++) {
            float x = m[r];
            for (uint i = 0; i < 8u; i++) {
                x = fmax(x, maxima[r * 8u + i]);
            }
            float shrink = exp(m[r] - x), probability = score[r] > NEVER ? exp(score[r] - x) : 0.0f;
            m[r] = x;
            l[r] = fma(l[r], shrink, probability);
            p[r * 64u + lid] = probability;
#pragma unroll
            for (uint i = 0; i < OWNED; i++) {
                out[i][r] *= shrink;
#if V_ROTATE
                plain[i][r] *= shrink;
#endif
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);

        { /* values of channels lid, lid + 64, ...; w = p^T A_V first */
            gear_block_view v = gear_view_block(pool, shape, 1u, HEAD_DIM, tile.block, tile.segment, tile.cls, head);
            gear_outliers o = gear_outliers_of(pool, shape, 1u, tile.block, tile.segment, tile.cls, head);
            const uint outliers = V_OUTLIERS != 0 && is_block;
            v.bits = V_FACTOR_BITS;
            v.rank = V_FACTOR_BITS ? v.rank : 0u;
            o.bits = V_OUTLIERS;
            for (uint i = lid; i < (is_block ? ROWS * v.rank : 0u); i += 64u) {
                uint r = i / v.rank, j = i % v.rank;
                float sum = 0.0f;
                for (uint t = 0; t < 64u; t++) {
                    sum = fma(p[r * 64u + t], gear_factor_a(&v, j, t), sum);
                }
                w[r * GEAR__MAX_RANK + j] = sum;
            }
            if (outliers) {
                gear_list_sums(&o, HEAD_DIM, part, lid);
            }
#if V_MIXED
            if (is_block) {
                gear_fold_v(&v, fold, lid);
            }
#endif
            barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
            for (uint i = 0; i < OWNED; i++) {
                const uint channel = lid + 64u * i;
                if (channel < HEAD_DIM && is_block) {
                    gear_block_values(&v, fold, channel, p, out[i]);
                    for (uint j = 0; j < v.rank; j++) {
                        float b = gear_factor_b(&v, j, channel, HEAD_DIM);
#pragma unroll
                        for (uint r = 0; r < ROWS; r++) {
                            out[i][r] = fma(b, w[r * GEAR__MAX_RANK + j], out[i][r]);
                        }
                    }
                    uint e = outliers ? gear_list_start(&o, channel, HEAD_DIM, part) : 0u;
                    for (uint end = outliers ? e + o.counts[channel] : e; e < end; e++) {
                        float delta = gear_delta(&o, e);
#pragma unroll
                        for (uint r = 0; r < ROWS; r++) {
                            out[i][r] = fma(delta, p[r * 64u + o.indices[e]], out[i][r]);
                        }
                    }
                } else if (channel < HEAD_DIM) {
                    const gear_dense d = gear_dense_of(&s, &tile, shape, pool, window, tail_v + tail_v_offset,
                                                       call + GEAR__CALL_TAIL_V, entry, 1u, head, HEAD_DIM);
                    for (uint t = 0; t < tile.tokens; t++) {
                        float x = gear_load(d.data, gear_dense_row(&d, t) + channel, d.type);
#pragma unroll
                        for (uint r = 0; r < ROWS; r++) {
                            plain[i][r] = fma(p[r * 64u + t], x, plain[i][r]);
                        }
                    }
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

#pragma unroll
    for (uint r = 0; r < ROWS; r++) {
        p[r * 64u + lid] = l[r];
#if V_ROTATE
        for (uint i = 0; i < OWNED; i++) {
            if (lid + 64u * i < HEAD_DIM) {
                query[r * HEAD_DIM + lid + 64u * i] = out[i][r];
            }
        }
#endif
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
    for (uint r = 0; r < ROWS; r++) {
        uint row = row0 + r;
        if (row >= rows) {
            continue;
        }
        ulong at = gear_partial_at(&s, row, group, head, query_heads, splits, split);
#pragma unroll
        for (uint i = 0; i < OWNED; i++) {
            if (lid + 64u * i < HEAD_DIM) {
#if V_ROTATE
                float value = gear_rotate_back(query + r * HEAD_DIM, lid + 64u * i) + plain[i][r];
#else
                float value = out[i][r];
#endif
                partial[at * HEAD_DIM + lid + 64u * i] = value;
            }
        }
        if (lid == 0u) {
            float sum = 0.0f;
#pragma unroll 1 /* else Intel's compiler does not unroll the loop over r, and the sums go to scratch memory */
            for (uint t = 0; t < 64u; t++) {
                sum += p[r * 64u + t];
            }
            softmax[2ul * at] = m[r];
            softmax[2ul * at + 1ul] = sum;
        }
    }
}
