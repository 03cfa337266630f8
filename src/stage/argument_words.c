/* argument_words.c: see the header. */
#include "stage/argument_words.h"

#include <string.h>

#include "layout.h"

#define MOST_PIECES (GEAR__LONG_UPLOAD_WORDS / 16)

gear_status gear__set_args_with_words(cl_kernel kernel, const gear__arg *first, size_t num_first, const uint32_t *words,
                                      uint32_t n, uint32_t room, gear_error *error)
{
    cl_uint16 piece[MOST_PIECES];
    gear__arg args[GEAR__MOST_FIRST_ARGS + MOST_PIECES];
    const uint32_t pieces = room / 16;
    memset(piece, 0, pieces * sizeof *piece);
    memcpy(piece, words, n * sizeof *words);
    memcpy(args, first, num_first * sizeof *args);
    for (uint32_t i = 0; i < pieces; i++) {
        args[num_first + i] = (gear__arg)GEAR__ARG(piece[i]);
    }
    return gear__set_args(kernel, args, (cl_uint)num_first + pieces, error);
}
