/* attend_kernel.c: see the header. */
#include "stage/attend_kernel.h"

static const char *const names[] = {"auto", "portable", "cpu", "nvidia"};

#define NUM_KERNELS ((gear_attend_kernel)(sizeof names / sizeof *names))

const char *gear__attend_name(gear_attend_kernel kernel)
{
    return kernel < NUM_KERNELS ? names[kernel] : NULL;
}

int gear__attend_merges(gear_attend_kernel kernel)
{
    return kernel == GEAR_ATTEND_NVIDIA;
}

uint32_t gear__attend_v_group(const gear__shape *shape)
{
    const gear__side *v = &shape->side[1];
    int grouped = v->axis == GEAR__AXIS_TOKEN_GROUP || v->axis == GEAR__AXIS_MIXED_TOKEN;
    uint32_t group = v->axis == GEAR__AXIS_MIXED_TOKEN ? 64 : v->group;
    return grouped && group < shape->head_dim ? group : shape->head_dim;
}

/* Bytes of local memory that a warp of the NVIDIA kernel takes; as in cl/attend_1_partial_nvidia.cl. */
static uint32_t nvidia_warp_bytes(const gear__shape *shape, int direct, uint32_t stages)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    uint32_t d = shape->head_dim, stage = 0, segment = 0, fold = 0;
    for (int cls = 0; cls < 2; cls++) {
        stage = shape->head_stride[cls] > stage ? shape->head_stride[cls] : stage;
        segment = shape->seg_head_stride[cls] > segment ? shape->seg_head_stride[cls] : segment;
    }
    stage += segment + v->shared_pairs_bytes - (direct ? v->codes + v->codes_bytes : 0);
    uint32_t dense = 2 * 16 * (d + 8), sums = 4 * 8 * d;
    uint32_t ring = stages * stage > dense ? stages * stage : dense;
    fold += k->axis == GEAR__AXIS_MIXED_CHANNEL || k->axis == GEAR__AXIS_CHANNEL_SEGMENT ? 2 * d : 0;
    fold += v->axis == GEAR__AXIS_MIXED_TOKEN ? 128 * ((d + 63) / 64) : 0;
    for (int s = 0; s < 2; s++) {
        const gear__side *side = &shape->side[s];
        uint32_t rank = side->rank[0] > side->rank[1] ? side->rank[0] : side->rank[1];
        fold += side->factor_bits < 16 ? (64 + d) * rank : 0;
    }
    uint32_t outliers = shape->has_outliers ? 4 * 32 * 8 + 2 * 64 * 8 : 0; /* sums on their way, probabilities */
    return (ring > sums ? ring : sums) + (fold ? 2 * fold : 16) + outliers;
}

/* Local memory of a work-group that every NVIDIA GPU has, less what queries and sums take. */
static uint32_t nvidia_room(const gear__shape *shape)
{
    uint32_t d = shape->head_dim;
    return 48 * 1024 - 2 * 2 * 16 * (d + 16) - 512 - (shape->has_outliers ? 4 * 8 * d : 0);
}

static const char *nvidia_why_not(const gear__caps *caps, const gear__shape *shape)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    uint32_t k_rank = k->rank[0] > k->rank[1] ? k->rank[0] : k->rank[1];
    if (!caps->is_nvidia || !caps->is_gpu) {
        return "no NVIDIA GPU";
    }
    if (caps->nv_sm < 80) {
        return "sm_80 or later is needed";
    }
    if (k->axis == GEAR__AXIS_TOKEN_GROUP || k->axis == GEAR__AXIS_TOKEN_ALL) {
        return "K has scales by token";
    }
    if (shape->has_outliers && shape->head_dim > 128) {
        return "outliers at head_dim 256 take too many registers";
    }
    if (v->levels) {
        return "V has Lloyd-Max levels";
    }
    if (k_rank > 6 && k->axis != GEAR__AXIS_NONE) {
        return "rank of K above 6";
    }
    if (shape->head_dim > 7 * gear__attend_v_group(shape)) {
        return "more than 7 channel groups of V";
    }
    return nvidia_warp_bytes(shape, 1, 2) > nvidia_room(shape) ? "too little local memory" : NULL;
}

const char *gear__attend_why_not(gear_attend_kernel kernel, const gear__caps *caps, const gear__shape *shape)
{
    switch (kernel) {
    case GEAR_ATTEND_PORTABLE: return NULL;
    case GEAR_ATTEND_CPU: return caps->is_cpu ? NULL : "the device is no CPU";
    case GEAR_ATTEND_NVIDIA: return nvidia_why_not(caps, shape);
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
    return (gear__attend_tile){GEAR_ATTEND_PORTABLE, rows < limit ? rows : limit, 64, caps->is_cpu ? 1 : 8, 1, 0, 0, 0};
}

/* One work-item a work-group, 4 of them a thread to even out what else the machine does. 4 rows: with 8, whose sums take half
 * of the registers for one vector of codes, an AVX2 core needs 2.4 times as long instead of 2 (docs/kernels.md). */
static gear__attend_tile cpu_tile(uint32_t max_rows)
{
    uint32_t tiles = (max_rows + 3) / 4;
    return (gear__attend_tile){GEAR_ATTEND_CPU, (max_rows + tiles - 1) / tiles, 1, 4, 1, 0, 0, 0};
}

/* Local memory of a multiprocessor for all its work-groups, each of which takes 1 KiB more than it asks for (CUDA C programming
 * guide, compute capabilities). */
static uint32_t nvidia_unit_bytes(uint32_t sm)
{
    return (sm == 80 || sm == 87 ? 164 : sm >= 90 && sm < 120 ? 228 : 100) * 1024;
}

static gear__attend_tile nvidia_tile(const gear__caps *caps, const gear__shape *shape)
{
    /* 12 warps of a multiprocessor, 3 a work-group, were best on an H100; large blocks leave room for fewer, or must be read
     * directly. head_dim 256 needs more registers than 12 warps have. A compiler left alone takes up to 255 although 168 do,
     * and leaves a quarter or half of the warps out. */
    const uint32_t stages = 2, heavy = shape->head_dim > 128, units = heavy ? 8 : 12, most = heavy ? 2 : 3;
    uint32_t room = nvidia_room(shape), staged = nvidia_warp_bytes(shape, 0, stages);
    int direct = 2 * staged > room;
    uint32_t warp_bytes = direct ? nvidia_warp_bytes(shape, 1, stages) : staged, warps = room / warp_bytes;
    warps = warps < most ? warps : most;
    /* One work-group more than fits would wait for the others and double the time. */
    uint32_t groups = units / warps, fit = nvidia_unit_bytes(caps->nv_sm) / (48 * 1024 - room + warps * warp_bytes + 1024);
    groups = groups < fit ? groups : fit;
    return (gear__attend_tile){.kernel = GEAR_ATTEND_NVIDIA,
                               .rows = 8,
                               .work_items = 32 * warps,
                               .groups_per_unit = groups ? groups : 1,
                               .tiles = warps,
                               .registers = heavy ? 255 : 65536 / (32 * units) / 8 * 8,
                               .stages = stages,
                               .direct = direct};
}

gear__attend_tile gear__attend_tile_of(gear_attend_kernel kernel, const gear__caps *caps, const gear__shape *shape,
                                       uint32_t max_rows)
{
    switch (kernel) {
    case GEAR_ATTEND_CPU: return cpu_tile(max_rows);
    case GEAR_ATTEND_NVIDIA: return nvidia_tile(caps, shape);
    default: return portable_tile(caps, shape, max_rows);
    }
}
