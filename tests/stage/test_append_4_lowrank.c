/* test_append_4_lowrank.c: the fit within a bound of the reference's, the stored factors bit for bit those of the fit, every
 * run the same bits, and on decaying spectra within 1.02 of the best that the rank can do.
 *
 * The kernel leaves its unrounded factors in scratch. Two things are checked on them. What is stored is exactly their
 * rounding (rule 8: 16, 8 or 4 bits, scales, zeros in the padding). And A B^T is near that of the reference, which sums in
 * double but shows its factors as halves only. Rounding both factors to halves moves each product a_i b_i^T by at most 2 x
 * 2^-11 of |a_i| |b_i|, plus 2^-25 an element where halves are subnormal; the columns of A are orthonormal, so the |b_i| are
 * at most the `rank` largest singular values and sum |a_i| |b_i| <= sqrt(rank) |R|. The float32 sums of the kernel err by
 * some 2^-24 sqrt(n), enlarged where two columns of A or B were nearly parallel before orthonormalisation; FLOAT_SHARE is
 * for that. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decaying.h"
#include "ref/kit.h"
#include "stage_world.h"

#define FLOAT_SHARE 0x1p-12
#define TERMS       16u /* singular values that are not 0, of a residual whose spectrum is known */

#define KERNELS                                                                                                                \
  (1ull << GEAR__KERNEL_LOWRANK | 1ull << GEAR__KERNEL_LOWRANK_BLOCK | 1ull << GEAR__KERNEL_LOWRANK_GRAM |                     \
   1ull << GEAR__KERNEL_LOWRANK_ITERATE | 1ull << GEAR__KERNEL_LOWRANK_PROJECT | 1ull << GEAR__KERNEL_LOWRANK_STORE |          \
   1ull << GEAR__KERNEL_LOWRANK_FIT)

/* The kernel's unrounded factors of one (job, head). */
typedef struct factors {
    const float *a, *b;
    size_t a_stride, b_stride; /* from column to column */
} factors;

static factors factors_of(const stage_world *w, const uint8_t *scratch, uint32_t j, uint32_t head)
{
    const float *all = (const float *)(const void *)scratch;
    size_t rows = w->ref.num_rows, heads = w->shape.kv_heads, d = w->shape.head_dim;
    const gear__ref_job job = gear__ref_job_at(&w->ref, j);
    const size_t row = job.row, slot = w->round.slot * (row / GEAR__BLOCK * heads + (size_t)head * job.blocks);
    return (factors){all + head * GEAR__MAX_RANK * rows + row, all + (heads * rows + d) * GEAR__MAX_RANK + slot, rows, d};
}

static uint16_t scale_of(const float *column, uint32_t n, uint32_t bits)
{
    float largest = 0, reciprocal = 1.0f / (float)((1u << (bits - 1u)) - 1u);
    for (uint32_t i = 0; i < n; i++) {
        largest = fmaxf(largest, fabsf(column[i]));
    }
    return gear__half_saturate(largest * reciprocal);
}

static void put_factor(uint8_t *at, uint32_t element, uint32_t bits, float value, uint16_t scale)
{
    int32_t top = (1 << (bits - 1u)) - 1;
    if (bits == 16) {
        gear__ref_store_half(at, element, gear__half_saturate(value));
    } else if (bits == 8) {
        at[element] = (uint8_t)gear__ref_divide(value, scale, -top, top);
    } else {
        uint32_t shift = 4u * (element & 1u), code = (uint32_t)(gear__ref_divide(value, scale, -top, top) + 8);
        at[element / 2u] = (uint8_t)((at[element / 2u] & ~(15u << shift)) | code << shift);
    }
}

/* Writes the rounded factors into the host's pool. */
static void store_factors(stage_world *w, const uint8_t *scratch, uint32_t j, uint32_t head)
{
    const gear__side *side = gear__ref_side(&w->ref);
    gear__ref_job job = gear__ref_job_at(&w->ref, j);
    factors f = factors_of(w, scratch, j, head);
    uint32_t rank = side->rank[job.cls], bits = side->factor_bits, d = w->shape.head_dim;
    uint8_t *seg = gear__ref_place_at(&w->ref, &job, 0, head).seg;
    for (uint32_t c = 0; c < rank; c++) {
        const float *a = f.a + c * f.a_stride, *b = f.b + c * f.b_stride;
        uint16_t scale_a = 0, scale_b = 0;
        if (bits < 16) {
            scale_a = scale_of(a, job.tokens, bits);
            scale_b = scale_of(b, d, bits);
            gear__ref_store_half(seg + side->factors[job.cls], c, scale_a);
            gear__ref_store_half(seg + side->factors[job.cls], rank + c, scale_b);
        }
        for (uint32_t t = 0; t < job.blocks * GEAR__BLOCK; t++) {
            uint8_t *at = gear__ref_place_at(&w->ref, &job, t / GEAR__BLOCK, head).head + side->a[job.cls];
            put_factor(at, c * GEAR__BLOCK + t % GEAR__BLOCK, bits, t < job.tokens ? a[t] : 0, scale_a);
        }
        for (uint32_t i = 0; i < d; i++) {
            put_factor(seg + side->b[job.cls], c * d + i, bits, b[i], scale_b);
        }
    }
}

/* One job of the round as the reference fits it, factors stored in 16 bits whatever the codec says. */
typedef struct exact_fit {
    gear__shape shape;
    gear__ref_round round;
    uint32_t job[GEAR__JOB_WORDS], *table;
} exact_fit;

static void fit_open(exact_fit *fit, const stage_world *w, uint32_t j)
{
    gear__ref_job job = gear__ref_job_at(&w->ref, j);
    uint32_t heads = w->shape.kv_heads, d = w->shape.head_dim, rank = w->shape.side[w->ref.is_v].rank[job.cls];
    uint32_t granules = heads * rank * 2u, seg = heads * rank * d * 2u / GEAR__GRANULE + 1u;
    fit->shape = w->shape;
    fit->shape.head_first = fit->shape.seg_head_first = 0;
    fit->shape.head_stride[job.cls] = rank * 2u * GEAR__BLOCK;
    fit->shape.seg_head_stride[job.cls] = rank * 2u * d;
    gear__side *side = &fit->shape.side[w->ref.is_v];
    side->factor_bits = 16;
    side->a[job.cls] = side->b[job.cls] = 0;
    fit->table = calloc(job.blocks, GEAR__BLOCK_WORDS * 4);
    fit->round = w->ref;
    fit->round.shape = &fit->shape;
    fit->round.jobs = fit->job;
    fit->round.num_jobs = 1;
    fit->round.table = fit->table;
    fit->round.pool = malloc((size_t)(job.blocks * granules + seg) * GEAR__GRANULE);
    cr_assert(fit->table && fit->round.pool);
    memcpy(fit->job, w->ref.jobs + (size_t)j * GEAR__JOB_WORDS, sizeof fit->job);
    fit->job[GEAR__JOB_TABLE] = 0;
    fit->job[GEAR__JOB_SEGMENT] = job.blocks * granules;
    for (uint32_t b = 0; b < job.blocks; b++) {
        fit->table[b * GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET] = b * granules;
    }
    cr_assert(gear__ref_append_4_lowrank(&fit->round));
}

static void fit_close(exact_fit *fit)
{
    free(fit->table);
    free(fit->round.pool);
}

static double distance_at(const exact_fit *fit, const factors *f, const gear__ref_job *job, uint32_t head, uint32_t t,
                          uint32_t c)
{
    gear__ref_place place = gear__ref_place_at(&fit->round, job, t / GEAR__BLOCK, head);
    const gear__side *side = gear__ref_side(&fit->round);
    double product = 0;
    for (uint32_t k = 0; k < side->rank[job->cls]; k++) {
        product += (double)f->a[k * f->a_stride + t] * (double)f->b[k * f->b_stride + c];
    }
    return product - (double)gear__ref_lowrank(&fit->shape, side, job->cls, place, t % GEAR__BLOCK, c);
}

static void check_fit(const stage_world *w, const uint8_t *scratch, uint32_t j)
{
    exact_fit fit;
    fit_open(&fit, w, j);
    gear__ref_job job = gear__ref_job_at(&fit.round, 0);
    uint32_t d = w->shape.head_dim, rank = gear__ref_side(&w->ref)->rank[job.cls];
    for (uint32_t head = 0; head < w->shape.kv_heads; head++) {
        factors f = factors_of(w, scratch, j, head);
        double off = 0, all = 0;
        for (uint32_t t = 0; t < job.tokens; t++) {
            for (uint32_t c = 0; c < d; c++) {
                double by = distance_at(&fit, &f, &job, head, t, c),
                       r = (double)gear__float_from_half(w->ref.r[gear__ref_row(&w->ref, head, job.row + t) + c]);
                off += by * by;
                all += r * r;
            }
        }
        double norm = sqrt(all), tiny = rank * 0x1p-25 * (sqrt(d) + norm * sqrt(job.tokens));
        double bound = norm * (sqrt(rank) * 0x1p-10 + FLOAT_SHARE) + tiny;
        STAGE_EXPECT(sqrt(off) <= bound, "%s, %s, round %u, job %u, head %u, %u work-items: A B^T is off by %g, |R| is %g",
                     w->c->name, w->ref.is_v ? "V" : "K", w->round_number, j, head, w->bench->append.work_items, sqrt(off),
                     norm);
    }
    fit_close(&fit);
}

/* Whether two scratches hold the same factors. */
static void same_factors(const stage_world *w, const uint8_t *one, const uint8_t *other, uint32_t j)
{
    const gear__ref_job job = gear__ref_job_at(&w->ref, j);
    for (uint32_t head = 0; head < w->shape.kv_heads; head++) {
        const factors x = factors_of(w, one, j, head), y = factors_of(w, other, j, head);
        for (uint32_t c = 0; c < gear__ref_side(&w->ref)->rank[job.cls]; c++) {
            const size_t a = c * x.a_stride, b = c * x.b_stride;
            STAGE_EXPECT(!memcmp(x.a + a, y.a + a, job.tokens * sizeof(float)), "A of another run: job %u, head %u", j, head);
            STAGE_EXPECT(!memcmp(x.b + b, y.b + b, w->shape.head_dim * sizeof(float)), "B of another run: job %u, head %u", j,
                         head);
        }
    }
}

/* Launches the fit `runs` times, and checks every `every`-th job against the bound. Nothing sets the counters to zeros between
 * the runs. */
static void check_runs(stage_world *w, uint32_t is_v, uint32_t runs, uint32_t every)
{
    uint8_t *pool = NULL, *scratch = NULL;
    w->ref.is_v = is_v;
    stage_world_put(w);
    for (uint32_t run = 0; run < runs; run++) {
        stage_put(w->bench, &w->pool);
        stage_put(w->bench, &w->a);
        STAGE_LAUNCH(w->bench, gear__append_4_lowrank(&stream, &w->round, is_v, &error));
        uint8_t *new_pool = stage_get(w->bench, &w->pool), *new_scratch = stage_get(w->bench, &w->a);
        if (run) {
            stage_same_bytes(new_pool, pool, w->pool.bytes, "another run");
            for (uint32_t j = 0; j < w->jobs_count; j++) {
                same_factors(w, new_scratch, scratch, j);
            }
        }
        free(pool);
        free(scratch);
        pool = new_pool;
        scratch = new_scratch;
    }
    stage_same(w->bench, &w->r, "residual");
    stage_same(w->bench, &w->table, "table");
    stage_same(w->bench, &w->counters, "counters");
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        if (!gear__ref_side(&w->ref)->rank[gear__ref_job_at(&w->ref, j).cls]) {
            continue;
        }
        for (uint32_t head = 0; head < w->shape.kv_heads; head++) {
            store_factors(w, scratch, j, head);
        }
        if (w->data != STAGE_EXTREME && j % every == 0) { /* there factors saturate, which no bound on the product covers */
            check_fit(w, scratch, j);
        }
    }
    stage_same_bytes(pool, w->pool.host, w->pool.bytes, "stored factors");
    free(pool);
    free(scratch);
}

static void check(stage_world *w, uint32_t is_v)
{
    check_runs(w, is_v, stage_tiny() ? 1 : 2, 1); /* a simulator runs always alike */
    stage_ref_step(w, is_v, STAGE_LOWRANK);
}

Test(append_4_lowrank, within_a_bound_of_the_reference)
{
    stage_run_all("append_4_lowrank", STAGE_LOWRANK, KERNELS, check);
}

/* Residual of a job: three directions of falling strength, the last far below the first, and noise. */
static void fill_residual(stage_world *w, const gear__ref_job *job, uint32_t head)
{
    static const float strength[3] = {9.0f, 1.0f, 0.01f};
    const uint32_t d = w->shape.head_dim;
    float along[3][256];
    for (uint32_t n = 0; n < 3 * d; n++) {
        along[n / d][n % d] = stage_normal(stage_hash(n % d, n / d, 78 + head));
    }
    for (uint32_t t = 0; t < job->blocks * GEAR__BLOCK; t++) {
        uint16_t *row = w->ref.r + gear__ref_row(&w->ref, head, job->row + t);
        float share[3];
        for (uint32_t k = 0; k < 3; k++) {
            share[k] = strength[k] * stage_normal(stage_hash(t, k, 77));
        }
        for (uint32_t c = 0; c < d; c++) {
            float value = 0.003f * stage_normal(stage_hash(t, c, head));
            for (uint32_t k = 0; k < 3; k++) {
                value += share[k] * along[k][c];
            }
            row[c] = t < job->tokens ? gear__half_saturate(value) : 0;
        }
    }
}

/* The residual of a job, zeros behind its tokens. */
typedef void (*residual_maker)(stage_world *w, const gear__ref_job *job, uint32_t head);

typedef struct long_fit {
    uint32_t tokens, cls;
} long_fit;

/* Words of the jobs, all but their segments. */
static void make_jobs(stage_world *w, const long_fit *fits, uint32_t count)
{
    stage_buffer_make(w->bench, &w->jobs, count * GEAR__JOB_WORDS * 4);
    memset(w->jobs.host, 0, w->jobs.bytes);
    w->round = (gear__round){.layer = &w->layer, .num_jobs = count, .shortest = UINT32_MAX};
    for (uint32_t j = 0; j < count; j++) {
        uint32_t *job = stage_words(&w->jobs) + j * GEAR__JOB_WORDS;
        const uint32_t blocks = (fits[j].tokens + 63) / 64;
        job[GEAR__JOB_TOKENS] = fits[j].tokens;
        job[GEAR__JOB_BLOCKS] = blocks;
        job[GEAR__JOB_ROW] = w->round.num_rows;
        job[GEAR__JOB_TABLE] = w->round.num_rows / GEAR__BLOCK;
        job[GEAR__JOB_CLASS] = fits[j].cls;
        job[GEAR__JOB_FIT] = w->round.fit_parts;
        w->round.fit_parts += GEAR__FIT_NV_PARTS(blocks);
        w->round.num_rows += blocks * GEAR__BLOCK;
        w->round.longest = blocks > w->round.longest ? blocks : w->round.longest;
        w->round.shortest = blocks < w->round.shortest ? blocks : w->round.shortest;
    }
    w->round.slot = stage_fit_slot(w, stage_words(&w->jobs), count);
    w->jobs_count = count;
}

/* A round of its own, of these fits. */
static void make_long_round(stage_world *w, const long_fit *fits, uint32_t count, residual_maker make)
{
    uint32_t granules = 1;
    make_jobs(w, fits, count);
    const uint32_t rows = w->round.num_rows;
    stage_buffer_make(w->bench, &w->table, rows / GEAR__BLOCK * GEAR__BLOCK_WORDS * 4);
    for (uint32_t j = 0; j < count; j++) {
        uint32_t *job = stage_words(&w->jobs) + j * GEAR__JOB_WORDS;
        job[GEAR__JOB_SEGMENT] = granules;
        granules += (uint32_t)gear__segment_granules(&w->shape, fits[j].cls, 0, 0);
        for (uint32_t b = 0; b < job[GEAR__JOB_BLOCKS]; b++) {
            gear__ref_store_word(w->table.host, (job[GEAR__JOB_TABLE] + b) * GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET, granules);
            granules += gear__block_granules(&w->shape, fits[j].cls);
        }
    }
    stage_buffer_make(w->bench, &w->pool, (size_t)granules * GEAR__GRANULE);
    stage_buffer_make(w->bench, &w->r, (size_t)w->shape.kv_heads * rows * w->shape.head_dim * 2);
    stage_buffer_make(w->bench, &w->a, stage_fit_bytes(w, rows, w->round.slot));
    stage_make_counters(w, rows);
    w->layer.pool = w->pool.mem;
    w->layer.table = w->table.mem;
    w->round.jobs = w->jobs.mem;
    w->round.r = w->r.mem;
    w->round.a = w->a.mem;
    w->round.counters = w->counters.mem;
    w->ref = (gear__ref_round){.shape = &w->shape,
                               .jobs = stage_words(&w->jobs),
                               .num_jobs = count,
                               .num_rows = rows,
                               .table = stage_words(&w->table),
                               .pool = w->pool.host,
                               .r = (uint16_t *)(void *)w->r.host};
    for (uint32_t j = 0; j < count; j++) {
        gear__ref_job job = gear__ref_job_at(&w->ref, j);
        for (uint32_t head = 0; head < w->shape.kv_heads; head++) {
            make(w, &job, head);
        }
    }
}

/* Of five parts and two of G, of one, and of one part and a block. */
static const long_fit few_fits[3] = {{1100, GEAR__PROMPT}, {70, GEAR__DECODE}, {320, GEAR__PROMPT}};

static stage_case case_of(const char *name, uint32_t head_dim, uint32_t heads, uint32_t prompt, uint32_t decode, uint32_t bits)
{
    gear_codec codec;
    gear_codec_init(&codec);
    codec.rank_prompt = prompt;
    codec.rank_decode = decode;
    codec.factor_bits = bits;
    return (stage_case){name, head_dim, heads, 1, 1, 64, 0, 0, GEAR_F16, 0, codec, codec};
}

static void run_few(const char *name, const stage_case *cases, uint32_t count)
{
    stage_bench bench;
    stage_open(&bench);
    do {
        for (uint32_t i = 0; i < 2 * count; i++) {
            const uint32_t is_v = i % 2, left_out = stage_tiny() && i ? 1 : 0;
            stage_world world;
            if (stage_tiny() && i != 0 && i != 3) { /* all of K of the first case, of V of the second those of one part of G */
                continue;
            }
            stage_world_open(&world, &bench, &cases[i / 2], STAGE_SMOOTH, KERNELS);
            if (world.shape.side[is_v].rank[GEAR__PROMPT]) {
                make_long_round(&world, few_fits + left_out, sizeof few_fits / sizeof *few_fits - left_out, fill_residual);
                check(&world, is_v);
            }
            stage_world_close(&world);
        }
    } while (stage_other_form(&bench, KERNELS));
    stage_close(&bench, name);
}

Test(append_4_lowrank, segments_of_several_parts)
{
    uint32_t count;
    const stage_case *cases = stage_cases(&count);
    run_few("append_4_lowrank, several parts", cases, count);
}

/* With ranks of which NVIDIA GPUs make fits of more than a block in one launch; no case has those and codes of 8 bits. */
Test(append_4_lowrank, several_parts_and_8_bits)
{
    const stage_case c = case_of("8 bits", 96, 2, 4, 2, 8);
    if (stage_tiny()) {
        cr_skip_test("too much for the simulator");
    }
    run_few("append_4_lowrank, 8 bits", &c, 1);
}

/* Fits in one launch, which wait for each other. */
static void run_many(const stage_case *c, const long_fit *fits, uint32_t count, const char *name)
{
    stage_bench bench;
    stage_world world;
    stage_open(&bench);
    if (!bench.append.has_tensor_cores) {
        stage_skip(&bench, "no NVIDIA GPU from sm_80 on");
    }
    stage_world_open(&world, &bench, c, STAGE_SMOOTH, KERNELS);
    make_long_round(&world, fits, count, fill_residual);
    check_runs(&world, 0, 3, 7);
    stage_world_close(&world);
    stage_close(&bench, name);
}

/* Where a device cannot hold all their work-groups at a time. */
Test(append_4_lowrank, more_fits_than_a_device_holds)
{
    enum { MANY = 32 };
    const stage_case c = case_of("many fits", 128, 8, 4, 2, 4);
    long_fit fits[MANY];
    for (uint32_t j = 0; j < MANY; j++) { /* of one to five parts of G, one a decode segment of five, one of four blocks */
        fits[j] = (long_fit){j == 9 ? 200 : 290 + 5 * j % 8 * 640, j == 14 ? GEAR__DECODE : GEAR__PROMPT};
    }
    run_many(&c, fits, MANY, "append_4_lowrank, many fits");
}

/* More jobs than a work-group, which looks for its own, has work-items; most of them have no part in the launch. */
Test(append_4_lowrank, more_jobs_than_work_items)
{
    enum { MANY = 600 };
    const stage_case c = case_of("many jobs", 64, 2, 4, 2, 8);
    long_fit fits[MANY];
    for (uint32_t j = 0; j < MANY; j++) {
        fits[j] = (long_fit){j % 7 ? 40 : j == 560 ? 1500 : 70 + j / 3, j % 2 ? GEAR__DECODE : GEAR__PROMPT};
    }
    run_many(&c, fits, MANY, "append_4_lowrank, many jobs");
}

/* A residual whose singular values are 1, 1/2, 1/4 ... */
static void fill_decaying(stage_world *w, const gear__ref_job *job, uint32_t head)
{
    const uint32_t d = w->shape.head_dim, padding = job->blocks * GEAR__BLOCK - job->tokens;
    const uint32_t seed = job->row + head + 7777 * w->shape.side[0].rank[GEAR__PROMPT];
    uint16_t *r = w->ref.r + gear__ref_row(&w->ref, head, job->row);
    decaying_fill(r, job->tokens, d, TERMS, seed);
    memset(r + (size_t)job->tokens * d, 0, (size_t)padding * d * sizeof *r);
}

/* What the stored factors leave of such a residual over the best that their rank could do. */
static double share_of_optimum(const stage_world *w, const gear__ref_job *job, uint32_t head)
{
    const gear__side *side = gear__ref_side(&w->ref);
    double left = 0;
    for (uint32_t t = 0; t < job->tokens; t++) {
        const gear__ref_place place = gear__ref_place_at(&w->ref, job, t / GEAR__BLOCK, head);
        const uint16_t *row = w->ref.r + gear__ref_row(&w->ref, head, job->row + t);
        for (uint32_t c = 0; c < w->shape.head_dim; c++) {
            const double rest = (double)gear__float_from_half(row[c]) -
                                (double)gear__ref_lowrank(&w->shape, side, job->cls, place, t % GEAR__BLOCK, c);
            left += rest * rest;
        }
    }
    return sqrt(left) / decaying_optimum(TERMS, side->rank[job->cls]);
}

/* Launches the fit on such residuals; returns the worst share. */
static double worst_share(stage_bench *bench, uint32_t head_dim, uint32_t rank)
{
    const stage_case c = case_of("decaying", head_dim, stage_tiny() ? 1 : 6, rank, rank, 16);
    stage_world w;
    double worst = 0;
    stage_world_open(&w, bench, &c, STAGE_SMOOTH, KERNELS);
    make_long_round(&w, few_fits, sizeof few_fits / sizeof *few_fits, fill_decaying);
    stage_world_put(&w);
    STAGE_LAUNCH(bench, gear__append_4_lowrank(&stream, &w.round, 0, &error));
    stage_take(bench, &w.pool);
    for (uint32_t j = 0; j < w.jobs_count; j++) {
        const gear__ref_job job = gear__ref_job_at(&w.ref, j);
        for (uint32_t head = 0; head < w.shape.kv_heads; head++) {
            const double share = share_of_optimum(&w, &job, head);
            STAGE_EXPECT(share <= 1.02, "head_dim %u, rank %u, %u tokens, head %u, %u work-items: %g x the optimum", head_dim,
                         rank, job.tokens, head, bench->append.work_items, share);
            worst = share > worst ? share : worst;
        }
    }
    stage_world_close(&w);
    return worst;
}

/* With the default number of passes, of fits with a Gram matrix and without one, in every form of the kernels. */
Test(append_4_lowrank, near_the_optimum_on_decaying_spectra)
{
    const uint32_t most = stage_tiny() ? 1 : 8, widest = stage_tiny() ? 64 : 128;
    stage_bench bench;
    stage_open(&bench);
    do {
        double worst = 0;
        for (uint32_t rank = 1; rank <= most; rank *= 2) {
            for (uint32_t head_dim = 64; head_dim <= widest; head_dim *= 2) {
                worst = fmax(worst, worst_share(&bench, head_dim, rank));
                bench.cases++;
            }
        }
        printf("append_4_lowrank, %u work-items: at most %.5f x the optimum\n", bench.append.work_items, worst);
    } while (stage_other_form(&bench, KERNELS));
    stage_close(&bench, "append_4_lowrank, decaying spectra");
}
