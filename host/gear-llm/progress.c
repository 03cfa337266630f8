/* progress.c: the bar, see progress.h. */
#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "timer.h"

enum { BAR = 30 };

progress progress_start(size_t total)
{
    return (progress){total ? total : 1, 0, timer_ms(), isatty(STDERR_FILENO)};
}

void progress_add(progress *p, size_t done, const char *what)
{
    p->done += done;
    if (!p->shown)
        return;
    const double share = (double)p->done / (double)p->total, seconds = (timer_ms() - p->start_ms) * 1e-3;
    const int filled = share < 1 ? (int)(share * BAR) : BAR;
    fprintf(stderr, "\r\033[K[%.*s%.*s] %3.0f %%", filled, "##############################", BAR - filled,
            "..............................", 100 * share);
    if (p->done)
        fprintf(stderr, ", %.0f s left", seconds / share - seconds);
    fprintf(stderr, ", %s", what);
    (void)fflush(stderr);
}

void progress_end(progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
}
