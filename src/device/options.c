/* options.c: build options as one canonical text. */
#include "device/options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void gear__options_begin(gear__options *options)
{
    static const char base[] = "-cl-std=CL1.2";
    memcpy(options->text, base, sizeof base);
    options->length = sizeof base - 1;
    options->overflow = 0;
}

void gear__options_registers(gear__options *options, unsigned most)
{
    size_t room = sizeof options->text - options->length;
    options->length += (size_t)snprintf(options->text + options->length, room, " -cl-nv-maxrregcount=%u", most);
}

static int is_identifier(const char *name)
{
    size_t i;
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return 0;
    for (i = 1; name[i]; ++i)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_')
            return 0;
    return 1;
}

void gear__options_int(gear__options *options, const char *name, long value)
{
    size_t room = sizeof options->text - options->length;
    int written;
    if (options->overflow)
        return;
    written = is_identifier(name) ? snprintf(options->text + options->length, room, " -D %s=%ld", name, value) : -1;
    if (written < 0 || (size_t)written >= room) {
        options->text[options->length] = '\0';
        options->overflow = 1;
        return;
    }
    options->length += (size_t)written;
}
