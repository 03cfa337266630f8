/* reconstruct: dense values D + L + S of one side for a range of tokens of one sequence, exact tokens and window included.
 * Reference: src/ref/reconstruct.c.
 * 64 work-items for each (tile of the sequence, KV head): a token each for K, channels for V, the order of the outlier lists.
 */
#include "attend.clh"
#include "rotate.clh"

#if !defined HEAD_DIM || !defined IS_V || !defined BITS
#  error "HEAD_DIM, IS_V or BITS is missing"
#endif

#define OWNED ((HEAD_DIM + 63) / 64)

/* Entries before `list` in the block. */
GEAR__INLINE uint gear_entries_before(const gear_outliers *o, uint list)
{
    uint sum = o->base;
    for (uint i = 0; i < list; i++) {
        sum += o->counts[i];
    }
    return sum;
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gear_k_reconstruct(
    __global const uint *shape, __global uchar *pool, __global const uint *table, __global const uint *seqs,
    __global const ushort *window, uint first, uint count, uint first_tile, __global uchar *out, ulong out_offset,
    ulong stride_head, ulong stride_token, uint type)
{
    const uint lid = (uint)get_local_id(0), head = (uint)get_group_id(1);
    const gear_sequence_view s = gear_view_sequence(shape, table, seqs, 0u, 0u);
    const gear_tile tile = gear_tile_of(&s, first_tile + (uint)get_group_id(0));
    if (tile.kind == GEAR_TILE_TAIL || first_tile + (uint)get_group_id(0) >= s.tiles) {
        return;
    }
    out += out_offset;
    if (tile.kind != GEAR_TILE_BLOCK) {
        const gear_dense d = gear_dense_of(&s, &tile, shape, pool, window, 0, 0, 0u, IS_V, head, HEAD_DIM);
        for (uint i = lid; i < tile.tokens * HEAD_DIM; i += 64u) {
            uint position = tile.first + i / HEAD_DIM;
            if (position >= first && position - first < count) {
                gear_store(out, (position - first) * stride_token + head * stride_head + i % HEAD_DIM, type,
                           gear_load(d.data, gear_dense_row(&d, i / HEAD_DIM) + i % HEAD_DIM, d.type));
            }
        }
        return;
    }
    const gear_block_view v = gear_view_block(pool, shape, IS_V, HEAD_DIM, tile.block, tile.segment, tile.cls, head);
    const gear_outliers o = gear_outliers_of(pool, shape, IS_V, tile.block, tile.segment, tile.cls, head);
    const uint has_outliers = v.side[GEAR__SIDE_OUTLIERS];
#if IS_V
    /* a row at a time, its values in local memory for the rotation; each work-item owns channels and walks their lists */
    __local float row[HEAD_DIM];
    uint next[OWNED], end[OWNED];
    for (uint i = 0; i < OWNED; i++) {
        uint channel = lid + 64u * i;
        next[i] = has_outliers && channel < HEAD_DIM ? gear_entries_before(&o, channel) : 0u;
        end[i] = has_outliers && channel < HEAD_DIM ? next[i] + o.counts[channel] : 0u;
    }
    uint token = 0;
    do { /* tested at its end: see reduce.clh */
        uint position = tile.first + token;
        for (uint i = 0; i < OWNED; i++) {
            uint channel = lid + 64u * i;
            if (channel < HEAD_DIM) {
                float x = gear_backbone(&v, 1u, BITS, HEAD_DIM, token, channel) + gear_lowrank(&v, token, channel, HEAD_DIM);
                if (next[i] < end[i] && o.indices[next[i]] == token) {
                    x += gear_delta(&o, next[i]);
                    next[i]++;
                }
                row[channel] = x;
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint channel = lid; channel < HEAD_DIM; channel += 64u) {
            if (position >= s.exact && position >= first && position - first < count) {
                float x = v.side[GEAR__SIDE_ROTATE] ? gear_rotate_back(row, channel) : row[channel];
                gear_store(out, (position - first) * stride_token + head * stride_head + channel, type, x);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    } while (++token < tile.tokens);
#else
    if (lid < tile.tokens) {
        uint token = lid, lists = gear__k_lists_per_token(HEAD_DIM), position = tile.first + token;
        uint e = has_outliers ? gear_entries_before(&o, token * lists) : 0u;
        uint end = has_outliers ? gear_entries_before(&o, (token + 1u) * lists) : 0u;
        uint ordered = v.side[GEAR__SIDE_AXIS] == GEAR__AXIS_MIXED_CHANNEL;
        __global const uchar *order = gear_record(pool, s.row[GEAR__HEADER_ORDER]) + head * HEAD_DIM;
        for (uint place = 0; place < HEAD_DIM; place++) {
            float x = gear_backbone(&v, 0u, BITS, HEAD_DIM, token, place) + gear_lowrank(&v, token, place, HEAD_DIM);
            if (e < end && o.indices[e] == place) {
                x += gear_delta(&o, e);
                e++;
            }
            uint channel = ordered ? order[place] : place;
            if (position >= s.exact && position >= first && position - first < count) {
                gear_store(out, (position - first) * stride_token + head * stride_head + channel, type, x);
            }
        }
    }
#endif
}
