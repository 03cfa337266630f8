/* args.c: shared parts of the command lines, see args.h. */
#define _POSIX_C_SOURCE 200809L
#include "args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"

static void print_version(FILE *stream, struct argp_state *state)
{
    fprintf(stream, "%s %d.%d.%d (library %s)\n", state->name, GEAR_VERSION_MAJOR, GEAR_VERSION_MINOR, GEAR_VERSION_PATCH,
            gear_version());
}

void args_setup(void)
{
    argp_err_exit_status = EXIT_INPUT;
    argp_program_version_hook = print_version;
}

static uint64_t parse_unsigned(const char *name, const char *text, uint64_t most, const struct argp_state *state)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (!end || *end || errno || value > most)
        argp_failure(state, EXIT_INPUT, 0, "--%s: '%s' is not a whole number of 0 to %llu", name, text,
                     (unsigned long long)most);
    return value;
}

uint32_t args_u32(const char *name, const char *text, const struct argp_state *state)
{
    return (uint32_t)parse_unsigned(name, text, UINT32_MAX, state);
}

uint64_t args_u64(const char *name, const char *text, const struct argp_state *state)
{
    return parse_unsigned(name, text, UINT64_MAX, state);
}

float args_float(const char *name, const char *text, const struct argp_state *state)
{
    char *end = NULL;
    float value = strtof(text, &end);
    if (end == text || *end || !isfinite(value))
        argp_failure(state, EXIT_INPUT, 0, "--%s: '%s' is not a finite number", name, text);
    return value;
}

uint32_t args_choice(const char *name, const char *text, const char *const *names, uint32_t count,
                     const struct argp_state *state)
{
    char list[128] = "";
    for (uint32_t i = 0; i < count; ++i) {
        if (!strcmp(text, names[i]))
            return i;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    argp_failure(state, EXIT_INPUT, 0, "--%s: '%s' is none of %s", name, text, list);
    return 0;
}

enum { KEY_DEVICE = 0x400, KEY_CACHE, KEY_NO_CACHE };

static const struct argp_option device_options[] = {
    {"device", KEY_DEVICE, "SUBSTRING", 0,
     "Use a device whose platform or device name contains this (any case); GPUs come before CPUs", 0},
    {"program-cache", KEY_CACHE, "DIR", 0, "Keep compiled kernels here [$XDG_CACHE_HOME/gear or ~/.cache/gear]", 0},
    {"no-program-cache", KEY_NO_CACHE, NULL, 0, "Compile the kernels anew", 0},
    {0}};

static error_t device_parse(int key, char *text, struct argp_state *state)
{
    device_flags *flags = state->input;
    switch (key) {
    case KEY_DEVICE: flags->device = text; return 0;
    case KEY_CACHE: flags->program_cache = text; return 0;
    case KEY_NO_CACHE: flags->no_program_cache = 1; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp device_argp = {device_options, device_parse, NULL, NULL, NULL, NULL, NULL};

/* Creates `path` and the directories above it; the outcome is checked by the caller's stat. */
static void make_directories(char *path)
{
    for (char *c = path + 1; *c; ++c)
        if (*c == '/') {
            *c = 0;
            mkdir(path, 0777);
            *c = '/';
        }
    mkdir(path, 0777);
}

char *args_program_cache(const device_flags *flags)
{
    if (flags->no_program_cache)
        return NULL;
    const char *base = flags->program_cache, *tail = "";
    if (!base) {
        base = getenv("XDG_CACHE_HOME");
        tail = "/gear";
        if (!base || base[0] != '/') {
            base = getenv("HOME");
            tail = "/.cache/gear";
        }
    }
    if (!base || !*base)
        return NULL;
    size_t size = strlen(base) + strlen(tail) + 1;
    char *path = malloc(size);
    if (!path)
        return NULL;
    snprintf(path, size, "%s%s", base, tail);
    make_directories(path);
    struct stat info;
    if (stat(path, &info) || !S_ISDIR(info.st_mode)) {
        free(path);
        return NULL;
    }
    return path;
}
