/* append_4_lowrank.c: launchers of cl/append_4_lowrank*.cl, whatever the form (variant.c). Short fits take one launch and long
 * ones four, or all but those of one block take one (gear__lowrank_is_joined); each kernel passes over the jobs that are not
 * its. */
#include "stage/launch_args.h"

/* Whether a side has fits that count their parts. */
static int has_counting_fits(const gear__round *round, uint32_t is_v)
{
    const gear__variant *variant = round->layer->variant;
    return round->fit_parts && gear__has_rank(&variant->shape, is_v) &&
           gear__lowrank_is_joined(&variant->append, &variant->shape, is_v);
}

int gear__append_4_lowrank_counts(const gear__round *round)
{
    return has_counting_fits(round, 0) || has_counting_fits(round, 1);
}

/* Floats of the scratch of a fit of `blocks` blocks of KV head and side, by the kernel that does it: G and its parts only where
 * they come to memory, no parts of the residual where a work-group does all of them. */
static uint32_t fit_floats(const gear__append_tile *append, const gear__shape *shape, uint32_t is_v, uint32_t blocks)
{
    const uint32_t d = shape->head_dim, head = GEAR__FIT_HEAD(d);
    if (gear__append_is_cpu_form(append)) {
        return GEAR__FIT_FLOATS(d, blocks);
    }
    if (gear__lowrank_is_joined(append, shape, is_v) && GEAR__FIT_NV_PARTS(blocks) == 1) {
        return head + GEAR__FIT_PARTS(blocks) * GEAR__FIT_PART(d);
    }
    return blocks > GEAR__FIT_DIRECT_BLOCKS ? GEAR__FIT_FLOATS(d, blocks) : head;
}

uint32_t gear__lowrank_slot(const gear__append_tile *append, const gear__shape *shape, uint32_t cls, uint32_t blocks)
{
    uint32_t most = 0;
    for (uint32_t s = 0; s < 2; s++) {
        const uint32_t floats = shape->side[s].rank[cls] ? fit_floats(append, shape, s, blocks) : 0;
        most = floats > most ? floats : most;
    }
    return GEAR__FIT_SLOT_OF(most, blocks);
}

/* groups: work-groups for each (KV head, job); of LOWRANK_FIT, for each KV head. */
static gear_status run(gear__stream *stream, const gear__round *round, uint32_t is_v, gear__kernel_id id, size_t groups,
                       gear_error *error)
{
    const gear__layer_memory *m = round->layer;
    const gear__variant *variant = m->variant;
    const gear__arg args[] = {GEAR__ARG(variant->words),  GEAR__ARG(is_v),           GEAR__ARG(m->pool),
                              GEAR__ARG(m->table),        GEAR__ARG(round->jobs),    GEAR__ARG(round->num_rows),
                              GEAR__ARG(round->slot),     GEAR__ARG(round->r),       GEAR__ARG(round->a),
                              GEAR__ARG(round->counters), GEAR__ARG(round->num_jobs)};
    const int is_joined = id == GEAR__KERNEL_LOWRANK_FIT; /* it alone counts, and looks for the jobs itself */
    const size_t num_args = GEAR__COUNT_OF(args) - (is_joined ? 0 : 2);
    const size_t items = gear__kernel_items(id, &variant->append, variant->shape.head_dim);
    const size_t global[3] = {items * groups, variant->shape.kv_heads, is_joined ? 1 : round->num_jobs};
    return gear__run_sized(stream, variant->kernel[id][is_v], args, num_args, global, items, error);
}

gear_status gear__append_4_lowrank(gear__stream *stream, const gear__round *round, uint32_t is_v, gear_error *error)
{
    const gear__variant *variant = round->layer->variant;
    const size_t rows = (size_t)round->longest * GEAR__BLOCK;
    const size_t parts = (rows + GEAR__FIT_ROWS - 1) / GEAR__FIT_ROWS;
    const size_t gram_parts = (rows + GEAR__GRAM_ROWS - 1) / GEAR__GRAM_ROWS;
    const uint32_t head_dim = variant->shape.head_dim;
    const uint32_t gram_items = gear__kernel_items(GEAR__KERNEL_LOWRANK_GRAM, &variant->append, head_dim);
    const size_t gram_groups = variant->append.has_tensor_cores             ? GEAR__GRAM_NV_GROUPS(head_dim)
                               : gear__append_is_cpu_form(&variant->append) ? 1
                                                                            : GEAR__GRAM_GROUPS(head_dim, gram_items);
    const struct {
        gear__kernel_id id;
        size_t groups;
    } steps[] = {{GEAR__KERNEL_LOWRANK_GRAM, gram_parts * gram_groups},
                 {GEAR__KERNEL_LOWRANK_ITERATE, 1},
                 {GEAR__KERNEL_LOWRANK_PROJECT, variant->append.has_tensor_cores ? gram_parts : parts},
                 {GEAR__KERNEL_LOWRANK_STORE, gear__append_is_cpu_form(&variant->append) ? 1 : parts}};
    const int is_long = round->longest > GEAR__FIT_DIRECT_BLOCKS;
    const uint32_t least = gear__append_is_cpu_form(&variant->append) ? 1 : 2; /* blocks of a fit by the kernel that is next */
    gear_status status = GEAR_OK;
    if (round->shortest < least) {
        status = run(stream, round, is_v, GEAR__KERNEL_LOWRANK_BLOCK, 1, error);
    }
    if (!status && has_counting_fits(round, is_v)) {
        const size_t kinds = GEAR__FIT_NV_KINDS(variant->shape.side[is_v].factor_bits);
        return run(stream, round, is_v, GEAR__KERNEL_LOWRANK_FIT, kinds * round->fit_parts, error);
    }
    if (!status && round->shortest <= GEAR__FIT_DIRECT_BLOCKS && round->longest >= least) {
        status = run(stream, round, is_v, GEAR__KERNEL_LOWRANK, 1, error);
    }
    for (size_t i = 0; !status && is_long && i < GEAR__COUNT_OF(steps); i++) {
        status = run(stream, round, is_v, steps[i].id, steps[i].groups, error);
    }
    return status;
}
