/* error.h: how programs fail: one line of text and an exit code that travel up to main. Nothing below main prints or exits. */
#ifndef HOST_ERROR_H
#define HOST_ERROR_H

#include <stdbool.h>

#include "gear/gear.h"

#define EXIT_DEVICE 1 /* the device, the library or the machine failed */
#define EXIT_INPUT  2 /* the command line or an input file is wrong */

typedef struct host_error {
    int exit_code;
    char text[512];
} host_error;

/* Records the failure and returns false, so that a function can end with `return fail(...)`. The first failure is kept. */
bool fail(host_error *error, int exit_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Records a failure that a part of the work met, bad input with the file or line that it was met in: "place: text". */
bool fail_in(host_error *error, const char *place, const host_error *why);

/* True for GEAR_OK. A status that blames the request (decade 10) is bad input, the others are failures of the machine. */
bool gear_ok(gear_status status, const gear_error *detail, host_error *error);

/* True for CL_SUCCESS; `what` names the OpenCL call. */
bool cl_ok(cl_int code, const char *what, host_error *error);

/* Prints "program: text" on stderr and returns the exit code. */
int report_failure(const char *program, const host_error *error);

/* Flushes stdout; a full disk or a closed pipe is a failure. */
bool stdout_ok(host_error *error);

#endif
