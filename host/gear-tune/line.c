/* line.c: see line.h. */
#include "line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A parser of one line: NAME(argument, ...), an argument being a word, a number or "text" with \" and \\. */
typedef struct cursor {
    const char *at;
    bool bad;
} cursor;

static void skip_blanks(cursor *c)
{
    c->at += strspn(c->at, " \t");
}

static void expect(cursor *c, char what)
{
    skip_blanks(c);
    c->bad |= *c->at != what;
    c->at += !c->bad;
}

static void word(cursor *c, char out[DATABASE_WORD])
{
    size_t length = 0;
    skip_blanks(c);
    while (isalnum((unsigned char)c->at[length]) || c->at[length] == '_')
        ++length;
    c->bad |= !length || length >= DATABASE_WORD;
    snprintf(out, DATABASE_WORD, "%.*s", c->bad ? 0 : (int)length, c->at);
    c->at += length;
}

static uint32_t number(cursor *c)
{
    char text[DATABASE_WORD], *end = NULL;
    word(c, text);
    unsigned long value = strtoul(text, &end, 10);
    c->bad |= !isdigit((unsigned char)text[0]) || *end || value > 65536;
    return c->bad ? 0 : (uint32_t)value;
}

static void quoted(cursor *c, char out[DATABASE_NAME])
{
    size_t length = 0;
    expect(c, '"');
    while (!c->bad && *c->at != '"') {
        c->at += *c->at == '\\' && (c->at[1] == '"' || c->at[1] == '\\');
        c->bad |= !*c->at || length + 1 == DATABASE_NAME;
        if (!c->bad)
            out[length++] = *c->at++;
    }
    out[length] = 0;
    expect(c, '"');
}

static void parse_record(cursor *c, database_record *r)
{
    word(c, r->kernel);
    expect(c, ',');
    word(c, r->head_dim);
    expect(c, ',');
    word(c, r->codecs);
    if (r->kind == DATABASE_PREFER)
        return;
    uint32_t *const fields[] = {&r->tuning.rows, &r->tuning.work_items, &r->tuning.groups_per_unit};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
        expect(c, ',');
        *fields[i] = number(c);
    }
}

bool line_parse(database_line *line)
{
    static const struct {
        const char *name;
        database_kind kind;
    } kinds[] = {{"CLASS", DATABASE_CLASS},
                 {"VENDOR", DATABASE_VENDOR},
                 {"DEVICE", DATABASE_DEVICE},
                 {"TUNED", DATABASE_TUNED},
                 {"PREFER", DATABASE_PREFER}};
    char name[DATABASE_WORD], ignored[DATABASE_NAME];
    cursor c = {line->text, false};
    word(&c, name);
    expect(&c, '(');
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i)
        if (!strcmp(name, kinds[i].name))
            line->kind = kinds[i].kind;
    line->record.kind = line->kind;
    switch (line->kind) {
    case DATABASE_TEXT: return false;
    case DATABASE_VENDOR: word(&c, ignored); expect(&c, ','); /* fall through */
    case DATABASE_CLASS: word(&c, ignored); break;
    case DATABASE_DEVICE:
        quoted(&c, line->name);
        expect(&c, ',');
        quoted(&c, ignored);
        break;
    default: parse_record(&c, &line->record);
    }
    expect(&c, ')');
    skip_blanks(&c);
    return !c.bad && !*c.at;
}

/* A name as a C string without its quotes: what a compiler and `quoted` read as that name. */
static bool escape(const char *name, char out[2 * DATABASE_NAME], host_error *error)
{
    size_t used = 0, length = strlen(name);
    for (size_t i = 0; i < length && length < DATABASE_NAME; ++i) {
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return fail(error, EXIT_DEVICE, "the name '%s' has a control character", name);
        if (name[i] == '"' || name[i] == '\\')
            out[used++] = '\\';
        out[used++] = name[i];
    }
    out[used] = 0;
    return length < DATABASE_NAME ||
           fail(error, EXIT_DEVICE, "the name '%.40s...' is longer than %d bytes", name, DATABASE_NAME);
}

void line_format_record(const database_record *r, char out[DATABASE_LINE])
{
    if (r->kind == DATABASE_PREFER)
        snprintf(out, DATABASE_LINE, "PREFER(%s, %s, %s)", r->kernel, r->head_dim, r->codecs);
    else
        snprintf(out, DATABASE_LINE, "TUNED(%s, %s, %s, %u, %u, %u)", r->kernel, r->head_dim, r->codecs, r->tuning.rows,
                 r->tuning.work_items, r->tuning.groups_per_unit);
}

bool line_format_device(const char *device, const char *measured_with, char out[DATABASE_LINE], host_error *error)
{
    char name[2 * DATABASE_NAME], with[2 * DATABASE_NAME];
    if (!escape(device, name, error) || !escape(measured_with, with, error))
        return false;
    snprintf(out, DATABASE_LINE, "DEVICE(\"%s\", \"%s\")", name, with);
    return true;
}
