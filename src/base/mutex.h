/* mutex.h: a plain mutex. pthread where there is one, because the thread sanitizer does not see C11 mutexes; else C11 threads.
 * */
#ifndef GEAR_BASE_MUTEX_H
#define GEAR_BASE_MUTEX_H

#if defined(__unix__) || defined(__APPLE__)
#  include <pthread.h>

typedef pthread_mutex_t gear__mutex;

/* Returns 0 on success. */
static inline int gear__mutex_init(gear__mutex *mutex)
{
    return pthread_mutex_init(mutex, NULL);
}

static inline void gear__mutex_destroy(gear__mutex *mutex)
{
    (void)pthread_mutex_destroy(mutex);
}

static inline void gear__mutex_lock(gear__mutex *mutex)
{
    (void)pthread_mutex_lock(mutex);
}

static inline void gear__mutex_unlock(gear__mutex *mutex)
{
    (void)pthread_mutex_unlock(mutex);
}

#else
#  include <threads.h>

typedef mtx_t gear__mutex;

static inline int gear__mutex_init(gear__mutex *mutex)
{
    return mtx_init(mutex, mtx_plain) == thrd_success ? 0 : 1;
}

static inline void gear__mutex_destroy(gear__mutex *mutex)
{
    mtx_destroy(mutex);
}

static inline void gear__mutex_lock(gear__mutex *mutex)
{
    (void)mtx_lock(mutex);
}

static inline void gear__mutex_unlock(gear__mutex *mutex)
{
    (void)mtx_unlock(mutex);
}

#endif
#endif
