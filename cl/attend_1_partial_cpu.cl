/* attend_1_partial_cpu: attend_1_partial for CPU devices: the same arguments and results (softmax and partial), one work-item
 * for each (split, KV head x row tile, sequence), 8-wide float32 vectors, scales folded into q and p, so that the inner loops
 * are a shift, an AND, a conversion and ROWS multiply-adds for 8 codes (docs/kernels.md). OpenCL 1.2, no extensions. Private
 * arrays are indexed freely: on a CPU they are memory like any other, and the compiler knows that they do not overlap.
 * Reference: src/ref/attend_1_partial.c. */

#include "attend_options.clh"

/* Vectors that the inner loops carry for each row: 8 sums in flight hide the latency of two multiply-add units, and with codes
 * and operands fit the 16 registers of AVX2. */
#define VECTORS (ROWS >= 3 ? 2 : 4)

#include "attend_cpu_k.clh"
#include "attend_cpu_v.clh"

/* Not inlined: PoCL puts three copies of a kernel into its program, and this way the work is compiled once. (PoCL 3.1 passes
 * wrong pointers to local memory to such functions; this one has none.) */
static __attribute__((noinline)) void gear_attend_cpu(__global const uint *shape, __global uchar *pool,
                                                      __global const uint *table, __global const uint *seqs, uint advance,
                                                      __global const ushort *window, __global const ulong *call,
                                                      __global const uchar *q, __global const uchar *tail_k,
                                                      __global const uchar *tail_v, float scale, float soft_cap,
                                                      uint query_heads, __global float *partial, __global float *softmax,
                                                      uint split, uint splits, uint head, uint row0, uint entry)
{
    const uint group = query_heads / shape[GEAR__SHAPE_KV_HEADS];
    const gear_sequence_view s = gear_view_sequence(shape, table, seqs, entry, advance);
    const uint rows = s.queries * group;
    if (row0 >= rows) {
        return;
    }

    float query[ROWS * HEAD_DIM], score[ROWS * 64];
    gear_k_state k;
    gear_v_state v;
    float m[ROWS];
    float16 l[ROWS];
#pragma unroll 1
    for (uint i = 0; i < ROWS * HEAD_DIM; i += 16u) {
        const uint row = row0 + i / HEAD_DIM;
        const ulong at = gear_query_at(&s, call, entry, row, group, head) + i % HEAD_DIM;
        vstore16(row < rows ? gear_load16(q, at, (uint)call[GEAR__CALL_Q + GEAR__CALL_TYPE]) : (float16)(0.0f), 0, query + i);
    }
    for (uint r = 0; r < ROWS; r++) {
        m[r] = NEVER;
        l[r] = 0.0f;
    }
    gear_k_begin(&k, pool, shape, &s, head, query);
    gear_v_begin(&v);

    const uint tile_end = gear__first_tile(s.blocks, s.tiles, splits, split + 1u);
#pragma unroll 1
    for (uint index = gear__first_tile(s.blocks, s.tiles, splits, split); index < tile_end; index++) {
        const gear_tile tile = gear_tile_of(&s, index);
        const uint is_block = tile.kind == GEAR_TILE_BLOCK;
        if (is_block) {
            gear_k_block(&k, pool, shape, &tile, head, score);
        } else {
            const gear_dense d =
                gear_dense_of(&s, &tile, shape, pool, window, tail_k, call + GEAR__CALL_TAIL_K, entry, 0u, head, HEAD_DIM);
            gear_dense_scores(&d, tile.tokens, query, score);
        }

        /* online softmax: scores become probabilities */
        const int exact_end = is_block ? (int)s.exact - (int)tile.first : 0;
        const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        float shrink[ROWS];
        uint shrinks = 0u;
#pragma unroll 1
        for (uint r = 0; r < ROWS; r++) {
            const int seen = (int)(s.total - s.queries + (row0 + r) / group + 1u) - (int)tile.first;
            const int end = min((int)tile.tokens, seen);
            float16 most = NEVER;
            for (uint t = 0; t < 64u; t += 16u) {
                const int16 token = lane + (int)t;
                float16 x = vload16(0, score + r * 64u + t) * scale;
                if (soft_cap > 0.0f) {
                    x = soft_cap * tanh(x / soft_cap);
                }
                x = select((float16)(NEVER), x, (token >= exact_end) & (token < end));
                vstore16(x, 0, score + r * 64u + t);
                most = fmax(most, x);
            }
            const float top = fmax(m[r], gear_max16(most));
            shrink[r] = exp(m[r] - top);
            shrinks |= top > m[r];
            m[r] = top;
            l[r] *= shrink[r];
            for (uint t = 0; t < 64u; t += 16u) {
                const float16 x = vload16(0, score + r * 64u + t);
                const float16 p = select((float16)(0.0f), gear_exp16(x - top), x > NEVER);
                l[r] += p;
                vstore16(p, 0, score + r * 64u + t);
            }
        }
        if (shrinks) {
            gear_v_shrink(&v, shrink);
        }

        if (is_block) {
            const uint following =
                index + 1u < s.blocks ? s.row[(index + 2u) * GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET] : tile.block;
            gear_v_block(&v, pool, shape, &tile, head, score, gear_block_head(pool, shape, following, tile.cls, head));
        } else {
            const gear_dense d =
                gear_dense_of(&s, &tile, shape, pool, window, tail_v, call + GEAR__CALL_TAIL_V, entry, 1u, head, HEAD_DIM);
            gear_dense_values(&d, tile.tokens, score, v.plain);
        }
    }

    gear_v_end(&v, pool, shape, head);
    for (uint r = 0; r < ROWS; r++) {
        const uint row = row0 + r;
        if (row >= rows) {
            continue;
        }
        const ulong at =
            ((ulong)(s.seq[GEAR__SEQ_ROW] + row / group) * query_heads + head * group + row % group) * splits + split;
        for (uint c = 0; c < HEAD_DIM; c += 16u) {
            vstore16(vload16(0, v.plain + r * HEAD_DIM + c), 0, partial + at * HEAD_DIM + c);
        }
        softmax[2ul * at] = m[r];
        softmax[2ul * at + 1ul] = gear_sum8(l[r].lo + l[r].hi);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gear_k_attend_1_partial_cpu(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs, uint advance,
    __global const ushort *window, __global const ulong *call, __global const uchar *q, ulong q_offset,
    __global const uchar *tail_k, ulong tail_k_offset, __global const uchar *tail_v, ulong tail_v_offset, float scale,
    float soft_cap, uint query_heads, uint row_tiles, __global float *partial, __global float *softmax)
{
    const uint tile = (uint)get_group_id(1);
    gear_attend_cpu(shape, pool, table, seqs, advance, window, call, q + q_offset, tail_k + tail_k_offset,
                    tail_v + tail_v_offset, scale, soft_cap, query_heads, partial, softmax, (uint)get_group_id(0),
                    (uint)get_num_groups(0), tile / row_tiles, tile % row_tiles * ROWS, (uint)get_group_id(2));
}
