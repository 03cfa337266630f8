/* variant.c: which attend kernel a cache runs and how it divides its work, as a decision and in words. */
#include <stdio.h>

#include "api/internal.h"

/* Refuses an attend kernel that cannot run. */
static gear_status check_kernel(const gear__caps *caps, gear_attend_kernel kernel, const gear__shape *shape, const char *where,
                                gear_error *error)
{
    if (kernel == GEAR_ATTEND_AUTO) {
        return GEAR_OK;
    }
    if (!gear__attend_name(kernel)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "attend_kernel is %d, which is none", (int)kernel);
    }
    const char *reason = gear__attend_why_not(kernel, caps, shape);
    if (reason) {
        return gear__fail(error, GEAR_ERROR_UNSUPPORTED, where, "attend_kernel is %s: %s", gear__attend_name(kernel), reason);
    }
    return GEAR_OK;
}

gear_status gear__attend_resolve(const gear__caps *caps, const gear_cache_desc *desc, const gear__shape *shape,
                                 const char *where, gear__attend_tile *tile, gear_error *error)
{
    uint32_t rows = desc->max_query_tokens * (desc->num_query_heads / desc->num_kv_heads);
    gear_status status = check_kernel(caps, desc->attend_kernel, shape, where, error);
    if (status) {
        return status;
    }
    gear_attend_kernel kernel = gear__attend_choose(desc->attend_kernel, caps, shape);
    *tile = gear__attend_tile_of(kernel, caps, shape, rows, &desc->attend_tuning);
    return gear__attend_tuning_check(tile, caps, &desc->attend_tuning, where, error);
}

static void describe_kernel(const gear__caps *caps, const gear_cache_desc *desc, const gear__shape *shape,
                            gear_attend_kernel chosen, gear_cache_plan *plan)
{
    const gear__tuning_found preferred = gear__tuning_preferred(&gear__tuning_builtin, caps, shape);
    size_t used = 0, room = sizeof plan->variant_reason;
    (void)snprintf(plan->variant, sizeof plan->variant, "%s", gear__attend_name(chosen));
    if (desc->attend_kernel != GEAR_ATTEND_AUTO) {
        (void)snprintf(plan->variant_reason, room, "asked for");
        return;
    }
    if (preferred.record && preferred.record->kernel == chosen) {
        (void)snprintf(plan->variant_reason, room, "the fastest here: %s", preferred.source);
        return;
    }
    /* Kernels stand in order of speed: those behind the chosen one cannot run, or must be asked for. */
    for (gear_attend_kernel kernel = chosen + 1; gear__attend_name(kernel) && used < room; kernel++) {
        const char *name = gear__attend_name(kernel), *why = gear__attend_why_not(kernel, caps, shape);
        why = why ? why : "only where it is asked for";
        int written = snprintf(plan->variant_reason + used, room - used, "%s%s: %s", used ? "; " : "", name, why);
        used += written > 0 ? (size_t)written : 0;
    }
    if (!used) {
        (void)snprintf(plan->variant_reason, room, "the fastest of this library");
    }
}

void gear__attend_describe(const gear__caps *caps, const gear_cache_desc *desc, const gear__shape *shape,
                           const gear__attend_tile *tile, gear_cache_plan *plan)
{
    describe_kernel(caps, desc, shape, tile->kernel, plan);
    plan->tuning = (gear_attend_tuning){tile->rows, tile->work_items, tile->groups_per_unit};
    plan->tuning_source = tile->source;
    plan->codec_class = gear__codec_class_name(gear__codec_class_of(shape));
}
