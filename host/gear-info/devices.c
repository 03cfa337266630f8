/* devices.c: lists platforms and devices, see info.h. */
#include <stdlib.h>
#include <string.h>

#include "../common/report.h"
#include "info.h"

typedef struct capabilities {
    cl_uint units, clock, bits;
    cl_ulong memory, most_allocation, local;
    size_t group;
    bool half, subgroups;
} capabilities;

static capabilities read_capabilities(const device *dev)
{
    capabilities c = {0};
    size_t size = 0;
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof c.units, &c.units, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_CLOCK_FREQUENCY, sizeof c.clock, &c.clock, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_ADDRESS_BITS, sizeof c.bits, &c.bits, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof c.memory, &c.memory, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof c.most_allocation, &c.most_allocation, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof c.local, &c.local, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof c.group, &c.group, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_EXTENSIONS, 0, NULL, &size);
    char *extensions = size ? malloc(size) : NULL;
    if (extensions && clGetDeviceInfo(dev->id, CL_DEVICE_EXTENSIONS, size, extensions, NULL) == CL_SUCCESS) {
        c.half = strstr(extensions, "cl_khr_fp16") != NULL;
        c.subgroups = strstr(extensions, "cl_khr_subgroups") || strstr(extensions, "cl_intel_subgroups");
    }
    free(extensions);
    return c;
}

/* Prints one device and returns its JSON object. `error` says why the library does not serve it, if so. */
static json_t *show_device(const device *dev, const gear_cache_plan *plan, const host_error *error)
{
    capabilities c = read_capabilities(dev);
    printf("  %s (%s, %s)\n", dev->name, device_kind(dev->type), dev->vendor);
    printf("    %s, driver %s\n", dev->version, dev->driver);
    printf("    %u compute units, %u MHz, %u-bit addresses; %llu MiB, largest allocation %llu MiB, local %llu KiB\n", c.units,
           c.clock, c.bits, (unsigned long long)(c.memory >> 20), (unsigned long long)(c.most_allocation >> 20),
           (unsigned long long)(c.local >> 10));
    printf("    work-groups of %zu; 16-bit floats: %s; sub-groups: %s\n", c.group, c.half ? "yes" : "no",
           c.subgroups ? "yes" : "no");
    if (error->exit_code)
        printf("    not served: %s\n", error->text);
    else {
        printf("    attend kernel: %s (%s)\n", plan->variant, plan->variant_reason);
        print_tuning("    ", plan);
    }
    json_t *object = report_device(dev);
    json_t *more = json_pack("{sI sI sI sI sI sI sI sb sb}", "compute_units", (json_int_t)c.units, "clock_mhz",
                             (json_int_t)c.clock, "address_bits", (json_int_t)c.bits, "memory_bytes", (json_int_t)c.memory,
                             "max_allocation_bytes", (json_int_t)c.most_allocation, "local_bytes", (json_int_t)c.local,
                             "max_work_group", (json_int_t)c.group, "fp16", c.half, "subgroups", c.subgroups);
    json_t *attend = error->exit_code ? json_pack("{ss}", "error", error->text)
                                      : json_pack("{ss ss so}", "variant", plan->variant, "reason", plan->variant_reason,
                                                  "tuning", tuning_json(plan));
    if (!object || !more || json_object_update(object, more) || json_object_set_new(object, "attend", attend)) {
        json_decref(object);
        object = NULL;
    }
    json_decref(more);
    return object;
}

bool show_devices(const geometry *g, const recipe *r, json_t *root, host_error *error)
{
    size_t count = 0;
    device *list = list_devices(&count, error);
    json_t *array = json_array();
    bool ok = list != NULL;
    if (ok && !count)
        printf("no OpenCL device: install a driver, for example the package pocl-opencl-icd\n");
    for (size_t i = 0; ok && i < count; ++i) {
        host_error refused = {0};
        gear_cache_plan plan;
        /* A wrong geometry is the user's error on every device; anything else is this device's. */
        if (!query_plan(g, r, &list[i], &plan, &refused) && refused.exit_code == EXIT_INPUT) {
            *error = refused;
            ok = false;
            break;
        }
        if (!i || strcmp(list[i].platform_name, list[i - 1].platform_name) != 0)
            printf("%s\n", list[i].platform_name);
        if (json_array_append_new(array, show_device(&list[i], &plan, &refused)))
            ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    }
    if (json_object_set_new(root, "devices", array) && ok)
        ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    free(list);
    return ok;
}
