/* status.c: names and texts of the status values, and the version. */
#include "gear/gear.h"

const char *gear_status_name(gear_status status)
{
    switch (status) {
#define CASE(name, value, text)                                                                                                \
  case GEAR_##name: return "GEAR_" #name;
        GEAR_STATUS_LIST(CASE)
#undef CASE
    }
    return "GEAR_UNKNOWN_STATUS";
}

const char *gear_status_text(gear_status status)
{
    switch (status) {
#define CASE(name, value, text)                                                                                                \
  case GEAR_##name: return text;
        GEAR_STATUS_LIST(CASE)
#undef CASE
    }
    return "not a status of this library";
}

#define STRING(x)                    #x
#define VERSION(major, minor, patch) STRING(major) "." STRING(minor) "." STRING(patch)

const char *gear_version(void)
{
    return VERSION(GEAR_VERSION_MAJOR, GEAR_VERSION_MINOR, GEAR_VERSION_PATCH);
}
