/* problems.h: problems with known answers, a line each: the prompt, a tabulator, the expected completion. */
#ifndef GEAR_LLM_PROBLEMS_H
#define GEAR_LLM_PROBLEMS_H

#include "engine.h"

typedef struct problem {
    const char *expected; /* NUL-terminated */
    token_list ids;       /* owned: prompt, then expected completion */
    uint32_t prompt;      /* tokens of the prompt */
} problem;

typedef struct problem_list {
    problem *items; /* owned */
    size_t count;
    char *text; /* owned: the file, which `expected` points into */
    uint32_t longest_prompt, longest_completion, longest;
} problem_list;

/* At most `limit` problems (0: all). A line without exactly one tabulator, with nothing on either side of it, or with bytes
 * that no token covers is refused as "FILE: line N: ...". */
bool problems_read(const char *path, const engine *e, size_t limit, problem_list *out, host_error *error);
void problems_free(problem_list *list);

/* The part of a completion that is the answer: from its last '#' on, or all of it. */
const char *problem_answer(const char *completion);

#endif
