/* test_append_5_store.c: list lengths, bases, indices, deltas and headers, bit for bit: the low-rank factors that both sides
 * read here are the reference's. */
#include <criterion/criterion.h>

#include "stage_world.h"

#define KERNELS (1ull << GEAR__KERNEL_COUNT_OUTLIERS | 1ull << GEAR__KERNEL_BASES | 1ull << GEAR__KERNEL_STORE)

static void check(stage_world *world, uint32_t is_v)
{
    stage_check_round(world, is_v, STAGE_OUTLIER_LISTS, gear__append_5_store);
}

Test(append_5_store, equals_the_reference)
{
    stage_run_all("append_5_store", STAGE_OUTLIER_LISTS, KERNELS, check);
}
