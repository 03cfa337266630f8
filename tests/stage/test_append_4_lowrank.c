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
  (1u << GEAR__KERNEL_LOWRANK | 1u << GEAR__KERNEL_LOWRANK_BLOCK | 1u << GEAR__KERNEL_LOWRANK_GRAM |                           \
   1u << GEAR__KERNEL_LOWRANK_ITERATE | 1u << GEAR__KERNEL_LOWRANK_PROJECT | 1u << GEAR__KERNEL_LOWRANK_STORE |                \
   1u << GEAR__KERNEL_LOWRANK_FIT)

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

static void run_twice(stage_world *w, uint32_t is_v, uint8_t *pool[2], uint8_t *scratch[2])
{
    for (int run = 0; run < 2; run++) {
        stage_world_put(w);
        STAGE_LAUNCH(w->bench, gear__append_4_lowrank(&stream, &w->round, is_v, &error));
        pool[run] = stage_get(w->bench, &w->pool);
        scratch[run] = stage_get(w->bench, &w->a);
    }
}

static void check(stage_world *w, uint32_t is_v)
{
    uint8_t *pool[2], *scratch[2];
    run_twice(w, is_v, pool, scratch);
    stage_same_bytes(pool[1], pool[0], w->pool.bytes, "second run");
    stage_same(w->bench, &w->r, "residual");
    stage_same(w->bench, &w->table, "table");
    stage_same(w->bench, &w->counters, "counters");
    w->ref.is_v = is_v;
    for (uint32_t j = 0; j < w->jobs_count; j++) {
        if (!gear__ref_side(&w->ref)->rank[gear__ref_job_at(&w->ref, j).cls]) {
            continue;
        }
        for (uint32_t head = 0; head < w->shape.kv_heads; head++) {
            store_factors(w, scratch[0], j, head);
        }
        if (w->data != STAGE_EXTREME) { /* there factors saturate, which no bound on the product covers */
            check_fit(w, scratch[0], j);
        }
    }
    stage_same_bytes(pool[0], w->pool.host, w->pool.bytes, "stored factors");
    for (int run = 0; run < 2; run++) {
        free(pool[run]);
        free(scratch[run]);
    }
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
    for (uint32_t t = 0; t < job->blocks * GEAR__BLOCK; t++) {
        uint16_t *row = w->ref.r + gear__ref_row(&w->ref, head, job->row + t);
        for (uint32_t c = 0; c < d; c++) {
            float value = 0.003f * stage_normal(stage_hash(t, c, head));
            for (uint32_t k = 0; k < 3; k++) {
                value += strength[k] * stage_normal(stage_hash(t, k, 77)) * stage_normal(stage_hash(c, k, 78 + head));
            }
            row[c] = t < job->tokens ? gear__half_saturate(value) : 0;
        }
    }
}

/* The residual of a job, zeros behind its tokens. */
typedef void (*residual_maker)(stage_world *w, const gear__ref_job *job, uint32_t head);

/* A round of its own: fits of five parts and two of G, of one, and of one part and a block. */
static void make_long_round(stage_world *w, residual_maker make)
{
    static const uint32_t tokens[3] = {1100, 70, 320};
    uint32_t jobs[3 * GEAR__JOB_WORDS] = {0}, rows = 0, granules = 1;
    for (uint32_t j = 0; j < 3; j++) {
        uint32_t *job = jobs + j * GEAR__JOB_WORDS;
        job[GEAR__JOB_TOKENS] = tokens[j];
        job[GEAR__JOB_BLOCKS] = (tokens[j] + 63) / 64;
        job[GEAR__JOB_ROW] = rows;
        job[GEAR__JOB_TABLE] = rows / GEAR__BLOCK;
        job[GEAR__JOB_CLASS] = j == 1 ? GEAR__DECODE : GEAR__PROMPT;
        job[GEAR__JOB_SEGMENT] = granules;
        granules += (uint32_t)gear__segment_granules(&w->shape, job[GEAR__JOB_CLASS], 0, 0);
        rows += job[GEAR__JOB_BLOCKS] * GEAR__BLOCK;
    }
    const size_t values = (size_t)w->shape.kv_heads * rows * w->shape.head_dim;
    stage_buffer_make(w->bench, &w->jobs, sizeof jobs);
    memcpy(w->jobs.host, jobs, sizeof jobs);
    stage_buffer_make(w->bench, &w->table, rows / GEAR__BLOCK * GEAR__BLOCK_WORDS * 4);
    for (uint32_t j = 0; j < 3; j++) {
        const uint32_t *job = jobs + j * GEAR__JOB_WORDS;
        for (uint32_t b = 0; b < job[GEAR__JOB_BLOCKS]; b++) {
            gear__ref_store_word(w->table.host, (job[GEAR__JOB_TABLE] + b) * GEAR__BLOCK_WORDS + GEAR__BLOCK_OFFSET, granules);
            granules += gear__block_granules(&w->shape, job[GEAR__JOB_CLASS]);
        }
    }
    stage_buffer_make(w->bench, &w->pool, (size_t)granules * GEAR__GRANULE);
    stage_buffer_make(w->bench, &w->r, values * 2);
    const uint32_t slot = stage_fit_slot(w, jobs, 3);
    stage_buffer_make(w->bench, &w->a, stage_fit_bytes(w, rows, slot));
    stage_make_counters(w, rows);
    w->layer.pool = w->pool.mem;
    w->layer.table = w->table.mem;
    w->round = (gear__round){.layer = &w->layer,
                             .jobs = w->jobs.mem,
                             .r = w->r.mem,
                             .a = w->a.mem,
                             .counters = w->counters.mem,
                             .num_jobs = 3,
                             .num_rows = rows,
                             .longest = jobs[GEAR__JOB_BLOCKS],
                             .shortest = jobs[GEAR__JOB_WORDS + GEAR__JOB_BLOCKS],
                             .slot = slot};
    w->ref = (gear__ref_round){.shape = &w->shape,
                               .jobs = (uint32_t *)(void *)w->jobs.host,
                               .num_jobs = 3,
                               .num_rows = rows,
                               .table = (uint32_t *)(void *)w->table.host,
                               .pool = w->pool.host,
                               .r = (uint16_t *)(void *)w->r.host};
    w->jobs_count = 3;
    for (uint32_t j = 0; j < 3; j++) {
        gear__ref_job job = gear__ref_job_at(&w->ref, j);
        for (uint32_t head = 0; head < w->shape.kv_heads; head++) {
            make(w, &job, head);
        }
    }
}

Test(append_4_lowrank, segments_of_several_parts)
{
    stage_bench bench;
    uint32_t count;
    const stage_case *cases = stage_cases(&count);
    stage_open(&bench);
    do {
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t is_v = 0; is_v < 2; is_v++) {
                stage_world world;
                stage_world_open(&world, &bench, &cases[i], STAGE_SMOOTH, KERNELS);
                if (world.shape.side[is_v].rank[GEAR__PROMPT]) {
                    make_long_round(&world, fill_residual);
                    check(&world, is_v);
                }
                stage_world_close(&world);
            }
        }
    } while (stage_other_form(&bench, KERNELS));
    stage_close(&bench, "append_4_lowrank, several parts");
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
    gear_codec codec;
    gear_codec_init(&codec);
    codec.rank_prompt = codec.rank_decode = rank;
    const stage_case c = {"decaying", head_dim, stage_tiny() ? 1 : 6, 1, 1, 64, 0, 0, GEAR_F16, 0, codec, codec};
    stage_world w;
    double worst = 0;
    stage_world_open(&w, bench, &c, STAGE_SMOOTH, KERNELS);
    make_long_round(&w, fill_decaying);
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
