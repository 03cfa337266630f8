/* progress.h: a bar on standard error while something long runs; nothing where that is not a terminal. */
#ifndef GEAR_LLM_PROGRESS_H
#define GEAR_LLM_PROGRESS_H

#include <stddef.h>

typedef struct progress {
    size_t total, done;
    double start_ms;
    int shown; /* standard error is a terminal */
} progress;

progress progress_start(size_t total);
/* `what` says what is being done now. */
void progress_add(progress *p, size_t done, const char *what);
/* Takes the bar away. */
void progress_end(progress *p);

#endif
