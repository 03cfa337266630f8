/* data.h: keys, values and queries of a benchmark: close to normal, a function of (what, head, token, channel) and nothing
 * else, so that the device fills buffers and the host knows every value without reading any. Each value is exact in half
 * precision. One channel in sixteen is four times as wide as the others, as channels of real keys are. All sequences hold the
 * same tokens. */
#ifndef GEAR_MEASURE_DATA_H
#define GEAR_MEASURE_DATA_H

#include <stdint.h>

#include "real_data.h"

typedef enum data_kind { DATA_K, DATA_V, DATA_Q } data_kind;

typedef struct generator {
    cl_program program;
    cl_kernel kernel;
    real_data real; /* keys and values of shapes with data=real; left empty by generator_open */
} generator;

bool generator_open(generator *g, const device *dev, host_error *error);
void generator_close(generator *g);

/* Writes tokens first .. first + tokens - 1 of every head into a buffer of halves [sequences][heads][tokens][head_dim]. */
bool generate(generator *g, cl_command_queue queue, cl_mem mem, data_kind kind, uint32_t sequences, uint32_t heads,
              uint32_t first, uint32_t tokens, uint32_t head_dim, host_error *error);

float data_value(data_kind kind, uint32_t head, uint32_t token, uint32_t channel);

/* A half as a float. */
float data_from_half(uint16_t half);
/* An exact value as a half: only for what data_value returns. */
uint16_t data_to_half(float value);

#endif
