/* attend_1_partial: fused attention of up to ROWS query rows of one KV head over a range of a sequence's tiles: dequantisation, low
 * rank (u = B^T q first, so L is never formed), outliers, window, tail and online softmax. Writes an unnormalised partial result.
 * Portable variant: OpenCL 1.2, no extensions; reads the fragment-ordered planes a word at a time.
 * Paper, section 4 ("GEAR inference"); layout in docs/format.md. Reference: src/ref/attend_1_partial.c.
 * 64 work-items for each (split, KV head x row tile, sequence): a token each for q.K, channels lid, lid + 64, ... for p.V. */
#include "attend.clh"

#if !defined HEAD_DIM || !defined K_BITS || !defined V_BITS || !defined ROWS || !defined K_BY_TOKEN || !defined V_BY_TOKEN
#error "HEAD_DIM, K_BITS, V_BITS, ROWS, K_BY_TOKEN or V_BY_TOKEN is missing"
#endif

#define STEPS (HEAD_DIM / 16)
#define OWNED ((HEAD_DIM + 63) / 64)
#define MAX_RANK 8
#define NEVER (-1e30f)

#define K_WIDTH (K_BITS == 3 ? 2 : K_BITS == 5 ? 4 : K_BITS)
#define V_WIDTH (V_BITS == 3 ? 2 : V_BITS == 5 ? 4 : V_BITS)
#define K_HIGH (K_BITS == 3 || K_BITS == 5)
#define V_HIGH (V_BITS == 3 || V_BITS == 5)

inline float gear_half_at(__global const ushort *data, uint index)
{
    return vload_half(index, (__global const half *)data);
}

/* Both codes of a pair: the low one in .x, its neighbour in .y. `bit` addresses the low code of the main plane. */
inline uint2 gear_code_pair(__global const uint *words, uint bit, uint width)
{
    uint word = words[bit >> 5] >> (bit & 31u), field = (1u << width) - 1u;
    return (uint2)(word & field, (word >> 16) & field);
}

/* q . (D + S) of one token for every row; the low-rank part is added by the caller. */
inline void gear_block_scores(const gear_block_view *v, uint token, __local const float *q, float *score)
{
    __global const uint *codes = (__global const uint *)v->codes;
#if K_BITS < 16
    __global const ushort *pairs = v->pairs.data + (token >> v->pairs.token_shift) * v->pairs.token_step;
#endif
    for (uint step = 0; step < STEPS; step++) {
        uint group = gear__group_size(STEPS, step), first = gear__group_first(STEPS, step);
#if K_BITS < 16 && K_BY_TOKEN
        uint pair_at = (step * 16u >> v->pairs.channel_shift) * v->pairs.channel_step;
        float scale = gear_half_at(pairs, pair_at), zero = gear_half_at(pairs, pair_at + v->pairs.zero);
#endif
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
            for (uint r = 0; r < ROWS; r++) {
                score[r] = fma(q[r * HEAD_DIM + c], x, fma(q[r * HEAD_DIM + c + 1u], y, score[r]));
            }
        }
    }
}

/* p . D of one channel over the block's 64 tokens for every row. */
inline void gear_block_values(const gear_block_view *v, uint channel, __local const float *p, float *sum)
{
    __global const uint *codes = (__global const uint *)v->codes;
#if V_BITS < 16
    __global const ushort *pairs = v->pairs.data + (channel >> v->pairs.channel_shift) * v->pairs.channel_step;
#endif
    uint base = (channel >> 4) * 1024u, half_row = ((channel >> 3) & 1u) * 8u;
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
        for (uint r = 0; r < ROWS; r++) {
            sum[r] = fma(p[r * 64u + t], x, fma(p[r * 64u + t + 1u], y, sum[r]));
        }
    }
}

/* start[i] = entries before list i of the block, by 64 work-items; needs a barrier before use. Two calls with a barrier between. */
inline void gear_list_sums(const gear_outliers *o, uint lists, __local uint *part, uint lid)
{
    uint per = (lists + 63u) / 64u, sum = 0u;
    for (uint i = lid * per; i < min((lid + 1u) * per, lists); i++) {
        sum += o->counts[i];
    }
    part[lid] = sum;
}

inline uint gear_list_start(const gear_outliers *o, uint list, uint lists, __local const uint *part)
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
                        uint advance, __global const ushort *window, __global const uchar *q, ulong q_offset, ulong q_stride_seq,
                        ulong q_stride_head, ulong q_stride_token, uint q_type, __global const uchar *tail_k, ulong tail_k_offset,
                        ulong tail_k_stride_seq, ulong tail_k_stride_head, ulong tail_k_stride_token, uint tail_k_type,
                        __global const uchar *tail_v, ulong tail_v_offset, ulong tail_v_stride_seq, ulong tail_v_stride_head,
                        ulong tail_v_stride_token, uint tail_v_type, float scale, float soft_cap, uint query_heads,
                        uint row_tiles, __global float *partial, __global float *softmax)
{
    __local float query[ROWS * HEAD_DIM], p[ROWS * 64], u[ROWS * MAX_RANK], w[ROWS * MAX_RANK], maxima[ROWS * 8];
    __local uint k_part[64], v_part[64];
    const uint lid = (uint)get_local_id(0), split = (uint)get_group_id(0), splits = (uint)get_num_groups(0);
    const uint head = (uint)get_group_id(1) / row_tiles, row0 = (uint)get_group_id(1) % row_tiles * ROWS;
    const uint entry = (uint)get_group_id(2), group = query_heads / shape[GEAR__SHAPE_KV_HEADS];
    const gear_sequence_view s = gear_view_sequence(shape, table, seqs, entry, advance);
    const gear_tensor tk = {tail_k + tail_k_offset, tail_k_stride_seq, tail_k_stride_head, tail_k_stride_token, tail_k_type};
    const gear_tensor tv = {tail_v + tail_v_offset, tail_v_stride_seq, tail_v_stride_head, tail_v_stride_token, tail_v_type};
    const uint rows = s.queries * group;
    const uint has_k_outliers = shape[GEAR_SIDE(0u) + GEAR__SIDE_OUTLIERS], has_v_outliers = shape[GEAR_SIDE(1u) + GEAR__SIDE_OUTLIERS];
    if (row0 >= rows) {
        return;
    }

    ulong q_first = q_stride_seq ? entry * q_stride_seq : s.seq[GEAR__SEQ_ROW] * q_stride_token;
    for (uint i = lid; i < ROWS * HEAD_DIM; i += 64u) {
        uint row = row0 + i / HEAD_DIM;
        ulong at = q_first + (row / group) * q_stride_token + (head * group + row % group) * q_stride_head + i % HEAD_DIM;
        query[i] = row < rows ? gear_load(q + q_offset, at, q_type) : 0.0f;
    }
    for (uint i = lid; i < ROWS * MAX_RANK; i += 64u) {
        u[i] = 0.0f;
        w[i] = 0.0f;
    }

    float m[ROWS], l[ROWS], out[OWNED][ROWS];
    for (uint r = 0; r < ROWS; r++) {
        m[r] = NEVER;
        l[r] = 0.0f;
        for (uint i = 0; i < OWNED; i++) {
            out[i][r] = 0.0f;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    uint per = (s.tiles + splits - 1u) / splits, tile_end = min(s.tiles, (split + 1u) * per);
    uint segment = 0xffffffffu;
    for (uint index = split * per; index < tile_end; index++) {
        const gear_tile tile = gear_tile_of(&s, index);
        const uint is_block = tile.kind == GEAR_TILE_BLOCK;
        const gear_block_view vk = gear_view_block(pool, shape, 0u, HEAD_DIM, tile.block, tile.segment, tile.cls, head);
        const gear_block_view vv = gear_view_block(pool, shape, 1u, HEAD_DIM, tile.block, tile.segment, tile.cls, head);
        const gear_outliers ok = gear_outliers_of(pool, shape, 0u, tile.block, tile.segment, tile.cls, head);
        const gear_outliers ov = gear_outliers_of(pool, shape, 1u, tile.block, tile.segment, tile.cls, head);
        const uint k_outliers = is_block && has_k_outliers, v_outliers = is_block && has_v_outliers;

        /* u = B_K^T q, once a segment */
        if (is_block && tile.segment != segment) {
            segment = tile.segment;
            for (uint i = lid; i < ROWS * vk.rank; i += 64u) {
                uint r = i / vk.rank, j = i % vk.rank;
                float sum = 0.0f;
                for (uint c = 0; c < HEAD_DIM; c++) {
                    sum = fma(query[r * HEAD_DIM + c], gear_factor_b(&vk, j, c, HEAD_DIM), sum);
                }
                u[r * MAX_RANK + j] = sum;
            }
        }
        if (k_outliers) {
            gear_list_sums(&ok, 64u * gear__k_lists_per_token(HEAD_DIM), k_part, lid);
        }
        if (v_outliers) {
            gear_list_sums(&ov, HEAD_DIM, v_part, lid);
        }
        barrier(CLK_LOCAL_MEM_FENCE);

        /* scores of token lid */
        float score[ROWS];
        for (uint r = 0; r < ROWS; r++) {
            score[r] = 0.0f;
        }
        const uint position = tile.first + lid;
        const uint valid = lid < tile.tokens && !(is_block && position < s.exact);
        if (valid && is_block) {
            gear_block_scores(&vk, lid, query, score);
            for (uint j = 0; j < vk.rank; j++) {
                float a = gear_factor_a(&vk, j, lid);
                for (uint r = 0; r < ROWS; r++) {
                    score[r] = fma(a, u[r * MAX_RANK + j], score[r]);
                }
            }
            if (k_outliers) {
                uint lists = gear__k_lists_per_token(HEAD_DIM), e = gear_list_start(&ok, lid * lists, 64u * lists, k_part), n = 0u;
                for (uint i = 0; i < lists; i++) {
                    n += ok.counts[lid * lists + i];
                }
                for (uint end = e + n; e < end; e++) {
                    uint c = ok.indices[e];
                    float delta = gear_half_at(ok.deltas, e);
                    for (uint r = 0; r < ROWS; r++) {
                        score[r] = fma(delta, query[r * HEAD_DIM + c], score[r]);
                    }
                }
            }
        } else if (valid) {
            const gear_dense d = gear_dense_of(&s, &tile, shape, pool, window, &tk, entry, 0u, head, HEAD_DIM);
            for (uint c = 0; c < HEAD_DIM; c++) {
                float x = gear_dense_at(&d, lid, c);
                for (uint r = 0; r < ROWS; r++) {
                    score[r] = fma(query[r * HEAD_DIM + c], x, score[r]);
                }
            }
        }
        for (uint r = 0; r < ROWS; r++) {
            float x = score[r] * scale;
            x = soft_cap > 0.0f ? soft_cap * tanh(x / soft_cap) : x;
            uint seen = valid && position + s.queries <= s.total + (row0 + r) / group;
            p[r * 64u + lid] = seen ? x : NEVER;
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
        for (uint r = 0; r < ROWS; r++) {
            float x = m[r];
            for (uint i = 0; i < 8u; i++) {
                x = fmax(x, maxima[r * 8u + i]);
            }
            float shrink = exp(m[r] - x), probability = p[r * 64u + lid];
            probability = probability > NEVER ? exp(probability - x) : 0.0f;
            m[r] = x;
            l[r] = fma(l[r], shrink, probability);
            p[r * 64u + lid] = probability;
            for (uint i = 0; i < OWNED; i++) {
                out[i][r] *= shrink;
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);

        /* w = p^T A_V */
        if (is_block) {
            for (uint i = lid; i < ROWS * vv.rank; i += 64u) {
                uint r = i / vv.rank, j = i % vv.rank;
                float sum = 0.0f;
                for (uint t = 0; t < 64u; t++) {
                    sum = fma(p[r * 64u + t], gear_factor_a(&vv, j, t), sum);
                }
                w[r * MAX_RANK + j] = sum;
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = 0; i < OWNED; i++) {
            const uint channel = lid + 64u * i;
            if (channel >= HEAD_DIM) {
                continue;
            }
            if (!is_block) {
                const gear_dense d = gear_dense_of(&s, &tile, shape, pool, window, &tv, entry, 1u, head, HEAD_DIM);
                for (uint t = 0; t < tile.tokens; t++) {
                    float x = gear_dense_at(&d, t, channel);
                    for (uint r = 0; r < ROWS; r++) {
                        out[i][r] = fma(p[r * 64u + t], x, out[i][r]);
                    }
                }
                continue;
            }
            gear_block_values(&vv, channel, p, out[i]);
            for (uint j = 0; j < vv.rank; j++) {
                float b = gear_factor_b(&vv, j, channel, HEAD_DIM);
                for (uint r = 0; r < ROWS; r++) {
                    out[i][r] = fma(b, w[r * MAX_RANK + j], out[i][r]);
                }
            }
            if (v_outliers) {
                uint e = gear_list_start(&ov, channel, HEAD_DIM, v_part), n = ov.counts[channel];
                for (uint end = e + n; e < end; e++) {
                    uint t = ov.indices[e];
                    float delta = gear_half_at(ov.deltas, e);
                    for (uint r = 0; r < ROWS; r++) {
                        out[i][r] = fma(delta, p[r * 64u + t], out[i][r]);
                    }
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (uint r = 0; r < ROWS; r++) {
        p[r * 64u + lid] = l[r];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint r = 0; r < ROWS; r++) {
        uint row = row0 + r;
        if (row >= rows) {
            break;
        }
        ulong at = ((ulong)(s.seq[GEAR__SEQ_ROW] + row / group) * query_heads + head * group + row % group) * splits + split;
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
