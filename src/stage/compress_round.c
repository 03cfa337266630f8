/* compress_round.c: the order of the compressor's stages. */
#include "stage/stage.h"

/* Scales and zeros of every group. */
static gear_status find_pairs(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    int mixed = gear__is_mixed(&round->layer->variant->shape.side[is_v]);
    return mixed ? gear__append_2_fit(stream, round, is_v, error) : gear__append_2_range(stream, round, is_v, error);
}

static gear_status compress_side(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                                 const gear__tensor *v, gear_error *error)
{
    const gear__side *side = &round->layer->variant->shape.side[is_v];
    int outliers = side->outlier_fraction > 0;
    gear_status status = gear__append_0_gather(stream, round, is_v, input, error);
    if (!status && side->ordered && round->opens) {
        status = gear__append_1_order(stream, round, input, error);
    }
    if (!status && (side->ordered || side->rotate)) {
        status = gear__append_1_transform(stream, round, is_v, error);
    }
    if (!status && side->weighted) {
        status = gear__append_1_norms(stream, round, v, error);
    }
    if (!status && outliers &&
        side->outlier_rule == GEAR_OUTLIER_BLOCK) { /* the rule measures distances in units of the scale */
        status = find_pairs(stream, round, is_v, error);
    }
    if (!status && outliers) {
        status = gear__append_1_outliers(stream, round, is_v, error);
    }
    status = status ? status : find_pairs(stream, round, is_v, error);
    status = status ? status : gear__append_3_quantize(stream, round, is_v, error);
    if (!status && (side->rank[0] || side->rank[1])) {
        status = gear__append_4_lowrank(stream, round, is_v, error);
    }
    if (!status && outliers) {
        status = gear__append_5_store(stream, round, is_v, error);
    }
    return status;
}

/* What follows append_block on a side. */
static gear_status finish_side(gear__stream *stream, const gear__round *round, uint32_t is_v, const gear__tensor *input,
                               gear_error *error)
{
    const gear__shape *shape = &round->layer->variant->shape;
    gear_status status = gear__has_rank(shape, is_v) ? gear__append_4_lowrank(stream, round, is_v, error) : GEAR_OK;
    return status || shape->side[is_v].outlier_fraction <= 0 ? status
                                                             : gear__append_5_store_marked(stream, round, is_v, input, error);
}

/* One launch of append_block for both sides unless each of them has a residual or marks, for which there is one place, or K
 * waits for its channel order, which is found while V is compressed. */
static gear_status compress_blocks(gear__stream *stream, const gear__round *round, const gear__tensor *k, const gear__tensor *v,
                                   gear_error *error)
{
    const gear__shape *shape = &round->layer->variant->shape;
    const int k_marks = shape->side[0].outlier_fraction > 0, v_marks = shape->side[1].outlier_fraction > 0;
    const int apart = (gear__has_rank(shape, 0) && gear__has_rank(shape, 1)) || (k_marks && v_marks);
    const int ordered = shape->side[0].ordered && round->opens;
    gear_status status = GEAR_OK;
    if (ordered) {
        status = apart ? gear__append_1_order(stream, round, k, error) : gear__append_1_moments(stream, round, k, error);
    }
    if (!status && k_marks) {
        status = gear__append_1_marks(stream, round, 0, k, error);
    }
    if (!status && v_marks && !apart) {
        status = gear__append_1_marks(stream, round, 1, v, error);
    }
    if (!status && ordered && !apart) {
        status = gear__append_block(stream, round, 1, 1, round->num_jobs, k, v, error);
    }
    status = status ? status : gear__append_block(stream, round, 0, apart || ordered ? 1 : 2, 0, k, v, error);
    status = status ? status : finish_side(stream, round, 0, k, error);
    if (!status && v_marks && apart) {
        status = gear__append_1_marks(stream, round, 1, v, error);
    }
    if (!status && apart) {
        status = gear__append_block(stream, round, 1, 1, 0, k, v, error);
    }
    return status ? status : finish_side(stream, round, 1, v, error);
}

gear_status gear__compress_round(gear__stream *stream, const gear__round *round, const gear__tensor *k, const gear__tensor *v,
                                 gear_error *error)
{
    if (round->layer->variant->append.is_fused) {
        return compress_blocks(stream, round, k, v, error);
    }
    gear_status status = compress_side(stream, round, 0, k, v, error);
    return status ? status : compress_side(stream, round, 1, v, v, error);
}
