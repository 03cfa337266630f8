/* npy.h: reads NumPy's .npy files of versions 1.0 to 3.0: little-endian float16 or float32 in C order. Anything else is refused
 * with a reason; the header parser never reads outside the bytes it was given. */
#ifndef HOST_NPY_H
#define HOST_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "out_file.h"

#define NPY_MAX_DIMS 8

typedef enum npy_type { NPY_F16 = 0, NPY_F32 = 1 } npy_type;

typedef struct npy_array {
    npy_type type;
    uint32_t ndim;
    size_t shape[NPY_MAX_DIMS];
    size_t count;      /* product of the shape, at least 1 */
    size_t bytes;      /* count x element size */
    size_t data_first; /* where the data starts in the file */
    void *data;        /* owned by npy_read's arrays, NULL after npy_parse */
} npy_array;

/* Reads the header of a file of `size` bytes that starts with head[head_size] (head_size <= size). Returns NULL, or why
 * the file is refused: a static string. The array must have exactly `ndim` dimensions. */
const char *npy_parse(const unsigned char *head, size_t head_size, size_t size, uint32_t ndim, npy_array *array);

/* Reads a whole file; failures say "FILE: reason". */
bool npy_read(const char *path, uint32_t ndim, npy_array *array, host_error *error);
void npy_free(npy_array *array);

/* Writes the values as float32 to out[count]; returns the index of the first one that is not finite, or count. */
size_t npy_to_float(const npy_array *array, float *out);

/* Writes float32 values [rows][columns] as a whole file, and puts it in its place or discards it. */
bool npy_write(const float *values, size_t rows, size_t columns, out_file *file, host_error *error);

#endif
