/* wrap_cl.h: OpenCL calls of a test binary, the library's and the test's own, go through counters (the linker's --wrap):
 * objects alive, calls by kind, and a failure at the n-th call. Thread-safe. */
#ifndef WRAP_CL_H
#define WRAP_CL_H

#include "gear/gear.h"

typedef enum wrap_object {
    WRAP_CONTEXT,
    WRAP_QUEUE,
    WRAP_BUFFER,
    WRAP_PROGRAM,
    WRAP_KERNEL,
    WRAP_EVENT,
    WRAP_OBJECT_KINDS
} wrap_object;

typedef enum wrap_call {
    WRAP_ENQUEUE,  /* clEnqueue*; blocking ones also count as WRAP_WAIT */
    WRAP_COMPILE,  /* clCreateProgram*, clBuildProgram */
    WRAP_ALLOCATE, /* clCreateBuffer, clCreateSubBuffer, clCreateImage */
    WRAP_CREATE,   /* other clCreate* */
    WRAP_ARGUMENT, /* clSetKernelArg */
    WRAP_QUERY,    /* clGet*Info */
    WRAP_RETAIN,   /* clRetain* */
    WRAP_WAIT,     /* clFinish, clWaitForEvents, blocking transfers */
    WRAP_FLUSH,    /* clFlush */
    WRAP_CALL_KINDS
} wrap_call;

/* References held on objects of a kind: creations and retains minus releases; of all kinds. */
long wrap_live(wrap_object object);
long wrap_live_all(void);

/* Calls since the last reset. */
long wrap_calls(wrap_call call);
void wrap_reset_calls(void);

/* The n-th call from now (1: the next one) that can fail returns CL_OUT_OF_RESOURCES and does nothing; later ones work again.
 * 0: never. Releases never fail. */
void wrap_fail_at(long n);
/* Name of the call that was made to fail since wrap_fail_at, or NULL. */
const char *wrap_failed(void);

#endif
