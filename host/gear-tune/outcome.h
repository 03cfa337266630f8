/* outcome.h: what tuning found for one head_dim and class of codecs: the searches of the kernels, what was decided, and the
 * records that the database gets. */
#ifndef GEAR_TUNE_OUTCOME_H
#define GEAR_TUNE_OUTCOME_H

#include <jansson.h>

#include "database.h"
#include "search.h"

enum { OUTCOME_KERNELS = NUM_ATTEND_KERNELS - 1, OUTCOME_RECORDS = OUTCOME_KERNELS + 1 };

typedef struct kernel_outcome {
    gear_attend_kernel kernel;
    char refused[256]; /* why it was not measured, or not searched; "": it was */
    search search;     /* count 0: not measured */
    duel duel;         /* of the fastest against what the library does now; passes 0: that is the fastest */
} kernel_outcome;

typedef struct outcome {
    const work *work;
    gear_attend_kernel chosen; /* by the library, as GEAR_ATTEND_AUTO */
    kernel_outcome kernels[OUTCOME_KERNELS];
    size_t count;
    gear_attend_kernel preferred; /* over `chosen`; AUTO: none */
    duel preference;
    bool wrong; /* something failed or computed something wrong */
} outcome;

/* Tunes every kernel that runs, or `only` (AUTO: every one). A kernel that is far behind is measured and not searched. */
void outcome_run(tuner *t, work *w, gear_attend_kernel only, outcome *out);

/* What the database should say; as many as are returned. */
size_t outcome_records(const outcome *o, database_record records[OUTCOME_RECORDS]);

bool outcome_print(const outcome *o, host_error *error);
json_t *outcome_json(const outcome *o);

#endif
