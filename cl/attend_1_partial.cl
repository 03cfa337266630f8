/* attend_1_partial: fused attention of up to ROWS query rows of one KV head over a range of a sequence's tiles: dequantisation, low
 * rank (u = B^T q first, so L is never formed), outliers, window, tail and online softmax. Writes an unnormalised partial result.
 * Portable variant: OpenCL 1.2, no extensions; reads the fragment-ordered planes a word at a time.
 * Paper, section 4 ("GEAR inference"); layout in docs/format.md. Reference: src/ref/attend_1_partial.c.
 * 64 work-items for each (split, KV head x row tile, sequence): a token each for q.K, channels lid, lid + 64, ... for p.V. */
#include "attend.clh"

#if !defined HEAD_DIM || !defined ROWS || !defined K_BITS || !defined K_BY_TOKEN || !defined K_FACTOR_BITS || !defined K_OUTLIERS
#error "HEAD_DIM, ROWS, K_BITS, K_BY_TOKEN, K_FACTOR_BITS or K_OUTLIERS is missing"
#endif
#if !defined V_BITS || !defined V_BY_TOKEN || !defined V_FACTOR_BITS || !defined V_OUTLIERS
#error "V_BITS, V_BY_TOKEN, V_FACTOR_BITS or V_OUTLIERS is missing"
#endif

#define STEPS (HEAD_DIM / 16)
#define OWNED ((HEAD_DIM + 63) / 64)
#define MAX_RANK 8
#define NEVER (-1e30f)

#define K_WIDTH (K_BITS == 3 ? 2 : K_BITS == 5 ? 4 : K_BITS)
#define V_WIDTH (V_BITS == 3 ? 2 : V_BITS == 5 ? 4 : V_BITS)
#define K_HIGH (K_BITS == 3 || K_BITS == 5)
#define V_HIGH (V_BITS == 3 || V_BITS == 5)

GEAR__INLINE float gear_half_at(__global const ushort *data, uint index)
{
    return vload_half(index, (__global const half *)data);
}

/* Both codes of a pair: the low one in .x, its neighbour in .y. `bit` addresses the low code of the main plane. */
GEAR__INLINE uint2 gear_code_pair(__global const uint *words, uint bit, uint width)
{
    uint word = words[bit >> 5] >> (bit & 31u), field = (1u << width) - 1u;
    return (uint2)(word & field, (word >> 16) & field);
}

/* q . (D + S) of one token for every row; the low-rank part is added by the caller. */
GEAR__INLINE void gear_block_scores(const gear_block_view *v, uint token, __local const float *q, float *score)
{
    __global const uint *codes = (__global const uint *)v->codes;
#if K_BITS < 16
    __global const ushort *pairs = v->pairs.data + (token >> v->pairs.token_shift) * v->pairs.token_step;
#endif
#pragma unroll 1
    for (uint step = 0; step < STEPS; step++) {
        uint group = gear__group_size(STEPS, step), first = gear__group_first(STEPS, step);
#if K_BITS < 16 && K_BY_TOKEN
        uint pair_at = (step * 16u >> v->pairs.channel_shift) * v->pairs.channel_step;
        float scale = gear_half_at(pairs, pair_at), zero = gear_half_at(pairs, pair_at + v->pairs.zero);
#endif
#pragma unroll 1
        for (uint i = 0; i < 8u; i++) { /* quarter i / 2, pair i % 2 */
            uint lane = 4u * (token & 7u) + (i >> 1), pair = (token >> 3) * 2u * group + (step - first) * 2u + (i & 1u);
            uint bit = first * 1024u * K_WIDTH + gear__pair_bit(K_WIDTH, group * K_WIDTH, lane, pair), c = step * 16u + 2u * i;
            uint2 code = gear_code_pair(codes, bit, K_WIDTH);
#if K_HIGH
            bit = first * 1024u + gear__pair_bit(1u, group, lane, pair);
            code |= gear_code_pair(codes + HEAD_DIM * 2 * K_WIDTH, bit, 1u) << (uint)K_WIDTH;
#endif
#if K_BITS == 16
            float x = gear_float_from_half(code.x), y = gear_float_from_half(code.y);
#elif K_BY_TOKEN
            float x = fma((float)code.x, scale, zero), y = fma((float)code.y, scale, zero);
#else
            float x = fma((float)code.x, gear_half_at(pairs, c), gear_half_at(pairs, c + v->pairs.zero));
            float y = fma((float)code.y, gear_half_at(pairs, c + 1u), gear_half_at(pairs, c + 1u + v->pairs.zero));
#endif
#pragma unroll
            for (uint r = 0; r < ROWS; r++) {
                score[r] = fma(q[r * HEAD_DIM + c], x, fma(q[r * HEAD_DIM + c + 1u], y, score[r]));
            }
        }
    }
}

/* p . D of one channel over the block's 64 tokens for every row. */
GEAR__INLINE void gear_block_values(const gear_block_view *v, uint channel, __local const float *p, float *sum)
{
    __global const uint *codes = (__global const uint *)v->codes;
#if V_BITS < 16
    __global const ushort *pairs = v->pairs.data + (channel >> v->pairs.channel_shift) * v->pairs.channel_step;
#endif
    uint base = (channel >> 4) * 1024u, half_row = ((channel >> 3) & 1u) * 8u;
#pragma unroll 1
    for (uint i = 0; i < 32u; i++) { /* tokens 2i, 2i + 1: tile i / 8, quarter i / 2 % 4, pair i % 2 */
        uint lane = 4u * (channel & 7u) + ((i >> 1) & 3u), pair = half_row + (i >> 3) * 2u + (i & 1u), t = 2u * i;
        uint bit = base * V_WIDTH + gear__pair_bit(V_WIDTH, V_WIDTH, lane, pair);
        uint2 code = gear_code_pair(codes, bit, V_WIDTH);
#if V_HIGH
        bit = base + gear__pair_bit(1u, 1u, lane, pair);
        code |= gear_code_pair(codes + HEAD_DIM * 2 * V_WIDTH, bit, 1u) << (uint)V_WIDTH;
#endif
#if V_BITS == 16
        float x = gear_float_from_half(code.x), y = gear_float_from_half(code.y);
#elif V_BY_TOKEN
        float x = fma((float)code.x, gear_half_at(pairs, t), gear_half_at(pairs, t + v->pairs.zero));
        float y = fma((float)code.y, gear_half_at(pairs, t + 1u), gear_half_at(pairs, t + 1u + v->pairs.zero));
#else
        uint at = (t >> v->pairs.token_shift) * v->pairs.token_step;
        float scale = gear_half_at(pairs, at), zero = gear_half_at(pairs, at + v->pairs.zero);
        float x = fma((float)code.x, scale, zero), y = fma((float)code.y, scale, zero);
#endif
#pragma unroll
        for (uint r = 0; r < ROWS; r++) {
            sum[r] = fma(p[r * 64u + t], x, fma(p[r * 64u + t + 1u], y, sum[r]));
        }
    }
}

/* start[i] = entries before list i of the block, by 64 work-items; needs a barrier before use. Two calls with a barrier between. */
GEAR__INLINE void gear_list_sums(const gear_outliers *o, uint lists, __local uint *part, uint lid)
{
    uint per = (lists + 63u) / 64u, sum = 0u;
    for (uint i = lid * per; i < min((lid + 1u) * per, lists); i++) {
        sum += o->counts[i];
    }
    part[lid] = sum;
}

GEAR__INLINE uint gear_list_start(const gear_outliers *o, uint list, uint lists, __local const uint *part)
{
    uint per = (lists + 63u) / 64u, owner = list / per, sum = o->base;
    for (uint i = 0; i < owner; i++) {
        sum += part[i];
    }
    for (uint i = owner * per; i < list; i++) {
        sum += o->counts[i];
    }
    return sum;
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
gear_k_attend_1_partial(__global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
                        uint advance, __global const ushort *window, __global const ulong *call, __global const uchar *q,
                        ulong q_offset, __global const uchar *tail_k, ulong tail_k_offset, __global const uchar *tail_v,
                        ulong tail_v_offset, float scale, float soft_cap, uint query_heads, uint row_tiles,
                        __global float *partial, __global float *softmax)
{
    __local float query[ROWS * HEAD_DIM], p[ROWS * 64], u[ROWS * MAX_RANK], w[ROWS * MAX_RANK], maxima[ROWS * 8];
    __local uint part[64];
    const uint lid = (uint)get_local_id(0), split = (uint)get_group_id(0), splits = (uint)get_num_groups(0);
    const uint head = (uint)get_group_id(1) / row_tiles, row0 = (uint)get_group_id(1) % row_tiles * ROWS;
    const uint entry = (uint)get_group_id(2), group = query_heads / shape[GEAR__SHAPE_KV_HEADS];
    const gear_sequence_view s = gear_view_sequence(shape, table, seqs, entry, advance);
    const uint rows = s.queries * group;
    if (row0 >= rows) {
        return;
    }

    const ulong q_token = call[GEAR__CALL_Q + GEAR__CALL_STRIDE_TOKEN], q_head = call[GEAR__CALL_Q + GEAR__CALL_STRIDE_HEAD];
    const ulong q_seq = call[GEAR__CALL_Q + GEAR__CALL_STRIDE_SEQ], q_first = q_seq ? entry * q_seq : s.seq[GEAR__SEQ_ROW] * q_token;
    for (uint i = lid; i < ROWS * HEAD_DIM; i += 64u) {
        uint row = row0 + i / HEAD_DIM;
        ulong at = q_first + (row / group) * q_token + (head * group + row % group) * q_head + i % HEAD_DIM;
        query[i] = row < rows ? gear_load(q + q_offset, at, (uint)call[GEAR__CALL_Q + GEAR__CALL_TYPE]) : 0.0f;
    }
    for (uint i = lid; i < ROWS * MAX_RANK; i += 64u) {
        u[i] = 0.0f;
        w[i] = 0.0f;
    }

    float m[ROWS], l[ROWS], out[OWNED][ROWS];
#pragma unroll
    for (uint r = 0; r < ROWS; r++) {
        m[r] = NEVER;
        l[r] = 0.0f;
#pragma unroll
        for (uint i = 0; i < OWNED; i++) {
            out[i][r] = 0.0f;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    uint per = (s.tiles + splits - 1u) / splits, tile_end = min(s.tiles, (split + 1u) * per);
    uint segment = 0xffffffffu;
    for (uint index = split * per; index < tile_end; index++) {
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
            const gear_outliers o = gear_outliers_of(pool, shape, 0u, tile.block, tile.segment, tile.cls, head);
            const uint outliers = K_OUTLIERS && is_block, lists = gear__k_lists_per_token(HEAD_DIM);
            v.bits = K_FACTOR_BITS; /* known when compiling; 0: no low-rank part */
            v.rank = K_FACTOR_BITS ? v.rank : 0u;
            if (K_FACTOR_BITS && is_block && tile.segment != segment) {
                segment = tile.segment;
                for (uint i = lid; i < ROWS * v.rank; i += 64u) {
                    uint r = i / v.rank, j = i % v.rank;
                    float sum = 0.0f;
                    for (uint c = 0; c < HEAD_DIM; c++) {
                        sum = fma(query[r * HEAD_DIM + c], gear_factor_b(&v, j, c, HEAD_DIM), sum);
                    }
                    u[r * MAX_RANK + j] = sum;
                }
            }
            if (outliers) {
                gear_list_sums(&o, 64u * lists, part, lid);
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            if (valid && is_block) {
                gear_block_scores(&v, lid, query, score);
                for (uint j = 0; j < v.rank; j++) {
                    float a = gear_factor_a(&v, j, lid);
#pragma unroll
                    for (uint r = 0; r < ROWS; r++) {
                        score[r] = fma(a, u[r * MAX_RANK + j], score[r]);
                    }
                }
                uint e = outliers ? gear_list_start(&o, lid * lists, 64u * lists, part) : 0u, end = e;
                for (uint i = 0; i < (outliers ? lists : 0u); i++) {
                    end += o.counts[lid * lists + i];
                }
                for (; e < end; e++) {
                    float delta = gear_half_at(o.deltas, e);
#pragma unroll
                    for (uint r = 0; r < ROWS; r++) {
                        score[r] = fma(delta, query[r * HEAD_DIM + o.indices[e]], score[r]);
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
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);

        { /* values of channels lid, lid + 64, ...; w = p^T A_V first */
            gear_block_view v = gear_view_block(pool, shape, 1u, HEAD_DIM, tile.block, tile.segment, tile.cls, head);
            const gear_outliers o = gear_outliers_of(pool, shape, 1u, tile.block, tile.segment, tile.cls, head);
            const uint outliers = V_OUTLIERS && is_block;
            v.bits = V_FACTOR_BITS;
            v.rank = V_FACTOR_BITS ? v.rank : 0u;
            for (uint i = lid; i < (is_block ? ROWS * v.rank : 0u); i += 64u) {
                uint r = i / v.rank, j = i % v.rank;
                float sum = 0.0f;
                for (uint t = 0; t < 64u; t++) {
                    sum = fma(p[r * 64u + t], gear_factor_a(&v, j, t), sum);
                }
                w[r * MAX_RANK + j] = sum;
            }
            if (outliers) {
                gear_list_sums(&o, HEAD_DIM, part, lid);
            }
            barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
            for (uint i = 0; i < OWNED; i++) {
                const uint channel = lid + 64u * i;
                if (channel < HEAD_DIM && is_block) {
                    gear_block_values(&v, channel, p, out[i]);
                    for (uint j = 0; j < v.rank; j++) {
                        float b = gear_factor_b(&v, j, channel, HEAD_DIM);
#pragma unroll
                        for (uint r = 0; r < ROWS; r++) {
                            out[i][r] = fma(b, w[r * MAX_RANK + j], out[i][r]);
                        }
                    }
                    uint e = outliers ? gear_list_start(&o, channel, HEAD_DIM, part) : 0u;
                    for (uint end = outliers ? e + o.counts[channel] : e; e < end; e++) {
                        float delta = gear_half_at(o.deltas, e);
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
                            out[i][r] = fma(p[r * 64u + t], x, out[i][r]);
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
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
    for (uint r = 0; r < ROWS; r++) {
        uint row = row0 + r;
        if (row >= rows) {
            continue;
        }
        ulong at = ((ulong)(s.seq[GEAR__SEQ_ROW] + row / group) * query_heads + head * group + row % group) * splits + split;
#pragma unroll
        for (uint i = 0; i < OWNED; i++) {
            if (lid + 64u * i < HEAD_DIM) {
                partial[at * HEAD_DIM + lid + 64u * i] = out[i][r];
            }
        }
        if (lid == 0u) {
            float sum = 0.0f;
            for (uint t = 0; t < 64u; t++) {
                sum += p[r * 64u + t];
            }
            softmax[2ul * at] = m[r];
            softmax[2ul * at + 1ul] = sum;
        }
    }
}
