/* real_data.h: keys and values of one layer of a model, tiled over sequences, heads, channels and tokens: outliers lie where a
 * model has them, K's in a few channels and V's anywhere. All heads are of the same layer, as those of a cache layer are: the
 * largest of a token are found among all its heads, and layers differ in scale. Where a head has more channels than the
 * model's, several of the model's heads lie side by side. All sequences hold the same tokens. */
#ifndef GEAR_MEASURE_REAL_DATA_H
#define GEAR_MEASURE_REAL_DATA_H

#include <stdint.h>

#include "../common/pick_device.h"

/* Layers are numbered 0 to REAL_LAYERS - 1; MIDDLE_LAYER asks for the middle one of those that were read. */
enum { REAL_LAYERS = 100, MIDDLE_LAYER = REAL_LAYERS };

/* All zero: none. */
typedef struct real_data {
    uint32_t layers, heads, tokens, dim; /* of the model */
    uint16_t *values[2];                 /* K, V: halves [layer][head][token][channel] */
    uint32_t numbers[REAL_LAYERS];       /* of the layers, rising */
    cl_mem mem[2];                       /* the same on the device */
    cl_program program;
    cl_kernel kernel;
} real_data;

/* Reads L00_k_post.npy and L00_v.npy to L99 of a folder: float16 [heads][tokens][channels], all of one shape; numbers may be
 * missing. real_data_close in any case. */
bool real_data_read(real_data *r, const char *folder, host_error *error);
/* Where layer `number`, or MIDDLE_LAYER, is among those that were read. One that is not there, or no data at all, is a
 * failure. */
bool real_data_find(const real_data *r, uint32_t number, uint32_t *layer, host_error *error);
/* Puts what was read on the device. */
bool real_data_open(real_data *r, const device *dev, host_error *error);
void real_data_close(real_data *r);

/* Writes tokens first .. first + tokens - 1 of every head into a buffer of halves [sequences][heads][tokens][head_dim]. layer:
 * what real_data_find says. */
bool real_data_fill(const real_data *r, cl_command_queue queue, cl_mem mem, bool is_v, uint32_t layer, uint32_t sequences,
                    uint32_t heads, uint32_t first, uint32_t tokens, uint32_t head_dim, host_error *error);

/* One value of that. */
float real_data_value(const real_data *r, bool is_v, uint32_t layer, uint32_t head, uint32_t token, uint32_t channel,
                      uint32_t head_dim);

#endif
