/* argument_words.c: see the header. */
#include "stage/argument_words.h"

#include <string.h>

#include "layout.h"

#define NUM_PIECES (GEAR__UPLOAD_WORDS / 16)
#define MOST_FIRST 20

gear_status gear__set_args_with_words(cl_kernel kernel, const gear__arg *first, size_t num_first, const uint32_t *words,
                                      uint32_t n, gear_error *error)
{
    cl_uint16 piece[NUM_PIECES];
    gear__arg args[MOST_FIRST + NUM_PIECES];
    memset(piece, 0, sizeof piece);
    memcpy(piece, words, n * sizeof *words);
    memcpy(args, first, num_first * sizeof *args);
    for (uint32_t i = 0; i < NUM_PIECES; i++) {
        args[num_first + i] = (gear__arg)GEAR__ARG(piece[i]);
    }
    return gear__set_args(kernel, args, (cl_uint)num_first + NUM_PIECES, error);
}
