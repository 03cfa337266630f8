/* attend_pieces.c: see the header. */
#include "stage/attend_pieces.h"

#include "layout.h"

/* Sizes that pieces are told apart by, where the largest go first. */
#define SIZES 16u
/* What a piece takes besides its tiles, in weights (H100: 5 us, in which a work-group of 4 warps does 7 blocks). */
#define OVERHEAD 6u

static uint32_t weight_of(const uint32_t *words, uint32_t recent)
{
    const uint32_t window = words[GEAR__SEQ_LENGTH] - words[GEAR__SEQ_FIRST], above = window > recent ? window - recent : 0;
    const uint32_t dense = (window - above % 64 + 63) / 64 + (words[GEAR__SEQ_TAIL] + 63) / 64;
    return words[GEAR__SEQ_BLOCKS] + GEAR__DENSE_WEIGHT * dense;
}

static uint64_t quotient_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* Pieces of a sequence of this weight. */
static uint32_t splits_of(uint32_t weight, uint32_t share)
{
    return weight ? (uint32_t)quotient_up(weight, share) : 1;
}

/* Weight of a piece, 0 where cutting saves little. */
static uint32_t choose_share(const uint32_t *words, uint32_t count, const gear__attend_load *load)
{
    uint64_t total = 0, most = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t weight = weight_of(words + i * GEAR__SEQ_WORDS, load->recent);
        total += weight;
        most = weight > most ? weight : most;
    }
    if (!load->slots || count > UINT16_MAX || gear__attend_most_pieces(load->slots, count) > UINT16_MAX) {
        return 0;
    }
    /* A little more than an equal share of all, so that the pieces that are left over, half a share on average, find room
     * beside one another. */
    total += total / 32 + OVERHEAD * count / 2;
    uint64_t share = quotient_up(total, load->slots), least = quotient_up(most, GEAR__MERGED_SPLITS);
    share = quotient_up(share > least ? share : least, load->tiles) * load->tiles;
    uint64_t even = quotient_up(most, load->splits) * quotient_up((uint64_t)count * load->splits, load->slots);
    return share >= 2 * (uint64_t)load->tiles && 5 * even > 6 * share ? (uint32_t)share : 0;
}

uint32_t gear__attend_cut(const uint32_t *words, uint32_t count, const gear__attend_load *load, uint32_t *pieces,
                          uint32_t *num_pieces)
{
    uint32_t share = choose_share(words, count, load), from[SIZES + 1] = {0}, before = 0;
    *num_pieces = 0;
    if (!share) {
        return 0;
    }
    /* Whole pieces have size 0; of a sequence's last piece the size falls with its weight. */
    for (int pass = 0; pass < 2; pass++) {
        before = 0;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t weight = weight_of(words + i * GEAR__SEQ_WORDS, load->recent);
            uint32_t splits = splits_of(weight, share), rest = weight - (splits - 1) * share;
            uint32_t size = (uint32_t)((uint64_t)(share - rest) * SIZES / share);
            size = size < SIZES ? size : SIZES - 1;
            for (uint32_t split = 0; split < splits; split++) {
                uint32_t of = split + 1 < splits ? 0 : size;
                if (!pass) {
                    from[of + 1]++;
                    continue;
                }
                uint32_t *piece = pieces + GEAR__PIECE_WORDS * from[of]++;
                piece[GEAR__PIECE_WHICH] = i | split << 16;
                piece[GEAR__PIECE_PLACE] = splits | before << 16;
            }
            before += splits;
        }
        for (uint32_t n = 0; !pass && n < SIZES; n++) {
            from[n + 1] += from[n];
        }
    }
    *num_pieces = before;
    return share;
}
