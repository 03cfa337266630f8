/* defaults.c: the *_init functions: what a descriptor says before the caller sets what differs. */
#include <string.h>

#include "api/internal.h"

/* Zeroes a struct of which struct_size is the first field, and sets that. 0 for NULL. */
static int begin(void *desc, size_t size)
{
    if (!desc) {
        return 0;
    }
    memset(desc, 0, size);
    memcpy(desc, &size, sizeof size);
    return 1;
}

void gear_context_desc_init(gear_context_desc *desc)
{
    (void)begin(desc, sizeof *desc);
}

void gear_codec_init(gear_codec *codec)
{
    if (begin(codec, sizeof *codec)) {
        codec->bits = 2;
        codec->group = 64;
        codec->power_iterations = 10;
        codec->factor_bits = 16;
        codec->delta_bits = 16;
    }
}

void gear_cache_desc_init(gear_cache_desc *desc)
{
    if (begin(desc, sizeof *desc)) {
        desc->max_query_tokens = 1;
        desc->window = 64;
        desc->recent = 64;
        desc->max_segment_tokens = 4096;
        desc->exact_first = GEAR_EXACT_AUTO;
    }
}

void gear_append_desc_init(gear_append_desc *desc)
{
    (void)begin(desc, sizeof *desc);
}

void gear_attend_desc_init(gear_attend_desc *desc)
{
    (void)begin(desc, sizeof *desc);
}

void gear_cache_plan_init(gear_cache_plan *plan)
{
    (void)begin(plan, sizeof *plan);
}
