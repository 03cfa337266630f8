/* desc.c: the limits of every field of gear_cache_desc and gear_codec. */
#include "model/desc.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/shape.h"

#define MAX_TOKENS (UINT64_C(1) << 30) /* positions are 32-bit on the device */

/* Fails unless lo <= value <= hi. */
static gear_status in_range(const char *field, uint64_t value, uint64_t lo, uint64_t hi, const char *where, gear_error *error)
{
    if (value >= lo && value <= hi) {
        return GEAR_OK;
    }
    return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s is %llu; it must be %llu to %llu", field,
                      (unsigned long long)value, (unsigned long long)lo, (unsigned long long)hi);
}

static int is_one_of(uint32_t value, const uint32_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (value == list[i]) {
            return 1;
        }
    }
    return 0;
}

gear_status gear__reserved_check(const void *words, size_t size, size_t count, const char *name, const char *where,
                                 gear_error *error)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0; /* devices and hosts are little-endian */
        memcpy(&value, (const char *)words + i * size, size);
        if (value) {
            return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.reserved[%zu] is %llu; it must be 0", name, i,
                              (unsigned long long)value);
        }
    }
    return GEAR_OK;
}

static gear_status check_codec_values(const gear_codec *codec, const char *name, const char *where, gear_error *error)
{
    static const uint32_t bits[] = {0, 2, 3, 4, 8, 16}, factor_bits[] = {0, 4, 8, 16}, delta_bits[] = {0, 8, 16};
    char field[48];
    if (codec->struct_size != sizeof *codec) {
        return gear__fail(error, GEAR_ERROR_STRUCT_SIZE, where, "%s.struct_size is %zu, not %zu (gear_codec_init sets it)",
                          name, codec->struct_size, sizeof *codec);
    }
    if ((int)codec->backbone < 0 || codec->backbone > GEAR_BACKBONE_MIXED) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.backbone is %d; it must be 0 to 3", name,
                          (int)codec->backbone);
    }
    if (!is_one_of(codec->bits, bits, 6)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.bits is %u; it must be 2, 3, 4, 8 or 16", name, codec->bits);
    }
    if (!is_one_of(codec->factor_bits, factor_bits, 4)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.factor_bits is %u; it must be 4, 8 or 16", name,
                          codec->factor_bits);
    }
    if (!(codec->outlier_fraction >= 0.0f && codec->outlier_fraction <= 0.1f)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.outlier_fraction is %g; it must be 0 to 0.1", name,
                          (double)codec->outlier_fraction);
    }
    if (!is_one_of(codec->delta_bits, delta_bits, 3)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.delta_bits is %u; it must be 8 or 16", name,
                          codec->delta_bits);
    }
    if (codec->outlier_rule != GEAR_OUTLIER_VECTOR && codec->outlier_rule != GEAR_OUTLIER_BLOCK) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.outlier_rule is %d; it must be 0 or 1", name,
                          (int)codec->outlier_rule);
    }
    snprintf(field, sizeof field, "%.30s.rank_prompt", name);
    gear_status status = in_range(field, codec->rank_prompt, 0, 8, where, error);
    if (!status) {
        snprintf(field, sizeof field, "%.30s.rank_decode", name);
        status = in_range(field, codec->rank_decode, 0, 8, where, error);
    }
    if (!status) {
        snprintf(field, sizeof field, "%.30s.power_iterations", name);
        status = in_range(field, codec->power_iterations, 0, 16, where, error);
    }
    return status ? status : GEAR__RESERVED_CHECK(codec, name, where, error);
}

/* KIVI and the token backbone alone have groups of a chosen size, and 16 bits have no groups. */
static gear_status check_group(const gear_codec *codec, int is_v, const char *name, const char *where, gear_error *error)
{
    static const uint32_t groups[] = {0, 16, 32, 64, 128};
    if (codec->bits == 16 || (codec->backbone != GEAR_BACKBONE_KIVI && codec->backbone != GEAR_BACKBONE_TOKEN)) {
        return GEAR_OK;
    }
    if (!is_one_of(codec->group, groups, 5)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.group is %u; it must be 16, 32, 64 or 128", name,
                          codec->group);
    }
    if (!is_v && codec->backbone == GEAR_BACKBONE_KIVI && codec->group > 64) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.group is %u; along tokens it must be 16, 32 or 64", name,
                          codec->group);
    }
    return GEAR_OK;
}

/* Channel segments of K on the mixed backbone. */
static gear_status check_segments(const gear_codec *codec, uint32_t head_dim, const char *name, const char *where,
                                  gear_error *error)
{
    static const uint32_t bits[] = {1, 2, 3, 4, 5, 8};
    uint32_t sum = 0, ended = 0;
    for (uint32_t i = 0; i < GEAR_MAX_SEGMENTS; i++) {
        gear_segment s = codec->segments[i];
        if (!s.channels && !s.bits) {
            ended = 1;
            continue;
        }
        if (ended || s.channels % 16 || !s.channels || !is_one_of(s.bits, bits, 6)) {
            return gear__fail(
                error, GEAR_ERROR_ARGUMENT, where,
                "%s.segments[%u] is %ux%u; channels come in multiples of 16, bits are 1, 2, 3, 4, 5 or 8, without gaps", name,
                i, s.channels, s.bits);
        }
        sum += s.channels;
    }
    if (sum != head_dim) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.segments have %u channels; head_dim is %u", name, sum,
                          head_dim);
    }
    return GEAR_OK;
}

static gear_status check_mixed(const gear_codec *codec, uint32_t head_dim, int is_v, const char *name, const char *where,
                               gear_error *error)
{
    if (!is_v) {
        return check_segments(codec, head_dim, name, where, error);
    }
    if (codec->bits && codec->bits != 2 && codec->bits != 3 && codec->bits != 4) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.bits is %u; V of the mixed backbone takes 2, 3 or 4", name,
                          codec->bits);
    }
    if (codec->rotate > 1 || (codec->levels != GEAR_LEVELS_UNIFORM && codec->levels != GEAR_LEVELS_NORMAL)) {
        int rotate = codec->rotate > 1;
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "%s.%s is %d; it must be 0 or 1", name,
                          rotate ? "rotate" : "levels", rotate ? (int)codec->rotate : (int)codec->levels);
    }
    return GEAR_OK;
}

static gear_status check_codec(const gear_codec *codec, uint32_t head_dim, uint32_t index, int is_v, const char *where,
                               gear_error *error)
{
    char name[32];
    snprintf(name, sizeof name, "codecs[%u].%s", index, is_v ? "v" : "k");
    gear_status status = check_codec_values(codec, name, where, error);
    if (status) {
        return status;
    }
    if (codec->backbone == GEAR_BACKBONE_MIXED) {
        return check_mixed(codec, head_dim, is_v, name, where, error);
    }
    if (codec->bits == 16 && (codec->rank_prompt || codec->rank_decode || codec->outlier_fraction > 0.0f)) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where,
                          "%s.bits is 16, which leaves no residual: ranks and outlier_fraction must be 0", name);
    }
    return check_group(codec, is_v, name, where, error);
}

gear_status gear__head_dim_check(uint32_t head_dim, const char *where, gear_error *error)
{
    static const uint32_t head_dims[] = {64, 80, 96, 128, 256};
    if (is_one_of(head_dim, head_dims, sizeof head_dims / sizeof *head_dims)) {
        return GEAR_OK;
    }
    return gear__fail(error, GEAR_ERROR_UNSUPPORTED, where, "head_dim is %u; supported are 64, 80, 96, 128, 256", head_dim);
}

static gear_status check_geometry(const gear_cache_desc *d, const char *where, gear_error *error)
{
    const struct {
        const char *field;
        uint64_t value, lo, hi;
    } ranges[] = {
        {"num_layers", d->num_layers, 1, 4096},
        {"num_kv_heads", d->num_kv_heads, 1, 1024},
        {"num_query_heads", d->num_query_heads, 0, 8192},
        {"capacity_sequences", d->capacity_sequences, 1, 65536},
        {"capacity_tokens", d->capacity_tokens, 1, MAX_TOKENS},
        {"max_sequence_tokens", d->max_sequence_tokens, 0, MAX_TOKENS},
        {"max_query_tokens", d->max_query_tokens, 0, 65536},
        {"window", d->window, 0, 4096},
        {"recent", d->recent, 0, 65536},
        {"max_segment_tokens", d->max_segment_tokens, 0, 16384},
        {"attend_tuning.rows", d->attend_tuning.rows, 0, 8},
        {"attend_tuning.work_items", d->attend_tuning.work_items, 0, 1024},
        {"attend_tuning.groups_per_unit", d->attend_tuning.groups_per_unit, 0, 128},
    };
    gear_status status = GEAR_OK;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        status = in_range(ranges[i].field, ranges[i].value, ranges[i].lo, ranges[i].hi, where, error);
        if (status) {
            return status;
        }
    }
    status = gear__head_dim_check(d->head_dim, where, error);
    if (status) {
        return status;
    }
    if (d->num_query_heads % d->num_kv_heads) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "num_query_heads is %u; it must be a multiple of num_kv_heads, %u",
                          d->num_query_heads, d->num_kv_heads);
    }
    if (d->window > 64 && d->window % 64) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "window is %u; it must be 1 to 64 or a multiple of 64", d->window);
    }
    if (d->max_segment_tokens % 64) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "max_segment_tokens is %u; it must be a multiple of 64",
                          d->max_segment_tokens);
    }
    if (d->exact_first != GEAR_EXACT_AUTO && d->exact_first > 64) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "exact_first is %u; it must be 0 to 64 or GEAR_EXACT_AUTO",
                          d->exact_first);
    }
    return GEAR_OK;
}

gear_status gear__desc_check(const gear_cache_desc *desc, const char *where, gear_error *error)
{
    if (!desc) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "desc is NULL");
    }
    if (desc->struct_size != sizeof *desc) {
        return gear__fail(error, GEAR_ERROR_STRUCT_SIZE, where,
                          "desc.struct_size is %zu, not %zu (gear_cache_desc_init sets it)", desc->struct_size, sizeof *desc);
    }
    gear_status status = check_geometry(desc, where, error);
    status = status ? status : GEAR__RESERVED_CHECK(desc, "desc", where, error);
    if (status) {
        return status;
    }
    if (!desc->codecs) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "codecs is NULL");
    }
    if (desc->num_codecs != 1 && desc->num_codecs != desc->num_layers) {
        return gear__fail(error, GEAR_ERROR_ARGUMENT, where, "num_codecs is %u; it must be 1 or num_layers, %u",
                          desc->num_codecs, desc->num_layers);
    }
    for (uint32_t i = 0; i < desc->num_codecs && !status; i++) {
        status = check_codec(&desc->codecs[i].k, desc->head_dim, i, 0, where, error);
        status = status ? status : check_codec(&desc->codecs[i].v, desc->head_dim, i, 1, where, error);
    }
    return status;
}

gear_cache_desc gear__desc_complete(const gear_cache_desc *desc)
{
    gear_cache_desc d = *desc;
    d.num_query_heads = d.num_query_heads ? d.num_query_heads : d.num_kv_heads;
    d.max_query_tokens = d.max_query_tokens ? d.max_query_tokens : 1;
    d.max_sequence_tokens = d.max_sequence_tokens ? d.max_sequence_tokens : d.capacity_tokens;
    d.window = d.window ? d.window : 64;
    d.max_segment_tokens = d.max_segment_tokens ? d.max_segment_tokens : 4096;
    return d;
}

/* Tokens that a block holds at least. */
static uint64_t least_block(const gear_cache_desc *desc)
{
    return desc->window < 64 ? desc->window : 64;
}

uint64_t gear__desc_sequence_blocks(const gear_cache_desc *desc)
{
    return desc->max_sequence_tokens / least_block(desc) + 1;
}

uint64_t gear__desc_capacity_blocks(const gear_cache_desc *desc)
{
    return desc->capacity_tokens / least_block(desc) + 1;
}

int gear__desc_any_rank(const gear_cache_desc *desc)
{
    for (uint32_t i = 0; i < desc->num_codecs; i++) {
        const gear_codec *k = &desc->codecs[i].k, *v = &desc->codecs[i].v;
        if (k->rank_prompt || k->rank_decode || v->rank_prompt || v->rank_decode) {
            return 1;
        }
    }
    return 0;
}

uint32_t gear__desc_variants(const gear_cache_desc *desc)
{
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < desc->num_codecs; i++) {
        gear__shape shape, other;
        int seen = 0;
        gear__shape_init(&shape, desc, &desc->codecs[i]);
        for (uint32_t j = 0; j < i && !seen; j++) {
            gear__shape_init(&other, desc, &desc->codecs[j]);
            seen = !memcmp(&shape, &other, sizeof shape);
        }
        distinct += !seen;
    }
    return distinct;
}
