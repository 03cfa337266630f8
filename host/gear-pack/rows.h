/* rows.h: the rows of gear-pack's table: which recipes, their averages over the inputs, and how they are shown. */
#ifndef GEAR_PACK_ROWS_H
#define GEAR_PACK_ROWS_H

#include <jansson.h>

#include "../common/codec_file.h"
#include "../common/codec_flags.h"
#include "../common/report.h"
#include "measure.h"

typedef struct row {
    char name[48];
    const char *preset;                                    /* NULL: none */
    bool ordered;                                          /* K has a channel order */
    uint64_t compressed;                                   /* tokens, of all inputs */
    gear_bytes bytes;                                      /* of all inputs */
    gear_health replaced;                                  /* values of all inputs */
    double bits_per_value;                                 /* over the compressed tokens; NaN if there are none */
    double bits_all_tokens;                                /* over all tokens, window counted */
    double rel_k, rel_v, rel_attention, rel_attention_all; /* means; NaN: not measured */
    double energy_k, energy_v, append_ms, attend_ms;
} row;

/* What one recipe left over on every input, kept so that the energy of L needs no second run of the recipe without L. */
typedef struct residual {
    recipe recipe;
    double *k, *v; /* [inputs] */
} residual;

typedef struct residual_list {
    residual *items;
    size_t count;
} residual_list;

/* The default table, to be freed by the caller; NULL on failure. 16 bits; each of the paper's backbones at 2, 3 and 4 bits
 * alone, +L (rank 4), +L+S (2 % by the vector rule); the presets for this head_dim. Window and recent are those of the flags in
 * every row, so that rows compare; exact_first is the preset's (else 0) unless the flags give it. A recipe that is also a
 * preset has one row. */
recipe *default_recipes(const codec_flags *flags, uint32_t head_dim, size_t *count, host_error *error);

bool measure_row(measurer *m, const recipe *r, const input *inputs, size_t count, residual_list *known, row *out,
                 host_error *error);
/* The row of a codec file, whose layers are the inputs; energies are not measured. */
bool measure_file_row(measurer *m, const char *name, const codec_file *codecs, const input *inputs, size_t count, row *out,
                      host_error *error);
void residuals_free(residual_list *list);

/* Sorts by bits per value; rows without a compressed token come last. */
void rows_sort(row *rows, size_t count);

/* How a table was scored, for all its rows. */
typedef struct scoring {
    bool weighted, halved; /* as in measurer */
    bool any_ordered;      /* a row has a channel order */
} scoring;

/* The table, and a line for each kind of value that the library replaced: the inputs are the same in every row. */
bool rows_print(const row *rows, size_t count, host_error *error);
/* The document of --json, or NULL where memory is exhausted. */
json_t *rows_json(const row *rows, size_t count, const scoring *how, const device *dev);

#endif
