/* command_line.h: how a program that compresses starts: its own flags beside those of device and codec, which are the same in
 * every such program. */
#ifndef HOST_COMMAND_LINE_H
#define HOST_COMMAND_LINE_H

#include "args.h"
#include "codec_flags.h"

typedef struct command_flags {
    device_flags device;
    codec_flags codec;
} command_flags;

/* A program's own part: `parse` gets `input` as state->input, and nothing to do at ARGP_KEY_INIT. */
typedef struct command_spec {
    char *name; /* begins every message */
    const struct argp_option *options;
    argp_parser_t parse;
    const char *doc;
    bool codec_overrides; /* the codec flags change codecs that are named otherwise */
} command_spec;

/* Parses the command line; ends the program on --help, --version and wrong usage. */
void command_line(const command_spec *command, int argc, char **argv, void *input, command_flags *flags);

#endif
