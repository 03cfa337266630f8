/* error.c: the programs' failures, see error.h. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool fail(host_error *error, int exit_code, const char *format, ...)
{
    if (error->exit_code)
        return false;
    error->exit_code = exit_code;
    va_list list;
    va_start(list, format);
    vsnprintf(error->text, sizeof error->text, format, list);
    va_end(list);
    /* File and device names come from outside; the message must stay one line. */
    for (char *c = error->text; *c; ++c)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    return false;
}

bool fail_in(host_error *error, const char *place, const host_error *why)
{
    return why->exit_code == EXIT_INPUT ? fail(error, EXIT_INPUT, "%s: %s", place, why->text)
                                        : fail(error, why->exit_code, "%s", why->text);
}

bool gear_ok(gear_status status, const gear_error *detail, host_error *error)
{
    if (status == GEAR_OK)
        return true;
    int code = status >= 10 && status < 20 ? EXIT_INPUT : EXIT_DEVICE;
    const char *where = detail->where ? detail->where : "gear";
    const char *text = detail->message[0] ? detail->message : gear_status_text(status);
    if (detail->cl_code != CL_SUCCESS)
        return fail(error, code, "%s: %s (%s, OpenCL code %d)", where, text, gear_status_name(status), (int)detail->cl_code);
    return fail(error, code, "%s: %s (%s)", where, text, gear_status_name(status));
}

bool cl_ok(cl_int code, const char *what, host_error *error)
{
    return code == CL_SUCCESS || fail(error, EXIT_DEVICE, "%s failed with OpenCL code %d", what, (int)code);
}

int report_failure(const char *program, const host_error *error)
{
    fprintf(stderr, "%s: %s\n", program, error->text);
    return error->exit_code;
}

bool stdout_ok(host_error *error)
{
    if (fflush(stdout) || ferror(stdout))
        return fail(error, EXIT_DEVICE, "cannot write to standard output: %s", strerror(errno));
    return true;
}
