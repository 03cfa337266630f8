/* out_file.c: files that appear when they are complete, see out_file.h. */
#define _XOPEN_SOURCE 700
#include "out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void forget(out_file *file)
{
    free(file->path);
    free(file->temporary);
    *file = (out_file){0};
}

/* Opens a new file of the name in file->temporary with the permissions of the one that it will replace, if any. */
static int create(const out_file *file, const struct stat *old)
{
    int number = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (number < 0 && errno == EEXIST && !unlink(file->temporary)) /* of a process that is gone */
        number = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (number >= 0 && old)
        (void)fchmod(number, old->st_mode & 07777);
    return number;
}

bool out_open(out_file *file, const char *path, host_error *error)
{
    struct stat old;
    bool exists = !stat(path, &old);
    *file = (out_file){.path = exists ? realpath(path, NULL) : strdup(path)};
    if (!file->path)
        return fail(error, EXIT_DEVICE, "%s: %s", path, strerror(errno));
    if (exists && !S_ISREG(old.st_mode)) {
        file->stream = fopen(path, "w");
    } else if (!exists || !access(path, W_OK)) {
        size_t size = strlen(file->path) + 32;
        file->temporary = malloc(size);
        if (!file->temporary) {
            forget(file);
            return fail(error, EXIT_DEVICE, "host memory exhausted");
        }
        snprintf(file->temporary, size, "%s.%ld.part", file->path, (long)getpid());
        int number = create(file, exists ? &old : NULL);
        file->stream = number < 0 ? NULL : fdopen(number, "w");
    }
    if (file->stream)
        return true;
    fail(error, EXIT_INPUT, "%s: cannot write: %s", path, strerror(errno));
    forget(file);
    return false;
}

bool out_commit(out_file *file, host_error *error)
{
    errno = 0;
    bool failed = ferror(file->stream) != 0;
    failed = fclose(file->stream) || failed;
    failed = failed || (file->temporary && rename(file->temporary, file->path));
    bool ok = !failed || fail(error, EXIT_DEVICE, "%s: cannot write: %s", file->path, strerror(errno));
    if (failed && file->temporary)
        (void)unlink(file->temporary);
    forget(file);
    return ok;
}

void out_discard(out_file *file)
{
    if (file->stream)
        (void)fclose(file->stream);
    if (file->temporary)
        (void)unlink(file->temporary);
    forget(file);
}
