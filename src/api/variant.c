/* variant.c: which attend kernel a device runs, in words. */
#include <stdio.h>

#include "api/internal.h"

void gear__describe_variant(const gear__caps *caps, char *name, size_t name_bytes, char *reason, size_t reason_bytes)
{
    const char *kind = caps->type & CL_DEVICE_TYPE_CPU ? "CPU" : caps->type & CL_DEVICE_TYPE_GPU ? "GPU" : "accelerator";
    snprintf(name, name_bytes, "portable");
    snprintf(reason, reason_bytes,
             "%s with OpenCL %d.%d: 64 work-items for each tile, scalar float32; no other variant is built yet", kind,
             caps->opencl_major, caps->opencl_minor);
}
