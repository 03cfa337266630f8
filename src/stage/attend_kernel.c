/* attend_kernel.c: see the header. */
#include "stage/attend_kernel.h"

static const char *const names[] = {"auto", "portable", "cpu"};

#define NUM_KERNELS ((gear_attend_kernel)(sizeof names / sizeof *names))

const char *gear__attend_name(gear_attend_kernel kernel)
{
    return kernel < NUM_KERNELS ? names[kernel] : NULL;
}

const char *gear__attend_why_not(gear_attend_kernel kernel, const gear__caps *caps, const gear__shape *shape)
{
    (void)shape;
    switch (kernel) {
    case GEAR_ATTEND_PORTABLE: return NULL;
    case GEAR_ATTEND_CPU: return caps->is_cpu ? NULL : "the device is no CPU";
    default: return "this library has no such kernel";
    }
}

gear_attend_kernel gear__attend_choose(gear_attend_kernel wanted, const gear__caps *caps, const gear__shape *shape)
{
    if (wanted != GEAR_ATTEND_AUTO) {
        return wanted;
    }
    gear_attend_kernel kernel = NUM_KERNELS - 1;
    while (kernel > GEAR_ATTEND_PORTABLE && gear__attend_why_not(kernel, caps, shape)) {
        kernel--;
    }
    return kernel;
}

static gear__attend_tile portable_tile(const gear__caps *caps, const gear__shape *shape, uint32_t max_rows)
{
    /* Registers decide. Each work-item keeps head_dim / 64 sums a row, twice as many where V is rotated: with more than 2 rows
     * Intel's GPU compiler spills then. On a CPU device 8 rows take twice the compile time of 4 (PoCL, AVX2: 4.6 s against
     * 2.3 s). */
    uint32_t limit = shape->head_dim > 128 ? 2 : caps->is_cpu ? 4 : shape->side[1].rotate ? 2 : 8;
    uint32_t rows = max_rows >= 5 ? 8 : max_rows >= 3 ? 4 : max_rows;
    /* A CPU device wants one work-group a core; a GPU several a multiprocessor, to hide latency. */
    return (gear__attend_tile){GEAR_ATTEND_PORTABLE, rows < limit ? rows : limit, 64, caps->is_cpu ? 1 : 8, 0};
}

/* One work-item a work-group, 4 of them a thread to even out what else the machine does. 4 rows: with 8, whose sums take half
 * of the registers for one vector of codes, an AVX2 core needs 2.4 times as long instead of 2 (docs/kernels.md). */
static gear__attend_tile cpu_tile(uint32_t max_rows)
{
    uint32_t tiles = (max_rows + 3) / 4;
    return (gear__attend_tile){GEAR_ATTEND_CPU, (max_rows + tiles - 1) / tiles, 1, 4, 0};
}

gear__attend_tile gear__attend_tile_of(gear_attend_kernel kernel, const gear__caps *caps, const gear__shape *shape,
                                       uint32_t max_rows)
{
    return kernel == GEAR_ATTEND_CPU ? cpu_tile(max_rows) : portable_tile(caps, shape, max_rows);
}
