/* stage_bytes.c: what each stage must move, the model behind its GB/s; docs/benchmarks.md states it in words. */
#include <string.h>

#include "result.h"

uint64_t stage_bytes(const result *r, const char *stage)
{
    return !strncmp(stage, "attend_1", 8) ? r->moved : 0;
}
