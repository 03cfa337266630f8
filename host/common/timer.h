/* timer.h: wall time of a verb and the wait for its queue. */
#ifndef HOST_TIMER_H
#define HOST_TIMER_H

/* Milliseconds on a clock that never goes back. */
double timer_ms(void);

#endif
