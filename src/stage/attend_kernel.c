/* attend_kernel.c: see the header. */
#include "stage/attend_kernel.h"

#include "base/error.h"

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

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Warps of a multiprocessor with two row tiles each, whose sums and scores fill 255 registers. */
#define WIDE_WARPS 8u

/* Entries of outliers that a warp of the NVIDIA kernel has in local memory at a time: NV_WINDOW. */
#define WINDOW 384u

/* Bytes of a block in a warp's local memory: K_PART + V_PART of cl/common/attend_nvidia_parts.clh. */
static uint32_t nvidia_block_bytes(const gear__shape *shape, int direct)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    uint32_t bytes = (direct ? 0 : k->supers) + (k->pairs - k->supers) + (k->counts - k->supers) + (v->counts - v->pairs) +
                     v->shared_pairs_bytes;
    bytes += larger(v->a[0] - k->a[0], v->a[1] - k->a[1]);
    bytes += larger(shape->head_stride[0] - v->a[0], shape->head_stride[1] - v->a[1]);
    bytes += larger(v->b[0], v->b[1]) + larger(shape->seg_head_stride[0] - v->b[0], shape->seg_head_stride[1] - v->b[1]);
    for (int s = 0; s < 2; s++) {
        uint32_t bits = shape->side[s].delta_bits;
        bytes += bits ? WINDOW + 16 + WINDOW * bits / 8 + (bits == 8 ? 16 : 0) : 0;
    }
    return bytes;
}

/* The same of its scales as operands, which there are with 16 query rows: NV_READY of attend_nvidia_exact.clh. */
static uint32_t nvidia_ready_bytes(const gear__shape *shape)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    uint32_t groups = k->axis == GEAR__AXIS_CHANNEL_GROUP ? 64 / k->group : 1, v_group = gear__attend_v_group(shape);
    uint32_t k_bytes = gear__is_mixed(k) ? 0 : 4 * shape->head_dim * groups;
    uint32_t v_bytes = gear__is_mixed(v) ? 0 : 256 * ((shape->head_dim + v_group - 1) / v_group);
    return larger(larger(k_bytes, v_bytes), 16);
}

/* Bytes of local memory that a warp of the NVIDIA kernel takes with 4, 8 or 16 query rows; as in
 * cl/common/attend_nvidia_{stage,dense,fold,outliers}.clh: too few only take a work-group more than fits. */
static uint32_t nvidia_warp_bytes(const gear__shape *shape, uint32_t rows, int direct)
{
    const gear__side *k = &shape->side[0], *v = &shape->side[1];
    uint32_t d = shape->head_dim, fold = 0;
    uint32_t dense = (d > 128 ? 2u : 4u) * 16 * (d + 8), sums = 4 * larger(rows, 8) * (d + 8);
    uint32_t ring = larger(larger(nvidia_block_bytes(shape, direct), dense), sums);
    fold += k->axis == GEAR__AXIS_MIXED_CHANNEL || k->axis == GEAR__AXIS_CHANNEL_SEGMENT ? 2 * d : 0;
    fold += k->axis == GEAR__AXIS_MIXED_CHANNEL ? (d + 31) / 32 * 32 : 0;
    fold += v->axis == GEAR__AXIS_MIXED_TOKEN ? 128 * ((d + 63) / 64) : 0;
    for (int s = 0; s < 2; s++) {
        const gear__side *side = &shape->side[s];
        fold += side->factor_bits < 16 ? (64 + d) * larger(side->rank[0], side->rank[1]) : 0;
    }
    /* The tile; marks, sums, lists and their lengths of V: NV_OUTLIER_BYTES of attend_nvidia_outliers.clh. */
    const uint32_t outliers = 16 * 144 + (v->delta_bits ? WINDOW + 4 * rows * d + 2 * d + 32 * 8 : 0);
    return ring + (fold ? 2 * fold : 16) + (shape->has_outliers ? outliers : 0) + (rows > 8 ? nvidia_ready_bytes(shape) : 0) +
           2 * 4 * larger(rows, 8); /* references and sums of the rows */
}

/* Local memory of a work-group that every NVIDIA GPU has, less what queries and sums take. */
static uint32_t nvidia_room(const gear__shape *shape, uint32_t rows)
{
    uint32_t d = shape->head_dim, queries = rows * 16 * (d / 4 | 4);
    /* the same in the stored channel order, and that order */
    uint32_t stored = shape->side[0].axis == GEAR__AXIS_MIXED_CHANNEL ? queries + d : 0;
    /* the same by channel, for the outliers of K */
    uint32_t table = shape->side[0].delta_bits ? 4 * rows * d : 0;
    uint32_t constants = 2 * (larger((d + 31) / 32 * 32, 64) + larger(d, 64)); /* NV_CONSTANTS of attend_nvidia_block.clh */
    return 48 * 1024 - queries - stored - constants - d / 2 - 40 * larger(rows, 8) - (rows > 8 ? 512 : 0) - table -
           (shape->side[1].delta_bits ? 128 : 0); /* NV_BEYOND of attend_nvidia_parts.clh */
}

static const char *nvidia_why_not(const gear__caps *caps, const gear__shape *shape)
{
    const gear__side *k = &shape->side[0];
    uint32_t k_rank = k->rank[0] > k->rank[1] ? k->rank[0] : k->rank[1];
    const char *why = gear__caps_tensor_cores_why_not(caps);
    if (why) {
        return why;
    }
    if (k->axis == GEAR__AXIS_TOKEN_GROUP || k->axis == GEAR__AXIS_TOKEN_ALL) {
        return "K has scales by token";
    }
    if (shape->has_outliers && shape->head_dim > 128) {
        return "outliers at head_dim 256 take too many registers";
    }
    /* Of the 8 lines of the operand that is multiplied with the queries the zeros take one, on the mixed backbone three. */
    if (k_rank > 6 && k->axis != GEAR__AXIS_MIXED_CHANNEL) {
        return "rank of K above 6";
    }
    if (k_rank > 5 && k->axis == GEAR__AXIS_MIXED_CHANNEL) {
        return "rank of K above 5 on the mixed backbone";
    }
    if (shape->head_dim > 7 * gear__attend_v_group(shape)) {
        return "more than 7 channel groups of V";
    }
    return nvidia_warp_bytes(shape, 8, 1) > nvidia_room(shape, 8) ? "too little local memory" : NULL;
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
    const gear__tuning_row *preferred = gear__tuning_preferred(&gear__tuning_builtin, caps, shape).record;
    int takes = preferred && preferred->kernel < kernel && !gear__attend_why_not(preferred->kernel, caps, shape);
    return takes ? preferred->kernel : kernel;
}

/* Each kernel's own: rows and work-items of a work-group, of those that `tuning` names as many as it can take. */
static gear__attend_tile portable_tile(const gear__shape *shape, uint32_t max_rows, const gear_attend_tuning *tuning)
{
    uint32_t rows = max_rows >= 5 ? 8 : max_rows >= 3 ? 4 : max_rows;
    /* Looking 4-bit levels up takes registers that Intel's Gen9 then has no more for two rows of 5-bit K. */
    rows = shape->side[1].levels && shape->side[1].bits == 4 ? 1 : rows;
    return (gear__attend_tile){.rows = rows < tuning->rows ? rows : tuning->rows, .work_items = 64, .tiles = 1};
}

static gear__attend_tile cpu_tile(uint32_t max_rows, const gear_attend_tuning *tuning)
{
    uint32_t tiles = (max_rows + tuning->rows - 1) / tuning->rows; /* of equal size */
    return (gear__attend_tile){.rows = (max_rows + tiles - 1) / tiles, .work_items = 1, .tiles = 1};
}

/* Local memory of a multiprocessor for all its work-groups, each of which takes 1 KiB more than it asks for (CUDA C programming
 * guide, compute capabilities). */
static uint32_t nvidia_unit_bytes(uint32_t sm)
{
    return (sm == 80 || sm == 87 ? 164 : sm >= 90 && sm < 120 ? 228 : 100) * 1024;
}

/* Work-groups of `warps` warps and `rows` query rows in local memory that fit a multiprocessor together. */
static uint32_t nvidia_fit(const gear__caps *caps, const gear__shape *shape, uint32_t rows, uint32_t warps, int direct)
{
    uint32_t bytes = 48 * 1024 - nvidia_room(shape, rows) + warps * nvidia_warp_bytes(shape, rows, direct);
    uint32_t fit = nvidia_unit_bytes(caps->nv_sm) / (bytes + 1024);
    return fit ? fit : 1;
}

/* A compiler left alone takes up to 255 registers although fewer do, and leaves a quarter or half of the warps out. Each of the
 * four schedulers has 16384 of them. */
static uint32_t nvidia_registers(uint32_t warps)
{
    uint32_t registers = 16384 / 32 / ((warps + 3) / 4) / 8 * 8;
    return registers < 32 ? 32 : registers < 255 ? registers : 255;
}

/* Whether codes of a side times their scales are halves: cl/common/attend_nvidia_exact.clh. */
static int is_exact(const gear__side *side)
{
    uint32_t most = side->bits;
    for (uint32_t i = 0; i < GEAR_MAX_SEGMENTS; i++) {
        most = side->segments[i].channels ? larger(most, side->segments[i].bits) : most;
    }
    return !side->levels && side->axis != GEAR__AXIS_NONE && most <= (gear__is_mixed(side) ? 5 : 2);
}

/* Two row tiles a warp, where more query rows may come than one has and no one asked for another tile. The sums of head_dim 256
 * would take all registers; the zeros of V have rows 0 to 2 of an operand, its scales rows 4 to 6, and row 7 is the sum of the
 * probabilities. */
static void nvidia_widen(gear__attend_tile *tile, const gear__caps *caps, const gear__shape *shape, uint32_t max_rows)
{
    const uint32_t rows = 2 * tile->rows, all = WIDE_WARPS, v_group = gear__attend_v_group(shape);
    uint32_t warps = nvidia_room(shape, rows) / nvidia_warp_bytes(shape, rows, 0);
    warps = warps < 4 ? warps : 4;
    const int fits = warps >= 2 && shape->head_dim <= 128 && !shape->has_outliers && is_exact(&shape->side[0]) &&
                     is_exact(&shape->side[1]) && (shape->head_dim <= 3 * v_group || gear__is_mixed(&shape->side[1]));
    if (max_rows <= tile->rows || !fits) {
        return;
    }
    const uint32_t groups = all / warps, fit = nvidia_fit(caps, shape, rows, warps, 0);
    tile->wide_rows = rows;
    tile->wide_items = 32 * warps;
    tile->wide_per_unit = groups < fit ? groups : fit;
    tile->wide_registers = nvidia_registers(warps * tile->wide_per_unit);
}

/* Query rows in local memory of a work-group with one row tile. */
static uint32_t nvidia_rows(int paired)
{
    return paired ? 4 : 8;
}

static gear__attend_tile nvidia_tile(const gear__shape *shape, uint32_t max_rows, const gear_attend_tuning *tuning)
{
    /* Large blocks leave room for fewer warps, or must be read directly. */
    const uint32_t wanted = tuning->work_items / 32 ? tuning->work_items / 32 : 1;
    const int paired = max_rows <= 4;
    const uint32_t rows = nvidia_rows(paired);
    uint32_t room = nvidia_room(shape, rows), bytes = nvidia_warp_bytes(shape, rows, 0);
    int direct = 2 * bytes > room;
    uint32_t warps = room / (direct ? nvidia_warp_bytes(shape, rows, 1) : bytes);
    warps = warps < wanted ? warps : wanted;
    return (gear__attend_tile){.rows = 8, .work_items = 32 * warps, .tiles = warps, .paired = paired, .direct = direct};
}

static gear__attend_tile kernel_tile(gear_attend_kernel kernel, const gear__shape *shape, uint32_t max_rows,
                                     const gear_attend_tuning *tuning)
{
    switch (kernel) {
    case GEAR_ATTEND_CPU: return cpu_tile(max_rows, tuning);
    case GEAR_ATTEND_NVIDIA: return nvidia_tile(shape, max_rows, tuning);
    default: return portable_tile(shape, max_rows, tuning);
    }
}

gear__attend_tile gear__attend_tile_of(gear_attend_kernel kernel, const gear__caps *caps, const gear__shape *shape,
                                       uint32_t max_rows, const gear_attend_tuning *wanted)
{
    const gear_attend_tuning none = {0, 0, 0};
    const gear__tuning_found found = gear__tuning_find(&gear__tuning_builtin, kernel, caps, shape);
    const gear_attend_tuning *known = &found.record->tuning;
    wanted = wanted ? wanted : &none;
    const int is_asked = wanted->rows || wanted->work_items || wanted->groups_per_unit;
    const gear_attend_tuning tuning = {.rows = wanted->rows ? wanted->rows : known->rows,
                                       .work_items = wanted->work_items ? wanted->work_items : known->work_items};
    gear__attend_tile tile = kernel_tile(kernel, shape, max_rows, &tuning);
    /* A compute unit is as full with more work-groups that are smaller. */
    uint32_t groups =
        wanted->groups_per_unit ? wanted->groups_per_unit : known->groups_per_unit * known->work_items / tile.work_items;
    uint32_t most = GEAR__ATTEND_ROWS_PER_UNIT / tile.rows;
    tile.kernel = kernel;
    tile.groups_per_unit = !groups ? 1 : groups < most ? groups : most;
    tile.least_items = tile.work_items;
    if (kernel == GEAR_ATTEND_NVIDIA) {
        /* One work-group more than fits would wait for the others and double the time. */
        const uint32_t rows = nvidia_rows(tile.paired);
        uint32_t fit = nvidia_fit(caps, shape, rows, tile.tiles, tile.direct);
        tile.groups_per_unit = tile.groups_per_unit < fit ? tile.groups_per_unit : fit;
        tile.registers = nvidia_registers(tile.tiles * tile.groups_per_unit);
        /* As many warps in twice the work-groups. */
        if (tile.tiles == 4 && 2 * tile.groups_per_unit <= most &&
            2 * tile.groups_per_unit <= nvidia_fit(caps, shape, rows, tile.tiles / 2, tile.direct)) {
            tile.least_items = tile.work_items / 2;
        }
        if (!is_asked) {
            nvidia_widen(&tile, caps, shape, max_rows);
        }
    }
    tile.least_per_unit = tile.groups_per_unit * (tile.work_items / tile.least_items);
    tile.source = is_asked ? "asked for" : found.source;
    return tile;
}

/* Whether a kernel can be compiled for so many rows. */
static int takes_rows(gear_attend_kernel kernel, uint32_t rows)
{
    switch (kernel) {
    case GEAR_ATTEND_CPU: return rows <= 4;
    case GEAR_ATTEND_NVIDIA: return rows == 8;
    default: return rows == 1 || rows == 2 || rows == 4 || rows == 8;
    }
}

gear_status gear__attend_tuning_check(const gear__attend_tile *tile, const gear__caps *caps, const gear_attend_tuning *wanted,
                                      const char *where, gear_error *error)
{
    static const char *const rows[] = {
        [GEAR_ATTEND_PORTABLE] = "1, 2, 4 or 8", [GEAR_ATTEND_CPU] = "1 to 4", [GEAR_ATTEND_NVIDIA] = "8"};
    const char *name = gear__attend_name(tile->kernel);
    if (wanted->rows && !takes_rows(tile->kernel, wanted->rows)) {
        return gear__fail(error, GEAR_ERROR_UNSUPPORTED, where, "attend_tuning.rows is %u; the %s kernel takes %s",
                          wanted->rows, name, rows[tile->kernel]);
    }
    if (wanted->work_items && wanted->work_items != tile->work_items) {
        return gear__fail(error, GEAR_ERROR_UNSUPPORTED, where,
                          "attend_tuning.work_items is %u; with this codec a work-group of the %s kernel can have %u",
                          wanted->work_items, name, tile->work_items);
    }
    if (wanted->work_items > caps->max_work_group) {
        return gear__fail(error, GEAR_ERROR_UNSUPPORTED, where, "attend_tuning.work_items is %u; the device allows %zu",
                          wanted->work_items, caps->max_work_group);
    }
    if (wanted->groups_per_unit && wanted->groups_per_unit != tile->groups_per_unit) {
        return gear__fail(error, GEAR_ERROR_UNSUPPORTED, where,
                          "attend_tuning.groups_per_unit is %u; with %u rows and %u work-items a work-group at most %u",
                          wanted->groups_per_unit, tile->rows, tile->work_items, tile->groups_per_unit);
    }
    return GEAR_OK;
}
