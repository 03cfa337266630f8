/* test_golden.c: src/ref against the golden files of gen.py, bit for bit; what low rank leaves, within a bound. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_file.h"
#include "ref/kit.h"
#include "segment.h"

/* Order of the "config" section. */
enum {
    IS_V,
    BACKBONE,
    BITS,
    GROUP,
    RULE,
    FRACTION,
    RANK,
    ITERATIONS,
    FACTOR_BITS,
    EXACT,
    FIRST,
    NAN_COUNT,
    CLAMPED,
    CONFIG_WORDS
};

static uint64_t fnv(uint64_t hash, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

#define FNV_START 0xcbf29ce484222325u

static uint32_t packed(const uint8_t *bytes, size_t index, uint32_t bits)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bits; i++) {
        size_t at = index * bits + i;
        value |= (uint32_t)(bytes[at / 8] >> at % 8 & 1) << i;
    }
    return value;
}

static gear__ref_place place_of(const segment *s, uint32_t head, uint32_t block)
{
    gear__ref_job job = gear__ref_job_at(&s->round, 0);
    return gear__ref_place_at(&s->round, &job, block, head);
}

/* Every part of the records that holds pairs, in the order of the file. */
static void check_pairs(const segment *s, const gear__side *side, const golden_section *want, const char *name)
{
    const uint8_t *at = want->data;
    uint32_t heads = side->axis == GEAR__AXIS_TOKEN_ALL ? 1 : s->shape.kv_heads;
    uint32_t blocks = side->axis == GEAR__AXIS_CHANNEL_SEGMENT ? 1 : s->blocks;
    for (uint32_t head = 0; head < heads; head++) {
        for (uint32_t block = 0; block < blocks; block++) {
            gear__ref_place place = place_of(s, head, block);
            const uint8_t *got = place.head + side->pairs;
            uint32_t bytes = side->pairs_bytes;
            if (side->axis == GEAR__AXIS_TOKEN_ALL) {
                got = place.shared + side->shared_pairs;
                bytes = side->shared_pairs_bytes;
            } else if (side->axis == GEAR__AXIS_CHANNEL_SEGMENT) {
                got = place.seg + side->seg_pairs[s->job[GEAR__JOB_CLASS]];
                bytes = side->seg_pairs_bytes;
            }
            cr_assert_not(memcmp(got, at, bytes), "%s: pairs of head %u block %u", name, head, block);
            at += bytes;
        }
    }
    cr_assert_eq(at, (const uint8_t *)want->data + want->element * want->count, "%s: number of pairs", name);
}

/* Mixed backbone: the super scales of every (head, block). */
static void check_supers(const segment *s, const gear__side *side, const golden_section *want, const char *name)
{
    const uint8_t *at = want->data;
    for (uint32_t head = 0; head < s->shape.kv_heads; head++) {
        for (uint32_t block = 0; block < s->blocks; block++) {
            cr_assert_not(memcmp(place_of(s, head, block).head + side->supers, at, side->supers_bytes),
                          "%s: super scales of head %u block %u", name, head, block);
            at += side->supers_bytes;
        }
    }
    cr_assert_eq(at, (const uint8_t *)want->data + 2 * want->count, "%s: number of super scales", name);
}

static void check_delta_scales(const segment *s, const gear__side *side, const golden_section *want, const char *name)
{
    for (uint32_t i = 0; i < want->count; i++) {
        uint16_t got = gear__ref_load_half(place_of(s, i / s->blocks, i % s->blocks).head + side->delta_scale, 0);
        uint16_t expected = ((const uint16_t *)want->data)[i];
        cr_assert_eq(got, expected, "%s: delta scale %u is %04x, not %04x", name, i, got, expected);
    }
}

static void check_planes(const segment *s, const gear__side *side, const golden_section *want, const char *name)
{
    uint64_t hash = FNV_START, expected;
    memcpy(&expected, want->data, sizeof expected);
    for (uint32_t head = 0; head < s->shape.kv_heads; head++) {
        for (uint32_t block = 0; block < s->blocks; block++) {
            hash = fnv(hash, place_of(s, head, block).head + side->codes, side->codes_bytes);
        }
    }
    cr_assert_eq(hash, expected, "%s: code planes", name);
}

/* "codes" (bits a value) or "marked" (1 bit), natural order. */
static void check_values(const segment *s, const gear__side *side, const golden_section *want, int marks, const char *name)
{
    uint32_t d = s->shape.head_dim;
    size_t i = 0;
    for (uint32_t head = 0; head < s->shape.kv_heads; head++) {
        for (uint32_t t = 0; t < s->tokens; t++) {
            for (uint32_t c = 0; c < d; c++, i++) {
                uint32_t got = marks ? s->round.mask[gear__ref_row(&s->round, head, t) + c] == GEAR__MASK_OUTLIER
                                     : gear__ref_code_get(side, place_of(s, head, t / 64).head, t % 64, c);
                uint32_t expected = packed(want->data, i, marks ? 1 : side->bits);
                cr_assert_eq(got, expected, "%s: %s of head %u token %u channel %u: %u, not %u", name, marks ? "mark" : "code",
                             head, t, c, got, expected);
            }
        }
    }
}

static void check_stand_ins(const segment *s, const golden_section *want, const char *name)
{
    uint32_t d = s->shape.head_dim, rows = want->count / s->shape.kv_heads / d;
    for (uint32_t head = 0; head < s->shape.kv_heads; head++) {
        const uint16_t *expected = (const uint16_t *)want->data + (size_t)head * rows * d;
        const uint16_t *got = s->round.x + gear__ref_row(&s->round, head, 0);
        cr_assert_not(memcmp(got, expected, (size_t)rows * d * 2), "%s: stand-ins", name);
    }
}

static void check_lists(const segment *s, const gear__side *side, const golden_section *bases, const golden_section *hashes,
                        const char *name)
{
    uint64_t hash[3] = {FNV_START, FNV_START, FNV_START};
    uint32_t total = 0;
    for (uint32_t head = 0; head < s->shape.kv_heads; head++) {
        for (uint32_t block = 0; block < s->blocks; block++) {
            gear__ref_place place = place_of(s, head, block);
            uint32_t base = gear__ref_load_word(place.shared + s->shape.shared_bases, 2 * head + side->is_v);
            cr_assert_eq(base, ((const uint32_t *)bases->data)[head * s->blocks + block], "%s: base", name);
            hash[0] = fnv(hash[0], place.head + side->counts, side->counts_bytes);
            for (uint32_t i = 0; i < side->counts_bytes; i++) {
                total += place.head[side->counts + i];
            }
        }
    }
    uint32_t entries = (uint32_t)s->entries[side->is_v];
    cr_assert_eq(total, entries, "%s: %u outliers, shape.h says %u", name, total, entries);
    const uint8_t *record = s->round.pool + (size_t)s->job[GEAR__JOB_SEGMENT] * GEAR__GRANULE;
    cr_assert_eq(gear__ref_load_word(record, GEAR__SEGMENT_OUTLIERS_K + side->is_v), total, "%s: segment header", name);
    for (int part = 0; part < 2; part++) {
        uint64_t at =
            gear__outlier_part(&s->shape, s->job[GEAR__JOB_CLASS], s->entries[0], s->entries[1], 2 * (int)side->is_v + part);
        hash[1 + part] = fnv(hash[1 + part], record + at, (size_t)total * (part ? side->delta_bits / 8 : 1));
    }
    cr_assert_not(memcmp(hash, hashes->data, sizeof hash), "%s: outlier lists", name);
}

/* The generator's iteration (QR) spans what this one (Gram-Schmidt) does, so both leave nearly the same. */
static void check_lowrank(const segment *s, const gear__side *side, const golden_section *want, const char *name)
{
    const double *norms = want->data;
    uint32_t cls = s->job[GEAR__JOB_CLASS];
    for (uint32_t head = 0; head < s->shape.kv_heads; head++) {
        double all = 0, left = 0;
        for (uint32_t t = 0; t < s->tokens; t++) {
            for (uint32_t c = 0; c < s->shape.head_dim; c++) {
                double r = (double)gear__float_from_half(s->round.r[gear__ref_row(&s->round, head, t) + c]);
                double rest = r - gear__ref_lowrank(&s->shape, side, cls, place_of(s, head, t / 64), t % 64, c);
                all += r * r;
                left += rest * rest;
            }
        }
        double residual = norms[2 * head], rest = norms[2 * head + 1], slack = side->factor_bits == 16 ? 1e-4 : 5e-3;
        cr_assert_float_eq(sqrt(all), residual, 1e-6 * residual, "%s: residual %g, not %g", name, sqrt(all), residual);
        cr_assert_float_eq(sqrt(left), rest, slack * rest, "%s: L leaves %g, not %g", name, sqrt(left), rest);
    }
}

static void check_case(const golden_file *file, size_t at, const char *name, const uint32_t *dims, const golden_section *values)
{
    golden_section config, part, more;
    cr_assert(golden_find(file, at, "config", &config) && config.count == CONFIG_WORDS, "%s: config", name);
    const uint32_t *word = config.data;
    gear_codec codec = {
        .backbone = (gear_backbone)word[BACKBONE],
        .bits = word[BITS],
        .group = word[GROUP],
        .rank_prompt = word[RANK],
        .rank_decode = word[RANK],
        .power_iterations = word[ITERATIONS],
        .factor_bits = word[FACTOR_BITS],
        .outlier_rule = (gear_outlier_rule)word[RULE],
    };
    memcpy(&codec.outlier_fraction, &word[FRACTION], sizeof(float));
    if (golden_find(file, at, "mixed", &part)) {
        const uint32_t *mixed = part.data;
        codec.rotate = mixed[0];
        codec.levels = (gear_levels)mixed[1];
        for (uint32_t i = 0; 2 + 2 * i < part.count; i++) {
            codec.segments[i] = (gear_segment){(uint16_t)mixed[2 + 2 * i], (uint16_t)mixed[3 + 2 * i]};
        }
    }
    codec.delta_bits = golden_find(file, at, "dscales", &part) ? 8 : 16;
    segment s;
    segment_open(&s, &codec, word[IS_V], dims[0], dims[2], dims[1], word[FIRST], word[EXACT], GEAR__DECODE, values->data,
                 values->element == 2 ? GEAR_F16 : GEAR_F32);
    if (golden_find(file, at, "weights", &part)) {
        s.round.weights = part.data;
    }
    segment_compress(&s);
    const gear__side *side = &s.shape.side[word[IS_V]];
    cr_assert_eq(s.health[0], word[NAN_COUNT], "%s: NaN counted", name);
    cr_assert_eq(s.health[1], word[CLAMPED], "%s: clamped counted", name);
    if (golden_find(file, at, "standin", &part)) {
        check_stand_ins(&s, &part, name);
    }
    if (golden_find(file, at, "marked", &part)) {
        check_values(&s, side, &part, 1, name);
    }
    if (golden_find(file, at, "order", &part)) {
        cr_assert_eq(part.count, s.shape.order_bytes);
        cr_assert_not(memcmp(s.round.pool + (size_t)s.table[GEAR__HEADER_ORDER] * GEAR__GRANULE, part.data, part.count),
                      "%s: channel order", name);
    }
    if (golden_find(file, at, "supers", &part)) {
        check_supers(&s, side, &part, name);
    }
    cr_assert(golden_find(file, at, "pairs", &part), "%s: pairs", name);
    check_pairs(&s, side, &part, name);
    if (golden_find(file, at, "codes", &part)) {
        check_values(&s, side, &part, 0, name);
    }
    cr_assert(golden_find(file, at, "planes", &part), "%s: planes", name);
    check_planes(&s, side, &part, name);
    if (golden_find(file, at, "dscales", &part)) {
        check_delta_scales(&s, side, &part, name);
    }
    if (golden_find(file, at, "bases", &part) && golden_find(file, at, "lists", &more)) {
        check_lists(&s, side, &part, &more, name);
    }
    if (golden_find(file, at, "lowrank", &part)) {
        check_lowrank(&s, side, &part, name);
    }
    segment_close(&s);
}

static uint32_t check_file(const char *name)
{
    golden_file file = golden_open(name);
    golden_section dims, values, section;
    size_t cursor = 0;
    uint32_t cases = 0;
    cr_assert(golden_next(&file, &cursor, &dims) && !strcmp(dims.name, "shape") && dims.count == 3);
    cr_assert(golden_next(&file, &cursor, &values) && !strcmp(values.name, "values"));
    while (golden_next(&file, &cursor, &section)) {
        if (!strcmp(section.name, "case")) {
            check_case(&file, cursor, section.data, dims.data, &values);
            cases++;
        }
    }
    golden_close(&file);
    return cases;
}

Test(golden, reference_equals_generator)
{
    char path[1024], name[64];
    uint32_t cases = 0;
    snprintf(path, sizeof path, "%s/tests/data/golden/list.txt", GEAR_TEST_ROOT);
    FILE *list = fopen(path, "r");
    cr_assert(list, "%s does not open", path);
    while (fscanf(list, "%63s", name) == 1) {
        cases += check_file(name);
    }
    fclose(list);
    cr_log_info("%u golden cases", cases);
    cr_assert_geq(cases, 400, "only %u golden cases", cases);
}
