/* unit_device.c: see the header. */
#include "unit_device.h"

#include <stdio.h>
#include <string.h>

#include "wrap_alloc.h"

void unit_log_write(void *user, gear_log_level level, const char *text)
{
    unit_log *log = user;
    size_t length = strlen(text), room = sizeof log->text - log->length - 2;
    length = length < room ? length : room;
    memcpy(log->text + log->length, text, length);
    log->length += length;
    log->text[log->length++] = '\n';
    log->text[log->length] = '\0';
    log->warnings += level == GEAR_LOG_WARNING;
}

gear_context_desc unit_desc(const test_cl *cl, unit_log *log, const char *cache_dir)
{
    static char kernels[1024];
    gear_context_desc desc;
    (void)snprintf(kernels, sizeof kernels, "%s/tests/unit/kernels", test_root());
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.context = cl->context;
    desc.device = cl->device;
    desc.allocator = wrap_allocator();
    if (log)
        desc.log = (gear_log){unit_log_write, log};
    desc.program_cache_dir = cache_dir;
    desc.kernel_source_dir = kernels;
    return desc;
}

gear__options unit_step(long factor)
{
    gear__options options;
    gear__options_begin(&options);
    gear__options_int(&options, "FACTOR", factor);
    return options;
}
