/* open_cl.h: a device, context and queue for tests. GEAR_TEST_DEVICE picks by a part of the platform's or device's name;
 * without it the first device of the first platform that has one. Call it inside a test: Criterion forks for each. */
#ifndef OPEN_CL_H
#define OPEN_CL_H

#include "gear/gear.h"

typedef struct test_cl {
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;        /* in-order */
    cl_command_queue out_of_order; /* NULL where the device has none */
} test_cl;

/* Fails the test when there is no device. */
void test_cl_open(test_cl *cl);
void test_cl_close(test_cl *cl);

/* The project's root: environment GEAR_TEST_ROOT, else where the tests were built from. */
const char *test_root(void);
/* A new empty directory for one test; the text is static. */
const char *test_directory(void);

#endif
