/* rows.h: the rows of gear-pack's table: which codecs, their averages over the inputs, and how they are shown. */
#ifndef GEAR_PACK_ROWS_H
#define GEAR_PACK_ROWS_H

#include <jansson.h>

#include "../common/report.h"
#include "measure.h"

typedef struct row {
    char name[48];
    uint64_t compressed;    /* tokens, of all inputs */
    gear_bytes bytes;       /* of all inputs */
    double bits_per_value;  /* over the compressed tokens; NaN if there are none */
    double bits_all_tokens; /* over all tokens, window counted */
    double rel_k, rel_v, rel_attention, energy_k, energy_v, append_ms, attend_ms; /* means; NaN: not measured */
} row;

/* What one codec left over on every input, kept so that the energy of L needs no second run of the codec without L. */
typedef struct residual {
    gear_codec_pair codec;
    double *k, *v; /* [inputs] */
} residual;

typedef struct residual_list {
    residual *items;
    size_t count;
} residual_list;

#define DEFAULT_ROWS 28
/* 16 bits; then each backbone alone, +L (rank 4), +L+S (2 % by the vector rule) at 2, 3 and 4 bits. */
void default_codecs(gear_codec_pair list[DEFAULT_ROWS]);

bool measure_row(measurer *m, const gear_codec_pair *codec, const input *inputs, size_t count, residual_list *known, row *out,
                 host_error *error);
void residuals_free(residual_list *list);

bool rows_print(const row *rows, size_t count, host_error *error);
/* The document of --json, or NULL where memory is exhausted. */
json_t *rows_json(const row *rows, size_t count, const device *dev);

#endif
