/* case.h: one end-to-end case: a cache, what is appended to it and how, and one attend that is compared with double
 * precision. */
#ifndef CASE_H
#define CASE_H

#include "e2e_tensor.h"

/* Columns of cases.tsv, in its order; make_cases.py says what the values mean. */
/* clang-format off */
#define CASE_COLUMNS(X)                                                                                                     \
    X(set) X(backbone) X(k_bits) X(v_bits) X(group) X(rank_prompt) X(rank_decode) X(factor_bits) X(outliers) X(head_dim)      \
    X(group_heads) X(kv_heads) X(queries) X(slack) X(length) X(batch) X(in_type) X(q_type) X(out_type) X(in_layout)           \
    X(out_layout) X(tail) X(soft_cap) X(scale) X(window) X(recent) X(exact) X(segment) X(arrival) X(delta_bits) X(segments)   \
    X(rotate) X(levels) X(weights)
/* clang-format on */

typedef struct e2e_case {
#define CASE_FIELD(name) uint32_t name;
    CASE_COLUMNS(CASE_FIELD)
#undef CASE_FIELD
    uint32_t row;         /* for messages and seeds */
    uint32_t cycle;       /* of the full product: product.h */
    e2e_maker key, value; /* NULL: e2e_key, e2e_value */
    double fixed_scale;   /* not 0: instead of `scale` */
    int exact_codes;      /* what is appended comes back without error, whatever the codec */
    int unbounded;        /* no bound on the error of reconstruction */
} e2e_case;

#define CASE_MAX 1024u

/* Reads the table; returns the rows of `set`. */
uint32_t case_read(const char *path, uint32_t set, e2e_case *cases);
/* The values of a column, which the table lists at its head; returns how many. */
uint32_t case_values(const char *path, const char *name, uint32_t *values, uint32_t most);
/* What the columns make of both sides. */
gear_codec_pair case_codecs(const e2e_case *c);
/* Runs one; fails the test with the row in the message. */
void case_run(e2e_rig *rig, const e2e_case *c);

#endif
