/* product.c: see the header. */
#include "product.h"

#include <criterion/criterion.h>
#include <stddef.h>

enum {
    BACKBONE,
    K_BITS,
    V_BITS,
    GROUP,
    SEGMENTS,
    ROTATE,
    LEVELS,
    WEIGHTS,
    DIM,
    RANK_PROMPT,
    RANK_DECODE,
    FACTOR,
    OUTLIERS,
    DELTA
};

/* The last one changes fastest. */
static const struct {
    const char *name;
    size_t offset;
} columns[PRODUCT_COLUMNS] = {
#define COLUMN(name)                                                                                                           \
  {                                                                                                                            \
#    name, offsetof(e2e_case, name)                                                                                            \
  }
    [BACKBONE] = COLUMN(backbone),
    [K_BITS] = COLUMN(k_bits),
    [V_BITS] = COLUMN(v_bits),
    [GROUP] = COLUMN(group),
    [SEGMENTS] = COLUMN(segments),
    [ROTATE] = COLUMN(rotate),
    [LEVELS] = COLUMN(levels),
    [WEIGHTS] = COLUMN(weights),
    [DIM] = COLUMN(head_dim),
    [RANK_PROMPT] = COLUMN(rank_prompt),
    [RANK_DECODE] = COLUMN(rank_decode),
    [FACTOR] = COLUMN(factor_bits),
    [OUTLIERS] = COLUMN(outliers),
    [DELTA] = COLUMN(delta_bits),
#undef COLUMN
};

void product_open(product *p, const char *path, const e2e_case *rows, uint32_t count)
{
    p->members = 1;
    p->rows = rows;
    for (p->num_rows = 0; p->num_rows < count && rows[p->num_rows].backbone != GEAR_BACKBONE_MIXED; p->num_rows++) {
    }
    cr_assert_gt(p->num_rows, 0);
    for (uint32_t i = 0; i < PRODUCT_COLUMNS; i++) {
        p->sizes[i] = case_values(path, columns[i].name, p->values[i], 16);
        p->members *= p->sizes[i];
    }
}

/* Of members that make the same cache the one whose columns have the first of their values is counted. */
static int is_counted(const product *p, const uint32_t v[PRODUCT_COLUMNS])
{
    const uint32_t first_group = p->values[GROUP][0];
    if (v[BACKBONE] == GEAR_BACKBONE_MIXED) {
        if (v[K_BITS] != 2 || v[V_BITS] > 4 || v[GROUP] != first_group || (v[V_BITS] == 2 && v[LEVELS])) {
            return 0;
        }
    } else {
        const int is_exact = v[K_BITS] == 16 && v[V_BITS] == 16;
        const int has_group = v[BACKBONE] != GEAR_BACKBONE_KCVT && !is_exact;
        /* The token backbone has KIVI's V, and with 16 bits on both sides all backbones are the same. */
        const int equals_kivi =
            v[BACKBONE] != GEAR_BACKBONE_KIVI && v[K_BITS] == 16 && (v[BACKBONE] == GEAR_BACKBONE_TOKEN || is_exact);
        /* Groups of KIVI's K are along the 64 tokens of a block, all others along head_dim. */
        const int caps_group = v[DIM] == 64 || (v[BACKBONE] == GEAR_BACKBONE_KIVI && v[V_BITS] == 16);
        if (v[SEGMENTS] || v[ROTATE] || v[LEVELS] || v[WEIGHTS] || (!has_group && v[GROUP] != first_group) ||
            (v[GROUP] > 64 && caps_group) || equals_kivi || (is_exact && (v[RANK_PROMPT] || v[RANK_DECODE] || v[OUTLIERS]))) {
            return 0;
        }
    }
    return (v[RANK_PROMPT] || v[RANK_DECODE] || v[FACTOR] == 16) && (v[OUTLIERS] || v[DELTA] == 16);
}

/* Spreads the rows over the members, whose columns count through them in a regular order. */
static uint32_t scatter(uint64_t index)
{
    uint32_t h = (uint32_t)index * 0x9e3779b1u;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 13;
}

/* Member `index`, whose columns are v. */
static void make_case(const product *p, uint64_t index, const uint32_t v[PRODUCT_COLUMNS], uint32_t cycle, e2e_case *c)
{
    *c = p->rows[(scatter(index) % p->num_rows + cycle) % p->num_rows];
    for (uint32_t i = 0; i < PRODUCT_COLUMNS; i++) {
        *(uint32_t *)(void *)((char *)c + columns[i].offset) = v[i];
    }
    c->row = PRODUCT_ROW + (uint32_t)index;
    c->cycle = cycle;
}

int product_case(const product *p, uint64_t index, uint32_t cycle, e2e_case *c)
{
    uint32_t v[PRODUCT_COLUMNS];
    uint64_t rest = index;
    cr_assert(index < p->members, "the product has %llu members", (unsigned long long)p->members);
    for (uint32_t i = PRODUCT_COLUMNS; i-- > 0; rest /= p->sizes[i]) {
        v[i] = p->values[i][rest % p->sizes[i]];
    }
    if (!is_counted(p, v)) {
        return 0;
    }
    make_case(p, index, v, cycle, c);
    return 1;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

uint64_t product_stride(const product *p)
{
    uint64_t stride = p->members / 1000000 * 618034;
    while (common_divisor(stride, p->members) != 1) {
        stride++;
    }
    return stride;
}

uint64_t product_each(const product *p, void (*visit)(void *user, const e2e_case *c), void *user)
{
    uint32_t digits[PRODUCT_COLUMNS] = {0}, v[PRODUCT_COLUMNS];
    uint64_t count = 0;
    for (uint32_t i = 0; i < PRODUCT_COLUMNS; i++) {
        v[i] = p->values[i][0];
    }
    for (uint64_t n = 0; n < p->members; n++) {
        if (is_counted(p, v)) {
            e2e_case c;
            make_case(p, n, v, 0, &c);
            visit(user, &c);
            count++;
        }
        for (uint32_t i = PRODUCT_COLUMNS; i-- > 0;) {
            digits[i] = (digits[i] + 1) % p->sizes[i];
            v[i] = p->values[i][digits[i]];
            if (digits[i]) {
                break;
            }
        }
    }
    return count;
}

static void pass_by(void *user, const e2e_case *c)
{
    (void)user;
    (void)c;
}

uint64_t product_count(const product *p)
{
    return product_each(p, pass_by, NULL);
}
