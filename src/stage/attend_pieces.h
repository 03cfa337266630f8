/* attend_pieces.h: cuts the sequences of a ragged batch into pieces. With as many splits for each sequence those of the longest
 * would end last, alone on the device. */
#ifndef GEAR_STAGE_ATTEND_PIECES_H
#define GEAR_STAGE_ATTEND_PIECES_H

#include <stdint.h>

/* What a batch is cut for. */
typedef struct gear__attend_load {
    uint32_t slots;  /* pieces that the device has room for at a time */
    uint32_t tiles;  /* that a work-group takes at a time */
    uint32_t splits; /* of each sequence, where the batch is not cut */
    uint32_t recent; /* tokens that decoding leaves in the window at least */
} gear__attend_load;

/* Most pieces of `count` sequences. */
static inline uint64_t gear__attend_most_pieces(uint64_t slots, uint64_t count)
{
    return slots + count;
}

/* words: [count][GEAR__SEQ_WORDS] of the list. Writes pieces ([..][GEAR__PIECE_WORDS], the largest first), *num_pieces and
 * returns the weight of one (gear__tile_at); 0 and no pieces where equal numbers of splits take about as long. Of the tokens in
 * the window above `recent` whole tiles count: a decode step mostly cuts as the one before it, one that completes a block or 64
 * tokens of a wider window does not. What is left uncounted, exact tokens too, goes to the last piece of its sequence. */
uint32_t gear__attend_cut(const uint32_t *words, uint32_t count, const gear__attend_load *load, uint32_t *pieces,
                          uint32_t *num_pieces);

#endif
