/* kernels.c: compiles and launches, see kernels.h. */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embedded.h"

enum { MAX_KERNELS = 128, OPTION_BYTES = 128 };

typedef struct entry {
    const char *stem;
    char options[OPTION_BYTES];
    cl_program program;
    cl_kernel kernel;
} entry;

struct kernels {
    const device *dev;
    bool is_cpu;
    uint32_t count;
    entry entries[MAX_KERNELS];
};

bool kernels_create(const device *dev, kernels **out, host_error *error)
{
    kernels *k = calloc(1, sizeof *k);
    if (!k)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    k->dev = dev;
    k->is_cpu = (dev->type & CL_DEVICE_TYPE_CPU) != 0;
    *out = k;
    return true;
}

void kernels_destroy(kernels *k)
{
    for (uint32_t i = 0; k && i < k->count; ++i) {
        clReleaseKernel(k->entries[i].kernel);
        clReleaseProgram(k->entries[i].program);
    }
    free(k);
}

uint32_t kernels_lanes(const kernels *k, uint32_t on_gpu)
{
    return k->is_cpu ? 1 : on_gpu;
}

/* The canonical option string: the only place of this program that makes one. */
static void write_options(const kernel_options *o, char out[OPTION_BYTES])
{
    int used = snprintf(out, OPTION_BYTES, "-cl-std=CL1.2");
    const struct {
        const char *name;
        uint32_t value;
        bool given;
    } list[] = {{"WEIGHT_TYPE", o->weight_type ? (uint32_t)*o->weight_type : 0, o->weight_type != NULL},
                {"TOKENS", o->tokens, o->tokens > 0},
                {"LANES", o->lanes, o->lanes > 0},
                {"ROWS", o->rows, o->rows > 0}};
    for (size_t i = 0; i < sizeof list / sizeof *list; ++i)
        if (list[i].given)
            used += snprintf(out + used, OPTION_BYTES - (size_t)used, " -D %s=%u", list[i].name, list[i].value);
}

/* The compiler's first line, which is what fits into a message. */
static bool build_failure(cl_program program, const device *dev, const char *stem, cl_int code, host_error *error)
{
    char log[4096] = "";
    (void)clGetProgramBuildInfo(program, dev->id, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
    log[strcspn(log, "\n")] = 0;
    return fail(error, EXIT_DEVICE, "the kernel %s does not compile on %s (OpenCL code %d): %.200s", stem, dev->name, (int)code,
                log);
}

static bool compile(const kernels *k, const llm_embedded *source, entry *e, host_error *error)
{
    cl_int code = CL_SUCCESS;
    const char *text = (const char *)source->data;
    char name[64];
    e->program = clCreateProgramWithSource(k->dev->context, 1, &text, source->size, &code);
    if (!cl_ok(code, "clCreateProgramWithSource", error))
        return false;
    code = clBuildProgram(e->program, 1, &k->dev->id, e->options, NULL, NULL);
    bool ok = code == CL_SUCCESS || build_failure(e->program, k->dev, source->stem, code, error);
    if (ok) {
        snprintf(name, sizeof name, "llm_k_%s", source->stem);
        e->kernel = clCreateKernel(e->program, name, &code);
        ok = cl_ok(code, "clCreateKernel", error);
    }
    if (!ok)
        clReleaseProgram(e->program);
    return ok;
}

bool kernels_get(kernels *k, const char *stem, const kernel_options *options, cl_kernel *out, host_error *error)
{
    char text[OPTION_BYTES];
    write_options(options, text);
    for (uint32_t i = 0; i < k->count; ++i)
        if (!strcmp(k->entries[i].stem, stem) && !strcmp(k->entries[i].options, text)) {
            *out = k->entries[i].kernel;
            return true;
        }
    const llm_embedded *source = llm_embedded_kernels;
    while (source->stem && strcmp(source->stem, stem) != 0)
        ++source;
    if (!source->stem || k->count == MAX_KERNELS)
        return fail(error, EXIT_DEVICE, "%s kernel %s in this program", source->stem ? "no room for" : "there is no", stem);
    entry *e = &k->entries[k->count];
    e->stem = source->stem;
    memcpy(e->options, text, sizeof text);
    if (!compile(k, source, e, error))
        return false;
    ++k->count;
    *out = e->kernel;
    return true;
}

bool kernels_run(const kernels *k, cl_kernel kernel, const kernel_arg *args, uint32_t count, const kernel_range *range,
                 host_error *error)
{
    for (uint32_t i = 0; i < count; ++i)
        if (!cl_ok(clSetKernelArg(kernel, i, args[i].size, args[i].value), "clSetKernelArg", error))
            return false;
    return cl_ok(clEnqueueNDRangeKernel(k->dev->queue, kernel, range->dims, NULL, range->global,
                                        range->local[0] ? range->local : NULL, 0, NULL, NULL),
                 "clEnqueueNDRangeKernel", error);
}
