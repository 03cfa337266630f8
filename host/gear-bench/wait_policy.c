/* wait_policy.c: see wait_policy.h. */
#define _POSIX_C_SOURCE 200809L
#include "wait_policy.h"

#include <stdlib.h>
#include <unistd.h>

#include "openmp_attend.h"

static const char variable[] = "OMP_WAIT_POLICY";

void wait_policy_passive(char **argv)
{
    if (!openmp_threads() || getenv(variable) || setenv(variable, "passive", 1))
        return;
    execv("/proc/self/exe", argv);
    unsetenv(variable); /* it was not started anew: what holds is the default */
}

const char *wait_policy(void)
{
    return getenv(variable);
}
