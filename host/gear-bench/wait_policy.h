/* wait_policy.h: how OpenMP's threads wait for each other. By default they spin, and then the peer's times are many times too
 * long wherever another program, or a driver's own threads, want the same cores. */
#ifndef GEAR_BENCH_WAIT_POLICY_H
#define GEAR_BENCH_WAIT_POLICY_H

/* Makes them sleep, unless the user's OMP_WAIT_POLICY says otherwise. The runtime looks at it before main, so the program is
 * started anew with the variable set; returns where that is done, or cannot be. */
void wait_policy_passive(char **argv);

/* What holds; NULL: the runtime's default. */
const char *wait_policy(void);

#endif
