/* stage_bytes.c: what each stage must move, the model behind its GB/s; docs/benchmarks.md states it in words. A value takes 2
 * bytes as input, in the staged copy and in the residual, 1 in the mask, one bit among the marks. */
#include <math.h>
#include <string.h>

#include "result.h"

enum { SEGMENT_TOKENS = 4096, DIRECT_TOKENS = 256, FIT_RANK = 4 };

typedef struct side {
    double values; /* compressed by the verb */
    double residual, marked;
    double stored; /* factors */
    double rank;   /* of the segments at hand */
    bool mixed, outliers;
    bool in_one; /* its long fits are one launch */
} side;

/* What one verb works on. */
typedef struct model {
    const result *r;
    const char *stage;
    const gear_codec_pair *codecs;
    side k, v;
    double heads, dim, batch;
    double tokens, blocks, segments; /* compressed by the verb */
    double gram;                     /* bytes of one side's Gram matrices: of each long fit one triangle of floats */
    double codes, scales, outliers, lists, bases, entries; /* written; lists, bases: part of outliers */
    double exact, window;
} model;

static bool starts(const char *stage, const char *with)
{
    return !strncmp(stage, with, strlen(with));
}

static bool has_stage(const result *r, const char *with)
{
    for (size_t i = 0; i < r->time.stages.count; ++i)
        if (starts(r->time.stages.items[i].name, with))
            return true;
    return false;
}

/* Bytes of the factors that the verb stores on a side: of a decode block by its shape, else this side's share of all. */
static double stored_of(const model *m, const gear_codec *codec)
{
    const double bits = codec->factor_bits ? codec->factor_bits : 16, rank = codec->rank_decode;
    const double ranks = (double)m->codecs->k.rank_prompt + m->codecs->v.rank_prompt;
    if (!m->r->shape.decode_block)
        return ranks > 0 ? (double)m->r->bytes.lowrank * codec->rank_prompt / ranks : 0;
    return m->heads * rank * ((m->tokens + m->segments * m->dim) * bits / 8 + (bits < 16 ? 4 * m->segments : 0));
}

static side side_of(const model *m, const gear_codec *codec)
{
    side s = {.values = m->tokens * m->heads * m->dim,
              .rank = m->r->shape.decode_block ? codec->rank_decode : codec->rank_prompt,
              .mixed = codec->backbone == GEAR_BACKBONE_MIXED,
              .outliers = codec->outlier_fraction > 0};
    s.residual = s.rank > 0 ? 2 * s.values : 0;
    s.marked = s.outliers ? s.values : 0;
    s.stored = stored_of(m, codec);
    s.in_one = s.rank > 0 && codec->rank_prompt <= FIT_RANK && codec->rank_decode <= FIT_RANK &&
               has_stage(m->r, "append_4_lowrank_fit");
    return s;
}

/* List lengths, bases of lists, and 16-bit values at the marked places, of what the sides with outliers store. */
static void count_lists(model *m)
{
    const double of_k = m->k.outliers ? 64 * ceil(m->dim / 128) : 0, of_v = m->v.outliers ? m->dim : 0;
    const uint32_t delta = m->k.outliers ? m->codecs->k.delta_bits : m->codecs->v.delta_bits;
    m->lists = m->blocks * m->heads * (of_k + of_v);
    m->bases = 4 * m->blocks * m->heads * (m->k.outliers + m->v.outliers);
    m->entries = fmax(0, m->outliers - m->lists - m->bases) * 2 / (delta == 8 ? 2 : 3);
}

static model model_of(const result *r, const char *stage)
{
    const bench_shape *s = &r->shape;
    model m = {.r = r,
               .stage = stage,
               .codecs = &s->recipe.codecs,
               .heads = s->kv_heads,
               .dim = s->head_dim,
               .batch = s->batch,
               .exact = s->decode_block ? 0 : (double)r->bytes.exact,
               .tokens = s->decode_block ? (double)s->batch * s->recipe.window : (double)r->compressed};
    const double each = m.tokens / m.batch, share = r->compressed ? m.tokens / (double)r->compressed : 1;
    m.blocks = m.batch * ceil(each / GEAR_BLOCK_TOKENS);
    m.segments = m.batch * ceil(each / SEGMENT_TOKENS);
    m.gram = each > DIRECT_TOKENS ? m.segments * m.heads * m.dim * m.dim * 2 : 0;
    m.codes = (double)r->bytes.codes * share;
    m.scales = (double)r->bytes.scales * share;
    m.outliers = (double)r->bytes.outliers * share;
    m.window = s->decode_block ? 4 * m.batch * m.heads * m.dim : (double)r->bytes.window;
    m.k = side_of(&m, &m.codecs->k);
    m.v = side_of(&m, &m.codecs->v);
    count_lists(&m);
    return m;
}

static double both(const model *m)
{
    return m->k.values + m->v.values;
}

static double residual(const model *m)
{
    return m->k.residual + m->v.residual;
}

/* Of the compressed tokens, those in the segments that open their sequences. */
static double opening_share(const model *m)
{
    const bool opens = !m->r->shape.decode && !m->r->shape.decode_block && m->tokens > 0;
    return opens ? fmin(1, SEGMENT_TOKENS * m->batch / m->tokens) : 0;
}

/* Floats of importance: two of a channel and opening block. */
static double opening_sums(const model *m)
{
    return m->k.mixed ? 2 * opening_share(m) * m->blocks * m->heads * m->dim : 0;
}

/* K's where a stage works on groups along tokens ("channels"), V's where along channels ("tokens"), or what the layer has. */
static double by_axis(const model *m, double k, double v)
{
    bool both_tokens = m->codecs->k.backbone == GEAR_BACKBONE_TOKEN;
    return strstr(m->stage, "channels") ? (both_tokens ? 0 : k)
           : strstr(m->stage, "tokens") ? v + (both_tokens ? k : 0)
                                        : k + v;
}

/* Sums over the sides whose long fits are four launches: a number of bytes for each rank and row, for each side, and shares of
 * the residual and of what is stored. */
static double of_long_fits(const model *m, double residuals, double rank_rows, double grams, double basis, double stored)
{
    const side *sides[] = {&m->k, &m->v};
    double sum = 0;
    for (int i = 0; i < 2; ++i)
        if (sides[i]->rank > 0 && !sides[i]->in_one)
            sum += residuals * sides[i]->residual + rank_rows * sides[i]->rank * m->tokens * m->heads + grams * m->gram +
                   basis * sides[i]->rank * m->segments * m->heads * m->dim + stored * sides[i]->stored;
    return sum;
}

static double attend(const model *m)
{
    return (double)m->r->moved;
}

/* Partial results, which stage attend_1 left: of a row and split head_dim floats, a maximum and a sum; and the output. */
static double merge(const model *m)
{
    const bench_shape *s = &m->r->shape;
    const double rows = (double)s->group * s->queries, tile = m->r->tile_rows ? fmin(m->r->tile_rows, rows) : rows;
    double partials = 0;
    for (size_t i = 0; i < m->r->time.stages.count; ++i)
        if (starts(m->r->time.stages.items[i].name, "attend_1"))
            partials = (double)m->r->time.stages.items[i].groups / ceil(rows / tile) * rows;
    return partials * (m->dim + 2) * 4 + m->batch * m->heads * rows * m->dim * 2;
}

static double gather(const model *m)
{
    return (2 + 2 + 1) * both(m) + m->exact;
}

static double block(const model *m)
{
    return (2 * both(m) + m->codes + m->scales + residual(m) + (m->k.marked + m->v.marked) / 8) + m->lists + m->exact;
}

/* One launch for all of a block; the new tokens too. */
static double decode(const model *m)
{
    const bool window_apart = has_stage(m->r, "append_6_window");
    return 2 * both(m) + m->codes + m->scales + m->k.stored + m->v.stored + (window_apart ? 0 : 2 * m->window);
}

static double moments(const model *m)
{
    return m->k.mixed ? 2 * opening_share(m) * m->k.values + 4 * opening_sums(m) : 0;
}

static double order(const model *m)
{
    return opening_sums(m) > 0 ? 4 * opening_sums(m) + m->batch * m->heads * m->dim : 0;
}

/* K as staged with its mask at one place of a token, V as it comes in; a float for each token. */
static double norms(const model *m)
{
    return 2 * both(m) + (1 + 4) * m->tokens * m->heads;
}

static double transform(const model *m)
{
    return 4 * ((m->k.mixed ? m->k.values : 0) + (m->codecs->v.rotate ? m->v.values : 0));
}

static double outliers(const model *m)
{
    return 3 * by_axis(m, m->k.marked, m->v.marked);
}

static double marks(const model *m)
{
    return (2 + 1.0 / 8) * by_axis(m, m->k.marked, m->v.marked);
}

static double range(const model *m)
{
    const double values = by_axis(m, m->k.values, m->v.values);
    return 3 * values + (both(m) > 0 ? m->scales * values / both(m) : 0);
}

static double fit(const model *m)
{
    return 3 * ((m->k.mixed ? m->k.values : 0) + (m->v.mixed ? m->v.values : 0)) + m->scales;
}

static double quantize(const model *m)
{
    return 3 * both(m) + m->codes + m->scales + residual(m);
}

/* All passes in one launch that is not append_4_lowrank_fit: of the sides that do not have that, and of single blocks. */
static double lowrank_whole(const model *m)
{
    const bool single = strstr(m->stage, "block") != NULL;
    const side *sides[] = {&m->k, &m->v};
    double sum = 0;
    for (int i = 0; i < 2; ++i)
        sum += single || !sides[i]->in_one ? sides[i]->residual + sides[i]->stored : 0;
    return sum;
}

static double lowrank_fit(const model *m)
{
    const side *sides[] = {&m->k, &m->v};
    double sum = 0;
    for (int i = 0; i < 2; ++i)
        sum += sides[i]->in_one ? 2 * sides[i]->residual + 2 * m->gram + sides[i]->stored : 0;
    return sum;
}

static double lowrank_gram(const model *m)
{
    return of_long_fits(m, 1, 0, 1, 0, 0);
}

static double lowrank_iterate(const model *m)
{
    return of_long_fits(m, 0, 0, 1, 2 * 4, 0);
}

static double lowrank_project(const model *m)
{
    return of_long_fits(m, 1, 4, 0, 4, 0);
}

static double lowrank_store(const model *m)
{
    return of_long_fits(m, 0, 4, 0, 4, 1);
}

static double list_count(const model *m)
{
    return m->k.marked + m->v.marked + m->lists + m->bases;
}

static double list_bases(const model *m)
{
    return 2 * m->bases;
}

/* Marks, values at the marked places, what D and L are made of, and the lists; their lengths and bases are there already. */
static double list_store(const model *m)
{
    const double kinds = (m->k.outliers + m->v.outliers) / 2.0;
    const double places = (m->k.marked + m->v.marked) / (strstr(m->stage, "marked") ? 8 : 1);
    if (kinds <= 0)
        return 0;
    return places + m->entries + kinds * m->scales + (m->k.outliers ? m->k.stored : 0) + (m->v.outliers ? m->v.stored : 0) +
           m->outliers;
}

static double window(const model *m)
{
    return 2 * m->window;
}

/* Words of cl/common/layout.h: 8 a sequence, 16 a segment and, for the place of a staged block, 16 a block. */
static double lists(const model *m)
{
    return 4 * (8 * m->batch + 16 * m->segments + 16 * m->blocks);
}

/* Sequences and, of append, entries of the page table, 4 words a block. */
static double table(const model *m)
{
    return 4 * (8 * m->batch + (m->r->verb == VERB_ATTEND ? 0 : 4 * m->blocks));
}

/* By what their names begin with: the first that fits. */
static const struct {
    const char *name;
    double (*bytes)(const model *m);
} models[] = {{"attend_1", attend},
              {"attend_2_merge", merge},
              {"append_0_gather", gather},
              {"append_block", block},
              {"append_decode", decode},
              {"append_1_moments", moments},
              {"append_1_order", order},
              {"append_1_norms", norms},
              {"append_1_transform", transform},
              {"append_1_outliers", outliers},
              {"append_1_marks", marks},
              {"append_2_range", range},
              {"append_2_fit", fit},
              {"append_3_quantize", quantize},
              {"append_4_lowrank_whole", lowrank_whole},
              {"append_4_lowrank_block", lowrank_whole},
              {"append_4_lowrank_fit", lowrank_fit},
              {"append_4_lowrank_gram", lowrank_gram},
              {"append_4_lowrank_iterate", lowrank_iterate},
              {"append_4_lowrank_project", lowrank_project},
              {"append_4_lowrank_store", lowrank_store},
              {"append_5_count", list_count},
              {"append_5_bases", list_bases},
              {"append_5_store", list_store},
              {"append_6_window", window},
              {"upload_lists", lists},
              {"upload", table}};

uint64_t stage_bytes(const result *r, const char *stage)
{
    const model m = model_of(r, stage);
    for (size_t i = 0; i < sizeof models / sizeof *models; ++i)
        if (starts(stage, models[i].name))
            return (uint64_t)models[i].bytes(&m);
    return 0;
}
