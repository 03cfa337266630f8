/* variant.c: which attend kernel a cache runs, in words. */
#include <stdio.h>

#include "api/internal.h"

void gear__describe_variant(const gear__caps *caps, const gear_cache_desc *desc, const gear__shape *shape,
                            gear_cache_plan *plan)
{
    gear_attend_kernel chosen = gear__attend_choose(desc->attend_kernel, caps, shape);
    size_t used = 0, room = sizeof plan->variant_reason;
    (void)snprintf(plan->variant, sizeof plan->variant, "%s", gear__attend_name(chosen));
    if (desc->attend_kernel != GEAR_ATTEND_AUTO) {
        (void)snprintf(plan->variant_reason, room, "asked for");
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

gear_status gear__check_attend_kernel(const gear__caps *caps, const gear_cache_desc *desc, const gear__shape *shape,
                                      const char *where, gear_error *error)
{
    gear_attend_kernel kernel = desc->attend_kernel;
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
