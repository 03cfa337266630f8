/* attend_choice.c: see the header. */
#include "attend_choice.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "stage/attend_kernel.h"

gear_attend_kernel attend_wanted(void)
{
    const char *wanted = getenv("GEAR_TEST_ATTEND");
    if (!wanted || !wanted[0]) {
        return GEAR_ATTEND_AUTO;
    }
    for (gear_attend_kernel kernel = GEAR_ATTEND_AUTO; gear__attend_name(kernel); kernel++) {
        if (!strcmp(gear__attend_name(kernel), wanted)) {
            return kernel;
        }
    }
    cr_assert_fail("GEAR_TEST_ATTEND=%s names no attend kernel", wanted);
    return GEAR_ATTEND_AUTO;
}

double attend_bound(const char *name)
{
    return strcmp(name, "nvidia") == 0 ? 5e-4 : 1e-5;
}
