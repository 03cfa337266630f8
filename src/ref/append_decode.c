/* append_decode.c: the steps that the decode kernel stands for, one after the other. */
#include "ref/ref.h"

int gear__ref_append_decode(gear__ref_round *round, gear__ref_source *source, const gear__ref_source *v)
{
    gear__ref_append_block(round, source, v);
    const int ok = !round->shape->side[round->is_v].rank[GEAR__DECODE] || gear__ref_append_4_lowrank(round);
    gear__ref_append_6_window(round, source);
    return ok;
}
