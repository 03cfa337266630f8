/* line.h: one line of the tuning database, as text and as what it says. docs/tuning.md has the format. */
#ifndef GEAR_TUNE_LINE_H
#define GEAR_TUNE_LINE_H

#include "../common/error.h"

typedef enum database_kind {
    DATABASE_TEXT, /* comments and empty lines */
    DATABASE_CLASS,
    DATABASE_VENDOR,
    DATABASE_DEVICE,
    DATABASE_TUNED,
    DATABASE_PREFER
} database_kind;

enum { DATABASE_WORD = 32, DATABASE_NAME = 256, DATABASE_LINE = 4 * DATABASE_NAME + 32 };

/* A TUNED or PREFER line. Words are those of the file: "PORTABLE", "128" or "ANY", "PLAIN" or "ANY". */
typedef struct database_record {
    database_kind kind;
    char kernel[DATABASE_WORD], head_dim[DATABASE_WORD], codecs[DATABASE_WORD];
    gear_attend_tuning tuning; /* of TUNED */
} database_record;

typedef struct database_line {
    char *text; /* owned, without its end of line */
    database_kind kind;
    database_record record;   /* of TUNED and PREFER */
    char name[DATABASE_NAME]; /* of DEVICE */
} database_line;

/* Reads line->text, which is no comment, into the rest of it. False where it is none of the format's. */
bool line_parse(database_line *line);

void line_format_record(const database_record *record, char out[DATABASE_LINE]);
bool line_format_device(const char *device, const char *measured_with, char out[DATABASE_LINE], host_error *error);

#endif
