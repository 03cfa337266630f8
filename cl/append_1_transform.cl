/* append_1_transform: brings the staged tokens of one side into the space that the mixed backbone quantises in: K channels in
 * the order of their sequence, V rotated by a Hadamard matrix along head_dim. Convention: docs/design.md, rule 10. Reference:
 * src/ref/append_1_transform.c. Some rows at a time pass through local memory (tile.clh). */
#include "tile.clh"

#ifndef HEAD_DIM
#  error "HEAD_DIM is missing"
#endif

#define OF_ROW (HEAD_DIM / 8u)

/* GEAR_TURN_ROWS staged rows into the tile. A barrier must follow. */
GEAR__INLINE void gear_take_rows(const gear_tile *t, uint to, __global const ushort *x, uint lid)
{
#pragma unroll 4
    for (uint i = lid; i < GEAR_TURN_ROWS * OF_ROW; i += ITEMS) {
        const uint channel = i % OF_ROW * 8u;
        gear_put8(t, to, i / OF_ROW, channel, gear_places(t, to, channel), *(__global const uint4 *)(x + i * 8u));
    }
}

/* Back to where they were. A barrier must follow. */
GEAR__INLINE void gear_return_rows(const gear_tile *t, __global ushort *x, uint lid)
{
#pragma unroll 4
    for (uint i = lid; i < GEAR_TURN_ROWS * OF_ROW; i += ITEMS) {
        *(__global uint4 *)(x + i * 8u) = *(GEAR_LOCAL const uint4 *)(t->halves + i / OF_ROW * t->pitch + i % OF_ROW * 8u);
    }
}

/* K, in place. Work-groups: (staging blocks, KV heads). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_1_reorder(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const uint *jobs, __global const uint *row_jobs, uint num_rows, __global ushort *x)
{
    GEAR_LOCAL ushort halves[GEAR_TURN_ROWS * GEAR_PITCH_K] __attribute__((aligned(16)));
    GEAR_LOCAL uchar places[HEAD_DIM] __attribute__((aligned(16)));
    const gear_tile tile = {halves, 0, places, GEAR_PITCH_K, 0};
    const uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global ushort *rows = x + ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    const uint entry = jobs[row_jobs[row_block] * GEAR__JOB_WORDS + GEAR__JOB_ENTRY];
    __global const uint *header = gear_header_of(shape, table, seqs[entry * GEAR__SEQ_WORDS + GEAR__SEQ_SLOT]);
    __global const uchar *order = gear_record(pool, header[GEAR__HEADER_ORDER]) + head * HEAD_DIM;
    for (uint c = lid; c < HEAD_DIM; c += ITEMS) {
        places[order[c]] = (uchar)c;
    }
    GEAR_BARRIER();
    uint row = 0u;
    do {
        gear_take_rows(&tile, GEAR_TO_PLACES, rows + row * HEAD_DIM, lid);
        GEAR_BARRIER();
        gear_return_rows(&tile, rows + row * HEAD_DIM, lid);
        GEAR_BARRIER();
        row += GEAR_TURN_ROWS;
    } while (row < 64u);
}

/* V, in place. Work-groups: (staging blocks, KV heads). */
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void gear_k_append_1_rotate(uint num_rows, __global ushort *x)
{
    GEAR_LOCAL ushort halves[GEAR_TURN_ROWS * GEAR_PITCH_V] __attribute__((aligned(16)));
    GEAR_LOCAL float turn[GEAR_TURN_FLOATS] __attribute__((aligned(16)));
    const gear_tile tile = {halves, turn, 0, GEAR_PITCH_V, 0};
    const uint lid = (uint)get_local_id(0), row_block = (uint)get_group_id(0), head = (uint)get_group_id(1);
    __global ushort *rows = x + ((ulong)head * num_rows + row_block * 64u) * HEAD_DIM;
    uint row = 0u;
    do {
        gear_take_rows(&tile, GEAR_TO_TURN, rows + row * HEAD_DIM, lid);
        GEAR_BARRIER();
        gear_turn_rows(&tile, 0u, 1u, lid);
        GEAR_BARRIER();
        gear_return_rows(&tile, rows + row * HEAD_DIM, lid);
        GEAR_BARRIER();
        row += GEAR_TURN_ROWS;
    } while (row < 64u);
}
