/* pick_device.h: chooses an OpenCL device and opens it. Choosing belongs to programs: the library adopts what it is given. */
#ifndef HOST_PICK_DEVICE_H
#define HOST_PICK_DEVICE_H

#include "error.h"

typedef struct device {
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue; /* in-order */
    char platform_name[128], name[128], vendor[128], driver[128], version[128];
    char uuid[37]; /* "01234567-89ab-cdef-0123-456789abcdef", as the vendor's other tools write it; "": unknown */
    cl_device_type type;
} device;

/* All devices of all platforms in platform order; *count may be 0. The caller frees the array. NULL only on failure. */
device *list_devices(size_t *count, host_error *error);

/* Opens a device whose platform or device name contains `match` (any case; NULL: all do): the first GPU, else the first
 * accelerator, else the first other device. */
bool open_device(const char *match, device *chosen, host_error *error);
/* Creates context and queue of a listed device. */
bool open_listed(device *chosen, host_error *error);
void close_device(device *chosen);

/* A context of the library on an open device. programs: where compiled programs are kept; NULL: in memory only. */
bool open_library(const device *dev, const char *programs, gear_context **context, host_error *error);

/* "GPU", "CPU", "accelerator" or "other". */
const char *device_kind(cl_device_type type);

#endif
