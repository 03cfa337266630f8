/* shape_words.h: a shape as the words that kernels read. */
#ifndef GEAR_MODEL_SHAPE_WORDS_H
#define GEAR_MODEL_SHAPE_WORDS_H

#include "model/shape.h"

/* table_row: entries of a slot's page table row. */
void gear__shape_to_words(const gear__shape *shape, uint32_t table_row, uint32_t words[GEAR__SHAPE_WORDS]);

#endif
