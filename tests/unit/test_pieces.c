/* test_pieces.c: how a ragged batch is cut: every split of every sequence is one piece, large pieces stand before small ones,
 * and work-groups that take them in turn end at about the same time. */
#include <criterion/criterion.h>
#include <string.h>

#include "layout.h"
#include "stage/attend_pieces.h"

#define MOST_SEQS  200u
#define MOST_SLOTS 200u

static uint32_t recent; /* of the cache */
static uint32_t words[MOST_SEQS * GEAR__SEQ_WORDS], pieces[(MOST_SEQS + MOST_SLOTS) * GEAR__PIECE_WORDS], num_pieces;

static void fill(uint32_t count, uint32_t (*blocks)(uint32_t))
{
    memset(words, 0, sizeof words);
    for (uint32_t i = 0; i < count; i++) {
        words[i * GEAR__SEQ_WORDS + GEAR__SEQ_BLOCKS] = blocks(i);
        words[i * GEAR__SEQ_WORDS + GEAR__SEQ_FIRST] = words[i * GEAR__SEQ_WORDS + GEAR__SEQ_LENGTH] = 64 * blocks(i);
    }
}

/* Adds tokens that stay in the window. */
static void lengthen(uint32_t count, uint32_t tokens)
{
    for (uint32_t i = 0; i < count; i++) {
        words[i * GEAR__SEQ_WORDS + GEAR__SEQ_LENGTH] += tokens;
    }
}

/* What takes time, up to a tile that is not counted. */
static uint32_t weight_of(uint32_t i)
{
    const uint32_t *w = words + i * GEAR__SEQ_WORDS, window = w[GEAR__SEQ_LENGTH] - w[GEAR__SEQ_FIRST];
    const uint32_t counted = window < recent ? window : recent + (window - recent) / 64 * 64;
    return w[GEAR__SEQ_BLOCKS] + GEAR__DENSE_WEIGHT * ((counted + 63) / 64 + (w[GEAR__SEQ_TAIL] + 63) / 64);
}

static uint32_t cut(uint32_t count, uint32_t slots, uint32_t tiles, uint32_t splits)
{
    const gear__attend_load load = {slots, tiles, splits, recent};
    return gear__attend_cut(words, count, &load, pieces, &num_pieces);
}

/* Checks the pieces and returns when the last of `slots` work-groups ends, each of which takes the next piece when it is
 * done. */
static uint32_t run(uint32_t count, uint32_t slots, uint32_t share)
{
    static uint32_t seen[MOST_SEQS], end[MOST_SLOTS];
    uint32_t before[MOST_SEQS + 1] = {0}, last = share, latest = 0;
    memset(seen, 0, sizeof seen);
    memset(end, 0, sizeof end);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t weight = weight_of(i);
        before[i + 1] = before[i] + (weight ? (weight + share - 1) / share : 1);
    }
    cr_assert_eq(num_pieces, before[count]);
    cr_assert_leq(num_pieces, gear__attend_most_pieces(slots, count));
    for (uint32_t n = 0; n < num_pieces; n++) {
        const uint32_t which = pieces[n * GEAR__PIECE_WORDS + GEAR__PIECE_WHICH], i = which & 0xffffu, split = which >> 16;
        const uint32_t place = pieces[n * GEAR__PIECE_WORDS + GEAR__PIECE_PLACE], splits = place & 0xffffu;
        cr_assert_lt(i, count);
        cr_assert_eq(splits, before[i + 1] - before[i]);
        cr_assert_eq(place >> 16, before[i]);
        cr_assert_lt(split, splits);
        cr_assert_leq(splits, GEAR__MERGED_SPLITS);
        seen[i]++;
        const uint32_t size = split + 1 < splits ? share : weight_of(i) - split * share;
        cr_assert_leq(size, last + share / 8, "piece %u of %u is larger than one before it, %u", n, size, last);
        last = size < last ? size : last;
        uint32_t first = 0;
        for (uint32_t slot = 1; slot < slots; slot++) {
            first = end[slot] < end[first] ? slot : first;
        }
        end[first] += size;
        latest = end[first] > latest ? end[first] : latest;
    }
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(seen[i], before[i + 1] - before[i], "sequence %u has %u pieces", i, seen[i]);
    }
    return latest;
}

static uint32_t equal(uint32_t i)
{
    (void)i;
    return 512;
}

static uint32_t linear(uint32_t i)
{
    return 256 + 16 * (i % 32);
}

static uint32_t one_long(uint32_t i)
{
    return i ? 64 : 16384;
}

static uint32_t scattered(uint32_t i)
{
    return (i * 2654435761u >> 22) % 700;
}

static uint32_t short_ones(uint32_t i)
{
    return i % 3;
}

Test(attend_pieces, are_all_there_and_end_together)
{
    uint32_t (*const lengths[])(uint32_t) = {linear, one_long, scattered};
    static const uint32_t counts[] = {7, 32, 61, MOST_SEQS}, slots[] = {9, 33, 66, MOST_SLOTS};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            for (size_t s = 0; s < sizeof slots / sizeof *slots; s++) {
                fill(counts[c], lengths[l]);
                uint32_t total = 0;
                for (uint32_t i = 0; i < counts[c]; i++) {
                    total += weight_of(i);
                }
                const uint32_t splits = slots[s] > counts[c] ? slots[s] / counts[c] : 1;
                const uint32_t share = cut(counts[c], slots[s], 4, splits);
                cr_assert_eq(share % 4, 0);
                if (share) {
                    /* what the largest first, one after the other, are known to keep to */
                    const uint32_t end = run(counts[c], slots[s], share), fair = (total + slots[s] - 1) / slots[s];
                    cr_assert_leq(end, (share > fair ? share : fair) * 4 / 3, "lengths %zu, %u on %u: %u, fair %u", l,
                                  counts[c], slots[s], end, fair);
                } else {
                    cr_assert_eq(num_pieces, 0);
                }
            }
        }
    }
}

Test(attend_pieces, ragged_batches_are_cut)
{
    fill(32, linear);
    cr_assert(cut(32, 33, 4, 1));
    fill(32, one_long);
    cr_assert(cut(32, 33, 4, 1));
    fill(20, equal); /* one sequence each leaves 13 of 33 without work */
    cr_assert(cut(20, 33, 4, 1));
}

Test(attend_pieces, other_batches_are_not)
{
    fill(32, equal);
    cr_assert_eq(cut(32, 33, 4, 1), 0);
    cr_assert_eq(num_pieces, 0);
    fill(32, short_ones);
    cr_assert_eq(cut(32, 33, 4, 1), 0);
    memset(words, 0, sizeof words); /* nothing but some tokens in the window */
    lengthen(32, 63);
    cr_assert_eq(cut(32, 33, 4, 1), 0);
    fill(32, linear); /* fewer slots than heads */
    cr_assert_eq(cut(32, 0, 4, 1), 0);
}

Test(attend_pieces, do_not_follow_the_length)
{
    static uint32_t first[sizeof pieces / sizeof *pieces];
    static const uint32_t recents[] = {0, 64, 100};
    for (size_t r = 0; r < sizeof recents / sizeof *recents; r++) {
        recent = recents[r];
        fill(32, linear);
        lengthen(32, recent);
        const uint32_t share = cut(32, 33, 4, 1), count = num_pieces;
        memcpy(first, pieces, sizeof first);
        for (uint32_t step = 1; step < 64; step++) {
            lengthen(32, 1);
            cr_assert_eq(cut(32, 33, 4, 1), share);
            cr_assert_eq(num_pieces, count);
            cr_assert_arr_eq(first, pieces, count * GEAR__PIECE_WORDS * sizeof *pieces);
        }
    }
}

/* Some sequences have nearly all their tokens in the window, by `recent` or by a wide `window`. */
Test(attend_pieces, windows_count_as_dense_tiles)
{
    static const uint32_t recents[] = {65536, 4096, 0};
    for (size_t r = 0; r < sizeof recents / sizeof *recents; r++) {
        recent = recents[r];
        fill(8, short_ones);
        for (uint32_t i = 0; i < 8; i += 3) {
            words[i * GEAR__SEQ_WORDS + GEAR__SEQ_LENGTH] += 4096 + 1000 * i;
        }
        uint32_t total = 0;
        for (uint32_t i = 0; i < 8; i++) {
            total += weight_of(i);
        }
        const uint32_t share = cut(8, 33, 4, 4);
        cr_assert(share);
        cr_assert_lt(share, total / 20);
        cr_assert_leq(run(8, 33, share), (share > total / 33 ? share : total / 33) * 4 / 3);
    }
}

Test(attend_pieces, tails_count_as_dense_tiles)
{
    memset(words, 0, sizeof words);
    words[GEAR__SEQ_TAIL] = 64 * 100;
    words[GEAR__SEQ_WORDS + GEAR__SEQ_BLOCKS] = 30;
    const uint32_t share = cut(2, 10, 4, 1);
    cr_assert(share);
    run(2, 10, share);
}
