/* error.h: the only functions that fill a gear_error. Each returns the status that it wrote, so a failing function ends with
 * `return gear__fail(...)` or `status = gear__fail(...); goto cleanup;`. */
#ifndef GEAR_BASE_ERROR_H
#define GEAR_BASE_ERROR_H

#include "gear/gear.h"

#if defined(__GNUC__)
#  define GEAR__PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#  define GEAR__PRINTF(text, first)
#endif

/* `error` may be NULL. `where` is a static string: the API function or OpenCL call. Every field is reset; long messages are
 * cut. */
gear_status gear__fail(gear_error *error, gear_status status, const char *where, const char *format, ...) GEAR__PRINTF(4, 5);
/* GEAR_ERROR_OPENCL with the name of `code` in the message. */
gear_status gear__fail_cl(gear_error *error, cl_int code, const char *where);
/* The same with what was attempted behind the name: "CL_OUT_OF_RESOURCES: <text>". */
gear_status gear__fail_cl_text(gear_error *error, cl_int code, const char *where, const char *format, ...) GEAR__PRINTF(4, 5);
/* GEAR_ERROR_BUILD that keeps the OpenCL code. */
gear_status gear__fail_build(gear_error *error, cl_int code, const char *where, const char *format, ...) GEAR__PRINTF(4, 5);
/* GEAR_ERROR_MEMORY: `bytes` bytes of host memory were not to be had. */
gear_status gear__fail_memory(gear_error *error, const char *where, size_t bytes);

/* "CL_INVALID_VALUE"; "unknown OpenCL error" for codes outside OpenCL 1.2. */
const char *gear__cl_name(cl_int code);

#endif
