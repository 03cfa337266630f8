/* upload.c: words into a device table, carried by kernel arguments (cl/upload.cl). */
#include <string.h>

#include "stage/stage.h"

gear_status gear__upload(gear__stream *stream, const gear__variant *variant, cl_mem table, uint32_t offset_words,
                         const uint32_t *words, uint32_t count, gear_error *error)
{
    cl_kernel kernel = variant->kernel[GEAR__KERNEL_UPLOAD][0];
    const size_t global[1] = {GEAR__WORK_GROUP}, local[1] = {GEAR__WORK_GROUP};
    for (uint32_t done = 0; done < count;) {
        cl_uint16 piece[GEAR__UPLOAD_WORDS / 16];
        cl_uint offset = offset_words + done, n = count - done;
        n = n < GEAR__UPLOAD_WORDS ? n : GEAR__UPLOAD_WORDS;
        memset(piece, 0, sizeof piece);
        memcpy(piece, words + done, n * sizeof *words);
        gear__arg args[3 + GEAR__UPLOAD_WORDS / 16] = {GEAR__ARG(table), GEAR__ARG(offset), GEAR__ARG(n)};
        for (uint32_t i = 0; i < GEAR__UPLOAD_WORDS / 16; i++) {
            args[3 + i] = (gear__arg)GEAR__ARG(piece[i]);
        }
        gear_status status = gear__set_args(kernel, args, 3 + GEAR__UPLOAD_WORDS / 16, error);
        status = status ? status : gear__stream_kernel(stream, kernel, 1, global, local, error);
        if (status) {
            return status;
        }
        done += n;
    }
    return GEAR_OK;
}
