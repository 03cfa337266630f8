/* main.c: compiles against the installed header, links the installed library, and checks that the two are one version. */
#include <gear/gear.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", GEAR_VERSION_MAJOR, GEAR_VERSION_MINOR, GEAR_VERSION_PATCH);
    if (strcmp(version, gear_version()) != 0 || strcmp(gear_status_name(GEAR_OK), "GEAR_OK") != 0) {
        (void)fprintf(stderr, "header %s, library %s\n", version, gear_version());
        return 1;
    }
    (void)printf("gear %s\n", gear_version());
    return 0;
}
