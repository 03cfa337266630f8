/* argument_words.h: words that travel as kernel arguments (cl/common/argument_words.clh). */
#ifndef GEAR_STAGE_ARGUMENT_WORDS_H
#define GEAR_STAGE_ARGUMENT_WORDS_H

#include "device/launch.h"

#define GEAR__MOST_FIRST_ARGS 20

/* Sets the arguments in `first`, at most GEAR__MOST_FIRST_ARGS, and behind them `n` words of the `room`, at least n, that
 * the kernel takes: GEAR__UPLOAD_WORDS or GEAR__LONG_UPLOAD_WORDS. Those that are not given are 0. */
gear_status gear__set_args_with_words(cl_kernel kernel, const gear__arg *first, size_t num_first, const uint32_t *words,
                                      uint32_t n, uint32_t room, gear_error *error);

#endif
