/* open_cl.c: see the header. */
#define _POSIX_C_SOURCE 200809L
#include "open_cl.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_IDS 16u

static int matches(cl_platform_id platform, cl_device_id device, const char *wanted)
{
    char name[256] = "", of[256] = "";
    if (!wanted || !wanted[0])
        return 1;
    (void)clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL);
    (void)clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof of, of, NULL);
    return strstr(name, wanted) != NULL || strstr(of, wanted) != NULL;
}

static cl_device_id pick(void)
{
    cl_platform_id platforms[MAX_IDS];
    cl_device_id devices[MAX_IDS];
    cl_uint num_platforms = 0, num_devices, p, d;
    const char *wanted = getenv("GEAR_TEST_DEVICE");
    if (clGetPlatformIDs(MAX_IDS, platforms, &num_platforms))
        return NULL;
    for (p = 0; p < num_platforms && p < MAX_IDS; ++p) {
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_IDS, devices, &num_devices))
            continue;
        for (d = 0; d < num_devices && d < MAX_IDS; ++d)
            if (matches(platforms[p], devices[d], wanted))
                return devices[d];
    }
    return NULL;
}

void test_cl_open(test_cl *cl)
{
    cl_command_queue_properties can = 0;
    cl_int code = CL_SUCCESS;
    memset(cl, 0, sizeof *cl);
    cl->device = pick();
    cr_assert_not_null(cl->device, "no OpenCL device (GEAR_TEST_DEVICE=%s)",
                       getenv("GEAR_TEST_DEVICE") ? getenv("GEAR_TEST_DEVICE") : "");
    cl->context = clCreateContext(NULL, 1, &cl->device, NULL, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS, "clCreateContext: %d", code);
    cl->queue = clCreateCommandQueue(cl->context, cl->device, 0, &code);
    cr_assert_eq(code, CL_SUCCESS, "clCreateCommandQueue: %d", code);
    (void)clGetDeviceInfo(cl->device, CL_DEVICE_QUEUE_PROPERTIES, sizeof can, &can, NULL);
    if (can & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        cl->out_of_order = clCreateCommandQueue(cl->context, cl->device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    cr_assert_eq(code, CL_SUCCESS, "out-of-order queue: %d", code);
}

void test_cl_close(test_cl *cl)
{
    if (cl->out_of_order)
        (void)clReleaseCommandQueue(cl->out_of_order);
    if (cl->queue)
        (void)clReleaseCommandQueue(cl->queue);
    if (cl->context)
        (void)clReleaseContext(cl->context);
    memset(cl, 0, sizeof *cl);
}

const char *test_root(void)
{
    const char *root = getenv("GEAR_TEST_ROOT");
    return root && root[0] ? root : GEAR_TEST_ROOT;
}

const char *test_directory(void)
{
    static char path[512];
    const char *base = getenv("GEAR_TEST_TMP");
    (void)snprintf(path, sizeof path, "%s/gear-test-XXXXXX", base && base[0] ? base : "/tmp");
    cr_assert_not_null(mkdtemp(path), "cannot make %s", path);
    return path;
}
