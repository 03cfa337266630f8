/* append_1_marks: the outliers of the vector rule of one side (docs/design.md, rule 4) as bits, from the tokens as they come
 * in, for append_block: a bit for each value of a round, where gear__mark_at says. Reference: src/ref/append_1_marks.c. The
 * bits of a work-group are whole words, which it sets to 0 first. */
#include "select.clh"
#if HALF_PAIRS
#  include "select_nvidia_channels.clh"
#  include "select_nvidia_tokens.clh"
#endif

/* What both kernels know of values as they come in. position, channel: of vector 0 at index 0. */
GEAR__INLINE void gear_select_incoming(gear_select *s, const gear_rows *rows, uint position, uint channel)
{
    const uint is_new = position >= rows->length; /* and so are those after it */
    s->rows = *rows;
    s->position = position;
    s->channel = channel;
    s->stride_token = rows->source.stride_token;
    s->stride_head = rows->source.stride_head;
    s->plain = is_new && rows->is_aligned ? (__global const ushort *)rows->source.input + rows->start +
                                                (ulong)(position - rows->length) * rows->source.stride_token + channel
                                          : 0;
    s->mask = 0;
}

/* Along tokens: a channel over its segment. Range: MOST_ITEMS work-items for each (16 channels, KV head, job). */
__kernel GEAR_WORK_ITEMS(MOST_ITEMS) void gear_k_append_1_marks_channels(
    __global const uint *shape, uint is_v, __global const uint *table, __global const uint *seqs, __global const uint *jobs,
    __global const ushort *window, __global const uchar *input, ulong input_offset, ulong stride_seq, ulong stride_head,
    ulong stride_token, uint type, uint num_rows, __global uint *marks)
{
    GEAR_SELECT_MEMORY
    const uint channel = (uint)get_group_id(0) * SELECT_VECTORS, head = (uint)get_group_id(1);
    __global const uint *job = jobs + (uint)get_group_id(2) * GEAR__JOB_WORDS;
    const uint entry = job[GEAR__JOB_ENTRY], first = job[GEAR__JOB_FIRST], tokens = job[GEAR__JOB_TOKENS];
    const uint row = job[GEAR__JOB_ROW], blocks = job[GEAR__JOB_BLOCKS];
    const uint per_end = GEAR__PER_END_OF(job[GEAR__JOB_PER_END], is_v);
    const gear_sequence seq = gear_sequence_of(seqs, entry);
    const uint all_exact = gear_header_of(shape, table, seq.slot)[GEAR__HEADER_TOKENS];
    const uint exact = min((uint)max((int)all_exact - (int)first, 0), tokens);
    const gear_tensor tensor = {input + input_offset, stride_seq, stride_head, stride_token, type};
    const gear_rows rows = gear_rows_of(shape, &seq, window, &tensor, entry, is_v, head);
    gear_select s = GEAR_SELECT_OF(0u);
    gear_select_incoming(&s, &rows, first + exact, channel);
    s.pieces = tokens - exact;
    s.marks = marks + gear__mark_at(HEAD_DIM, num_rows, head, channel, 0u) / 2u;
    s.num_rows = num_rows;
    s.row = row + exact;
#if HALF_PAIRS
    if (gear_lanes_channels(&s, per_end, exact, blocks * GEAR__BLOCK)) {
        return;
    }
#endif
#pragma unroll 1
    for (uint i = s.lid; i < blocks * (GEAR__BLOCK / 2u); i += MOST_ITEMS) {
        s.marks[row / 2u + i] = 0u;
    }
    gear_select_outliers(&s, per_end, per_end);
}

/* Along channels: a token over all heads. Range: MOST_ITEMS work-items for each GEAR__SELECT_ROWS staging rows. */
__kernel GEAR_WORK_ITEMS(MOST_ITEMS) void gear_k_append_1_marks_tokens(
    __global const uint *shape, uint is_v, __global const uint *table, __global const uint *seqs, __global const uint *jobs,
    __global const uint *row_jobs, uint per_end, __global const ushort *window, __global const uchar *input, ulong input_offset,
    ulong stride_seq, ulong stride_head, ulong stride_token, uint type, uint num_rows, __global uint *marks)
{
    GEAR_SELECT_MEMORY
    const uint heads = shape[GEAR__SHAPE_KV_HEADS], rows_of_group = GEAR__SELECT_ROWS(HALF_PAIRS, heads * HEAD_DIM, type);
    const uint end = ((uint)get_group_id(0) + 1u) * rows_of_group;
    uint row = end - rows_of_group;
    __global const uint *job = jobs + row_jobs[row / GEAR__BLOCK] * GEAR__JOB_WORDS;
    const uint entry = job[GEAR__JOB_ENTRY], tokens = job[GEAR__JOB_TOKENS], first = job[GEAR__JOB_FIRST];
    const gear_sequence seq = gear_sequence_of(seqs, entry);
    const uint exact = gear_header_of(shape, table, seq.slot)[GEAR__HEADER_TOKENS];
    const gear_tensor tensor = {input + input_offset, stride_seq, stride_head, stride_token, type};
    const gear_rows rows = gear_rows_of(shape, &seq, window, &tensor, entry, is_v, 0u);
    gear_select s = GEAR_SELECT_OF(1u);
    s.pieces = heads * (HEAD_DIM / 8u);
    s.marks = marks;
    s.num_rows = num_rows;
    const uint vector = s.lid % SELECT_VECTORS;
#if HALF_PAIRS
    const uint begin = row - job[GEAR__JOB_ROW]; /* token of the segment; a block begins with one */
    gear_select_incoming(&s, &rows, first + begin, 0u);
    s.last = tokens - 1u - begin;
    s.row = row;
    if (rows_of_group == GEAR__BLOCK &&
        gear_lanes_tokens(&s, per_end, (uint)max((int)exact - (int)(first + begin), 0), tokens - begin)) {
        return;
    }
#endif
    do {
        /* where all is padding, of which nothing is marked, the last token is read instead */
        const uint index = row - job[GEAR__JOB_ROW], there = min(index, tokens - 1u);
        gear_select_incoming(&s, &rows, first + there, 0u);
        s.last = tokens - 1u - there;
        s.row = row;
#pragma unroll 1
        for (uint i = s.lid; i < heads * (HEAD_DIM / 16u) * (SELECT_VECTORS / 2u); i += MOST_ITEMS) {
            const uint steps = i / (SELECT_VECTORS / 2u);
            marks[(steps * num_rows + row) / 2u + i % (SELECT_VECTORS / 2u)] = 0u;
        }
        const uint need = index + vector < tokens && first + index + vector >= exact ? per_end : 0u;
        gear_select_outliers(&s, per_end, need);
        row += SELECT_VECTORS;
    } while (row < end);
}
