/* argument_words.h: words that travel as kernel arguments (cl/common/argument_words.clh). */
#ifndef GEAR_STAGE_ARGUMENT_WORDS_H
#define GEAR_STAGE_ARGUMENT_WORDS_H

#include "device/launch.h"

/* Sets the arguments in `first` and behind them `n` of `room` words, GEAR__UPLOAD_WORDS or GEAR__LONG_UPLOAD_WORDS, which the
 * kernel takes; those that are not given are 0. */
gear_status gear__set_args_with_words(cl_kernel kernel, const gear__arg *first, size_t num_first, const uint32_t *words,
                                      uint32_t n, uint32_t room, gear_error *error);

#endif
