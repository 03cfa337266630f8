/* test_out_file.c: what a program writes replaces the old file when it is complete, and only then; nothing is left beside
 * it. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../host/common/out_file.h"
#include "../../host/common/report.h"
#include "open_cl.h"

typedef struct folder {
    char path[512], file[600];
} folder;

static folder make_folder(const char *text)
{
    folder f;
    (void)snprintf(f.path, sizeof f.path, "%s", test_directory());
    (void)snprintf(f.file, sizeof f.file, "%s/file", f.path);
    FILE *stream = text ? fopen(f.file, "w") : NULL;
    if (stream) {
        (void)fputs(text, stream);
        (void)fclose(stream);
    }
    return f;
}

static void expect(const folder *f, const char *text)
{
    char got[64] = "";
    FILE *stream = fopen(f->file, "r");
    cr_assert_not_null(stream);
    (void)fgets(got, sizeof got, stream);
    (void)fclose(stream);
    cr_assert_str_eq(got, text);
}

/* Removes it with its `files` files, of which there may be no more. */
static void remove_folder(const folder *f, int files)
{
    char path[1024];
    int found = 0;
    DIR *dir = opendir(f->path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", f->path, entry->d_name);
            (void)unlink(path);
            found++;
        }
    }
    (void)closedir(dir);
    cr_assert_eq(found, files);
    (void)rmdir(f->path);
}

Test(out_file, replaces_when_complete)
{
    for (int exists = 0; exists < 2; exists++) {
        folder f = make_folder(exists ? "old" : NULL);
        host_error error = {0};
        struct stat now;
        out_file out;
        if (exists)
            (void)chmod(f.file, 0640);
        cr_assert(out_open(&out, f.file, &error), "%s", error.text);
        (void)fputs("new", out.stream);
        if (exists)
            expect(&f, "old");
        else
            cr_assert_neq(access(f.file, F_OK), 0);
        cr_assert(out_commit(&out, &error), "%s", error.text);
        cr_assert(!out.stream && !out.path && !out.temporary);
        expect(&f, "new");
        cr_assert_eq(stat(f.file, &now), 0);
        cr_assert(!exists || (now.st_mode & 07777) == 0640);
        remove_folder(&f, 1);
    }
}

Test(out_file, a_failed_run_leaves_the_old_file)
{
    folder f = make_folder("old");
    host_error error = {0};
    out_file out;
    cr_assert(out_open(&out, f.file, &error));
    (void)fputs("half", out.stream);
    out_discard(&out);
    out_discard(&out);
    expect(&f, "old");
    cr_assert(out_open(&out, f.file, &error));
    cr_assert_eq(report_write(NULL, &out, &error), false); /* a document that could not be built */
    cr_assert_eq(error.exit_code, EXIT_DEVICE);
    expect(&f, "old");
    remove_folder(&f, 1);
}

Test(out_file, follows_a_link)
{
    folder f = make_folder("old");
    host_error error = {0};
    out_file out;
    struct stat link;
    char name[700];
    (void)snprintf(name, sizeof name, "%s/link", f.path);
    cr_assert_eq(symlink("file", name), 0);
    cr_assert(out_open(&out, name, &error), "%s", error.text);
    (void)fputs("new", out.stream);
    cr_assert(out_commit(&out, &error), "%s", error.text);
    expect(&f, "new");
    cr_assert(lstat(name, &link) == 0 && S_ISLNK(link.st_mode));
    remove_folder(&f, 2);
}

Test(out_file, refuses_what_it_cannot_write)
{
    folder f = make_folder("old");
    host_error error = {0};
    out_file out;
    char missing[1024];
    (void)snprintf(missing, sizeof missing, "%s/none/file", f.path);
    cr_assert(!out_open(&out, missing, &error));
    cr_assert(error.exit_code == EXIT_INPUT && strstr(error.text, "cannot write") && !out.stream);
    error = (host_error){0};
    cr_assert(!out_open(&out, f.path, &error));
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    error = (host_error){0};
    if (!access("/dev/full", W_OK)) { /* a device is written directly and stays one */
        struct stat now;
        cr_assert(out_open(&out, "/dev/full", &error));
        (void)fputs("text", out.stream);
        cr_assert(!out_commit(&out, &error));
        cr_assert_eq(error.exit_code, EXIT_DEVICE);
        cr_assert(stat("/dev/full", &now) == 0 && S_ISCHR(now.st_mode));
    }
    remove_folder(&f, 1);
}
