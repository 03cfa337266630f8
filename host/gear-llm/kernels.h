/* kernels.h: the kernels of gear-llm on one device: each file of cl/ holds one kernel, llm_k_STEM, compiled once for each set
 * of options that is asked for. */
#ifndef GEAR_LLM_KERNELS_H
#define GEAR_LLM_KERNELS_H

#include <stdint.h>

#include "gguf.h"
#include "pick_device.h"

typedef struct kernels kernels;

/* What a kernel is specialised on; 0 (and no type) is an option that the kernel does not have. */
typedef struct kernel_options {
    const gguf_type *weight_type; /* NULL: none */
    uint32_t tokens, lanes, rows;
} kernel_options;

/* The device is borrowed and must outlive the kernels. */
bool kernels_create(const device *dev, kernels **out, host_error *error);
/* NULL is harmless. */
void kernels_destroy(kernels *k);

/* Work-items that share a row: 1 on a CPU, `on_gpu` elsewhere. */
uint32_t kernels_lanes(const kernels *k, uint32_t on_gpu);

/* Compiles at the first call for these options; the kernel is borrowed. */
bool kernels_get(kernels *k, const char *stem, const kernel_options *options, cl_kernel *out, host_error *error);

/* Arguments of one launch, in order. A buffer is given as its cl_mem. */
typedef struct kernel_arg {
    size_t size;
    const void *value;
} kernel_arg;

/* The range of one launch; local 0 in the first place leaves the choice to the device. */
typedef struct kernel_range {
    uint32_t dims;
    size_t global[3], local[3];
} kernel_range;

/* Enqueues on the device's queue. */
bool kernels_run(const kernels *k, cl_kernel kernel, const kernel_arg *args, uint32_t count, const kernel_range *range,
                 host_error *error);

#define KERNEL_ARG(x)                                                                                                          \
  {                                                                                                                            \
    sizeof(x), &(x)                                                                                                            \
  }
#define KERNELS_RUN(k, kernel, range, error, ...)                                                                              \
  kernels_run(k, kernel, (const kernel_arg[]){__VA_ARGS__},                                                                    \
              (uint32_t)(sizeof((const kernel_arg[]){__VA_ARGS__}) / sizeof(kernel_arg)), range, error)

#endif
