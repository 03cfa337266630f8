/* append_1_order: the channel order of a sequence, from the importance of K's channels over the segment that opens it.
 * Convention: docs/design.md, rule 10. Reference: src/ref/append_1_order.c. Two launches: the moments of every block, many
 * work-groups; their sum and the order, one for each (job, KV head). Reads the tokens where they come from, like
 * append_0_gather, but counts and records nothing. */
#include "tile.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

/* Channels that a work-item takes at a time. */
#if ITEMS == 1
#  define WIDE 8
typedef float8 gear_channels;
#  define CHANNELS(at) GEAR_FLOATS(8, at)
#  define PUT(x, at)   vstore8(x, 0, at)
#else
#  define WIDE         1
typedef float gear_channels;
#  define CHANNELS(at) gear_float_from_half(*(at))
#  define PUT(x, at)   (*(at) = (x))
#endif

/* sums: [KV head][staging block][sum, squares about the block's mean][HEAD_DIM], only of blocks of jobs that open a sequence.
 * Work-groups: (staging blocks, KV heads). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_1_moments(
    __global const uint *shape, __global const uint *table, __global const uint *seqs, __global const uint *jobs,
    __global const uint *row_jobs, __global const ushort *window, __global const uchar *k, ulong k_offset, ulong stride_seq,
    ulong stride_head, ulong stride_token, uint type, uint num_rows, __global float *sums)
{
    GEAR_LOCAL ushort halves[64 * GEAR_PITCH_K] __attribute__((aligned(16)));
    const uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global const uint *job = jobs + row_jobs[row_block] * GEAR__JOB_WORDS;
    if (job[GEAR__JOB_FIRST] != 0u) {
        return;
    }
    const uint entry = job[GEAR__JOB_ENTRY];
    const gear_tensor tensor = {k + k_offset, stride_seq, stride_head, stride_token, type};
    const gear_sequence seq = gear_sequence_of(seqs, entry);
    const gear_rows rows = gear_rows_of(shape, &seq, window, &tensor, entry, 0u, head);
    const gear_block_rows block = gear_block_rows_of(&rows, gear_header_of(shape, table, seq.slot), job[GEAR__JOB_FIRST],
                                                     job[GEAR__JOB_TOKENS], row_block - job[GEAR__JOB_ROW] / 64u);
    const gear_tile tile = {halves, 0, 0, GEAR_PITCH_K, 0};
    gear_load_rows(&block, &tile, GEAR_TO_TILE, 0u, 64u, 0u, 0, 0, lid);
    GEAR_BARRIER();

    const float inverse = gear_inverse_count(block.tokens);
    __global float *out = sums + ((ulong)head * (num_rows / 64u) + row_block) * 2u * HEAD_DIM;
    for (uint c = WIDE * lid; c < HEAD_DIM; c += WIDE * ITEMS) {
        gear_channels sum = 0.0f, squares = 0.0f;
#pragma unroll 8
        for (uint t = 0; t < block.tokens; t++) {
            sum += CHANNELS(halves + t * GEAR_PITCH_K + c);
        }
        const gear_channels mean = sum * inverse;
#pragma unroll 8
        for (uint t = 0; t < block.tokens; t++) {
            const gear_channels d = CHANNELS(halves + t * GEAR_PITCH_K + c) - mean;
            squares += d * d;
        }
        PUT(sum, out + c);
        PUT(squares, out + HEAD_DIM + c);
    }
}

/* Blocks whose sums are read at once. */
#define AT_ONCE 16u

/* Importance of a channel: population variance over the segment, times the mean square of the queries where they are given; the
 * order record lists channels by falling importance, equal ones by index. A work-group for each (job, KV head); jobs that do
 * not open their sequence return. weights: [sequence of the batch][head][head_dim], or has_weights 0. */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_1_order(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, uint num_rows, __global const float *sums, __global const float *weights, ulong weights_offset,
    uint has_weights)
{
    __local float importance[HEAD_DIM] __attribute__((aligned(16)));
    uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1), heads = shape[GEAR__SHAPE_KV_HEADS];
    __global const uint *job = jobs + (uint)get_group_id(0) * GEAR__JOB_WORDS;
    const uint entry = job[GEAR__JOB_ENTRY], tokens = job[GEAR__JOB_TOKENS];
    const uint blocks = job[GEAR__JOB_FIRST] == 0u ? job[GEAR__JOB_BLOCKS] : 0u;
    const uint full = tokens / 64u, rest = tokens % 64u; /* all blocks but the last are full */
    const float inverse = gear_inverse_count(tokens), inverse_rest = gear_inverse_count(max(rest, 1u));
    const uint many = min(blocks, full) / AT_ONCE * AT_ONCE;
    __global const float *of_job = sums + ((ulong)head * (num_rows / 64u) + job[GEAR__JOB_ROW] / 64u) * 2u * HEAD_DIM;
    for (uint c = lid; c < HEAD_DIM; c += ITEMS) {
        __global const float *column = of_job + c;
        float sum = 0.0f, squares = 0.0f, x[AT_ONCE], q[AT_ONCE];
#pragma unroll 1
        for (uint b = 0; b < many; b += AT_ONCE) {
#pragma unroll
            for (uint i = 0; i < AT_ONCE; i++) {
                x[i] = column[b * 2u * HEAD_DIM + i * 2u * HEAD_DIM];
            }
#pragma unroll
            for (uint i = 0; i < AT_ONCE; i++) {
                sum += x[i];
            }
        }
#pragma unroll 1
        for (uint b = many; b < blocks; b++) {
            sum += column[b * 2u * HEAD_DIM];
        }
        const float mean = sum * inverse;
#pragma unroll 1
        for (uint b = 0; b < many; b += AT_ONCE) {
#pragma unroll
            for (uint i = 0; i < AT_ONCE; i++) {
                x[i] = column[b * 2u * HEAD_DIM + i * 2u * HEAD_DIM];
                q[i] = column[b * 2u * HEAD_DIM + i * 2u * HEAD_DIM + HEAD_DIM];
            }
#pragma unroll
            for (uint i = 0; i < AT_ONCE; i++) {
                const float d = x[i] * 0x1p-6f - mean;
                squares += q[i] + 64.0f * (d * d);
            }
        }
#pragma unroll 1
        for (uint b = many; b < blocks; b++) {
            const float d = column[b * 2u * HEAD_DIM] * (b < full ? 0x1p-6f : inverse_rest) - mean;
            squares += column[b * 2u * HEAD_DIM + HEAD_DIM] + (b < full ? 64.0f : (float)rest) * (d * d);
        }
        float weight = has_weights ? weights[weights_offset + ((ulong)entry * heads + head) * HEAD_DIM + c] : 1.0f;
        float product = squares * inverse * weight;
        importance[c] = product > 0.0f ? product : 0.0f; /* a NaN among the weights must not break the permutation */
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (blocks == 0u) {
        return;
    }
    __global const uint *header = gear_header_of(shape, table, seqs[entry * GEAR__SEQ_WORDS + GEAR__SEQ_SLOT]);
    __global uchar *order = gear_record(pool, header[GEAR__HEADER_ORDER]) + head * HEAD_DIM;
    for (uint c = lid; c < HEAD_DIM; c += ITEMS) {
        const float own = importance[c];
        uint place = 0u;
#pragma unroll 2
        for (uint other = 0; other < HEAD_DIM; other += 4u) {
            const float4 theirs = *(__local const float4 *)(importance + other);
            place += (theirs.x > own || (theirs.x == own && other < c)) + (theirs.y > own || (theirs.y == own && other + 1u < c)) +
                     (theirs.z > own || (theirs.z == own && other + 2u < c)) +
                     (theirs.w > own || (theirs.w == own && other + 3u < c));
        }
        order[place] = (uchar)c;
    }
}
