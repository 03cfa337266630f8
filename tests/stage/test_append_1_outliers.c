/* test_append_1_outliers.c: the marks of the three kernels, bit for bit: of layers that grow, and of long vectors that are hard
 * to select from. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "model/half.h"
#include "stage_world.h"

#define KERNELS                                                                                                                \
  (1ull << GEAR__KERNEL_OUTLIERS_CHANNELS | 1ull << GEAR__KERNEL_OUTLIERS_TOKENS | 1ull << GEAR__KERNEL_OUTLIERS_BLOCK)

static void check(stage_world *world, uint32_t is_v)
{
    if (stage_tiny() && is_v && world->shape.side[1].outlier_rule == GEAR_OUTLIER_BLOCK) {
        stage_ref_step(world, is_v, STAGE_OUTLIERS); /* 30 passes over a block: K's will do in a simulator */
        return;
    }
    stage_check_round(world, is_v, STAGE_OUTLIERS, gear__append_1_outliers);
}

Test(append_1_outliers, equals_the_reference)
{
    stage_run_all("append_1_outliers", STAGE_OUTLIERS, KERNELS, check);
}

#define PATTERNS 16u

/* Value `i` of a vector of `length`. */
static float hard_value(uint32_t pattern, uint32_t vector, uint32_t i, uint32_t length)
{
    const uint32_t h = stage_hash(vector, i, 5);
    const float normal = stage_normal(h), ramp = (float)i / 16.0f;
    switch (pattern) {
    case 0: return 0.75f;                 /* all equal */
    case 1: return h & 1u ? -0.0f : 0.0f; /* the same */
    case 2: return ramp;                  /* sorted */
    case 3: return -ramp;
    case 4: return i % 701 == 5 ? 1.0f + normal * normal : 0.5f;  /* a few above the rest */
    case 5: return i % 701 == 5 ? -1.0f - normal * normal : 0.5f; /* below */
    case 6: return h & 1u ? -1.0f : 1.0f;                         /* two values */
    case 7: return i % 2 ? 65504.0f : -65504.0f;
    case 8: return i + 40 > length ? 1.0f : -2.0f;              /* the largest at the end, fewer than are asked for */
    case 9: return i % 128 == 7 ? 100.0f + normal : normal;     /* the largest far apart */
    case 10: return i < length / 16 ? 100.0f + normal : normal; /* the largest together */
    case 11: return rintf(normal);                              /* a few values */
    case 12: return ldexpf((float)(h & 1023u), -24) * (h & 4096u ? -1.0f : 1.0f);
    case 13: return i == length / 2 ? 3.0f : 2.0f; /* one above the rest */
    case 14: return ldexpf(normal, -(int)(h >> 4 & 15u));
    default: return normal;
    }
}

/* A job of one sequence; channels of K or tokens of V by the vector rule. */
static void check_hard(stage_bench *bench, uint32_t is_v, uint32_t tokens, uint32_t heads, float fraction)
{
    const uint32_t d = 64, rows = (tokens + 63) / 64 * 64;
    const gear_codec codec = {.struct_size = sizeof codec,
                              .backbone = GEAR_BACKBONE_KCVT,
                              .bits = 4,
                              .outlier_fraction = fraction,
                              .outlier_rule = GEAR_OUTLIER_VECTOR};
    const stage_case c = {.name = "hard", .head_dim = d, .kv_heads = heads, .group = 1, .window = 64, .k = codec, .v = codec};
    gear__shape shape;
    gear__variant variant;
    stage_buffer x = {0}, mask = {0}, jobs = {0};
    stage_shape(&c, &shape);
    stage_variant_open(bench, &variant, &shape, 2, 1, KERNELS, GEAR_ATTEND_PORTABLE);
    const gear__layer_memory layer = {.variant = &variant};
    const size_t values = (size_t)heads * rows * d;
    stage_buffer_make(bench, &x, values * 2);
    stage_buffer_make(bench, &mask, values);
    stage_buffer_make(bench, &jobs, GEAR__JOB_WORDS * 4);
    uint32_t *job = (uint32_t *)(void *)jobs.host;
    uint16_t *halves = (uint16_t *)(void *)x.host;
    memset(job, 0, GEAR__JOB_WORDS * 4);
    job[GEAR__JOB_BLOCKS] = rows / 64;
    job[GEAR__JOB_TOKENS] = tokens;
    for (uint32_t s = 0; s < 2; s++) {
        const uint32_t per_end = gear__outlier_per_end(shape.side[s].outlier_fraction, tokens, tokens);
        job[GEAR__JOB_PER_END] |= GEAR__PER_END_AS(per_end, s);
    }
    for (uint32_t head = 0; head < heads; head++) {
        for (uint32_t row = 0; row < rows; row++) {
            for (uint32_t channel = 0; channel < d; channel++) {
                const size_t at = ((size_t)head * rows + row) * d + channel;
                const uint32_t vector = is_v ? row : channel, i = is_v ? head * d + channel : row;
                const float value = hard_value(vector % PATTERNS, vector, i, is_v ? heads * d : tokens);
                halves[at] = gear__half_from_float(value);
                mask.host[at] = row < tokens ? GEAR__MASK_NORMAL : GEAR__MASK_PADDING;
            }
        }
    }
    stage_put(bench, &x);
    stage_put(bench, &mask);
    stage_put(bench, &jobs);
    const gear__round round = {
        .layer = &layer, .jobs = jobs.mem, .x = x.mem, .mask = mask.mem, .num_jobs = 1, .num_rows = rows};
    STAGE_LAUNCH(bench, gear__append_1_outliers(&stream, &round, is_v, &error));
    gear__ref_round ref = {
        .shape = &shape, .is_v = is_v, .jobs = job, .num_jobs = 1, .num_rows = rows, .x = halves, .mask = mask.host};
    gear__ref_append_1_outliers(&ref);
    stage_same(bench, &mask, is_v ? "tokens" : "channels");
    stage_buffer_free(&x);
    stage_buffer_free(&mask);
    stage_buffer_free(&jobs);
    gear__variant_close(&variant);
}

typedef struct hard {
    int is_tiny; /* for a simulator: as many of an end as another, of shorter vectors */
    uint32_t is_v, tokens, heads;
    float fraction;
} hard;

Test(append_1_outliers, selects_from_hard_vectors)
{
    static const hard vectors[] = {
        {0, 0, 3001, 1, 0.02f}, {0, 0, 1500, 1, 0.15f}, {0, 0, 700, 1, 0.8f},  {0, 1, 24, 32, 0.02f},
        {0, 1, 24, 32, 0.09f},  {0, 1, 24, 9, 1.0f},    {1, 0, 600, 1, 0.1f},  {1, 0, 300, 1, 0.75f},
        {1, 0, 360, 1, 1.0f},   {1, 1, 24, 10, 0.064f}, {1, 1, 24, 10, 0.29f}, {1, 1, 24, 6, 1.0f},
    };
    stage_bench bench;
    stage_open(&bench);
    do {
        for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
            const hard *v = &vectors[i];
            if (v->is_tiny == stage_tiny()) {
                check_hard(&bench, v->is_v, v->tokens, v->heads, v->fraction);
            }
        }
    } while (!stage_tiny() && stage_other_form(&bench, KERNELS));
    stage_close(&bench, "append_1_outliers, hard vectors");
}
