/* stage_bytes.c: what each stage must move, the model behind its GB/s; docs/benchmarks.md states it in words. A value takes 2
 * bytes as input, in the staged copy and in the residual, 1 in the mask, one bit among the marks. */
#include <math.h>
#include <string.h>

#include "result.h"

/* The longest segment of the caches that are timed, and what cl/common/layout.h says: GEAR__FIT_ROWS, tokens of the longest fit
 * without a Gram matrix; GEAR__GRAM_ROWS, of the longest whose Gram matrix is of one part; the most columns of
 * GEAR__GRAM_NV_FITS, the fits of one launch. */
enum { SEGMENT_TOKENS = RECIPE_MOST_SEGMENT_TOKENS, DIRECT_TOKENS = 256, PART_TOKENS = 1024, FIT_RANK = 4 };

/* Fits, one of each segment, KV head and side, by the kernels that do them (src/stage/append_4_lowrank.c). */
typedef enum fit_kind {
    FIT_BLOCK, /* of one block */
    FIT_SHORT, /* without a Gram matrix */
    FIT_LONG,
    FIT_KINDS
} fit_kind;

typedef struct fit_sum {
    double tokens, segments;
} fit_sum;

typedef struct side {
    double values; /* compressed by the verb */
    double residual, marked;
    double stored[FIT_KINDS]; /* factors */
    double rank;              /* of the segments at hand */
    bool mixed, outliers;
    bool in_one; /* its fits of more than a block are one launch */
} side;

/* What one verb works on. */
typedef struct model {
    const result *r;
    const char *stage;
    const gear_codec_pair *codecs;
    side k, v;
    double heads, dim, batch;
    double tokens, blocks, segments; /* compressed by the verb */
    double opening;                  /* tokens of the segments that open their sequences */
    fit_sum fits[FIT_KINDS];
    double parted;            /* fits of several parts */
    double gram, joined_gram; /* bytes of one side's Gram matrices, one triangle of floats of each long fit; joined: of those of
                               * several parts */
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

/* Bytes of the factors of the fits of a kind on a side. */
static double factors(const model *m, const gear_codec *codec, fit_kind kind)
{
    const fit_sum *fits = &m->fits[kind];
    const double bits = codec->factor_bits ? codec->factor_bits : 16, scale = bits < 16 ? 4 : 0;
    const double rank = m->r->shape.decode_block ? codec->rank_decode : codec->rank_prompt;
    return m->heads * rank * ((fits->tokens + fits->segments * m->dim) * bits / 8 + scale * fits->segments);
}

/* What all factors of a prompt are over what `factors` says; of a decode block, which is a part of what is stored, 1. */
static double factor_scale(const model *m)
{
    double sum = 0;
    for (int kind = 0; kind < FIT_KINDS; ++kind)
        sum += factors(m, &m->codecs->k, (fit_kind)kind) + factors(m, &m->codecs->v, (fit_kind)kind);
    return sum > 0 && !m->r->shape.decode_block ? (double)m->r->bytes.lowrank / sum : 1;
}

static side side_of(const model *m, const gear_codec *codec)
{
    side s = {.values = m->tokens * m->heads * m->dim,
              .rank = m->r->shape.decode_block ? codec->rank_decode : codec->rank_prompt,
              .mixed = codec->backbone == GEAR_BACKBONE_MIXED,
              .outliers = codec->outlier_fraction > 0};
    s.residual = s.rank > 0 ? 2 * s.values : 0;
    s.marked = s.outliers ? s.values : 0;
    for (int kind = 0; kind < FIT_KINDS; ++kind)
        s.stored[kind] = factor_scale(m) * factors(m, codec, (fit_kind)kind);
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

/* Compressed tokens of sequence i: of one that is appended at once, whole blocks but for the recent tokens. */
static uint64_t sequence_tokens(const result *r, uint32_t i)
{
    const recipe *codec = &r->shape.recipe;
    const uint64_t length = (uint64_t)shape_length(&r->shape, i) + r->shape.window_fill;
    const uint64_t held = codec->recent + (uint64_t)(codec->window > GEAR_BLOCK_TOKENS ? codec->window : GEAR_BLOCK_TOKENS);
    if (r->shape.decode_block)
        return codec->window;
    if (!r->shape.ragged)
        return r->compressed / r->shape.batch;
    return length > held ? (length - codec->recent) / GEAR_BLOCK_TOKENS * GEAR_BLOCK_TOKENS : 0;
}

/* Segments of a sequence: full ones, then a tail. */
static void count_sequence(model *m, uint64_t tokens)
{
    const uint64_t full = tokens / SEGMENT_TOKENS, tail = tokens % SEGMENT_TOKENS;
    const fit_kind kind = tail <= GEAR_BLOCK_TOKENS ? FIT_BLOCK : tail <= DIRECT_TOKENS ? FIT_SHORT : FIT_LONG;
    m->tokens += (double)tokens;
    m->blocks += (double)((tokens + GEAR_BLOCK_TOKENS - 1) / GEAR_BLOCK_TOKENS);
    m->segments += (double)(full + (tail > 0));
    m->parted += (double)(full + (tail > PART_TOKENS));
    m->opening += (double)(full ? SEGMENT_TOKENS : tail);
    m->fits[FIT_LONG].tokens += (double)(full * SEGMENT_TOKENS);
    m->fits[FIT_LONG].segments += (double)full;
    m->fits[kind].tokens += (double)tail;
    m->fits[kind].segments += tail > 0;
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
               .exact = s->decode_block ? 0 : (double)r->bytes.exact};
    for (uint32_t i = 0; i < s->batch; ++i)
        count_sequence(&m, sequence_tokens(r, i));
    const double share = r->compressed ? m.tokens / (double)r->compressed : 1;
    const double triangle = m.dim * m.dim * 2;
    m.gram = m.fits[FIT_LONG].segments * m.heads * triangle;
    m.joined_gram = m.parted * m.heads * triangle;
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
    return !m->r->shape.decode_block && m->tokens > 0 ? m->opening / m->tokens : 0;
}

/* Floats of importance: two of a channel and opening block. */
static double opening_sums(const model *m)
{
    return m->k.mixed ? 2 * opening_share(m) * m->blocks * m->heads * m->dim : 0;
}

/* Bytes of the residual of a side in the fits of a kind. */
static double residual_of(const model *m, const side *s, fit_kind kind)
{
    return m->tokens > 0 ? s->residual * m->fits[kind].tokens / m->tokens : 0;
}

/* Bytes of all factors of a side. */
static double stored(const side *s)
{
    double sum = 0;
    for (int kind = 0; kind < FIT_KINDS; ++kind)
        sum += s->stored[kind];
    return sum;
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
static double of_long_fits(const model *m, double residuals, double rank_rows, double grams, double basis, double written)
{
    const side *sides[] = {&m->k, &m->v};
    const fit_sum *fits = &m->fits[FIT_LONG];
    double sum = 0;
    for (int i = 0; i < 2; ++i)
        if (sides[i]->rank > 0 && !sides[i]->in_one)
            sum += residuals * residual_of(m, sides[i], FIT_LONG) + rank_rows * sides[i]->rank * fits->tokens * m->heads +
                   grams * m->gram + basis * sides[i]->rank * fits->segments * m->heads * m->dim +
                   written * sides[i]->stored[FIT_LONG];
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
    return 2 * both(m) + m->codes + m->scales + stored(&m->k) + stored(&m->v) + (window_apart ? 0 : 2 * m->window);
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

static double reorder(const model *m)
{
    return m->k.mixed ? 4 * m->k.values : 0;
}

static double rotation(const model *m)
{
    return m->codecs->v.rotate ? 4 * m->v.values : 0;
}

static double outliers(const model *m)
{
    return 3 * by_axis(m, m->k.marked, m->v.marked);
}

static double marks(const model *m)
{
    return (2 + 1.0 / 8) * by_axis(m, m->k.marked, m->v.marked);
}

/* Of the scales, K's: with 16 bits none; of KCVT a pair of halves for each channel of a segment; else as many a value as V. */
static double scales_of_k(const model *m)
{
    if (m->codecs->k.bits == 16)
        return 0;
    if (m->codecs->k.backbone == GEAR_BACKBONE_KCVT)
        return fmin(m->scales, 4 * m->segments * m->heads * m->dim);
    return both(m) > 0 ? m->scales * m->k.values / both(m) : 0;
}

/* Two halves for each channel of a block of K: its range, which is to be joined with those of its segment. */
static double range_parts(const model *m)
{
    return 4 * m->k.values / 64;
}

static double range(const model *m)
{
    const double of_k = has_stage(m->r, "append_2_range_join") ? range_parts(m) : scales_of_k(m);
    return 3 * by_axis(m, m->k.values, m->v.values) + by_axis(m, of_k, m->scales - scales_of_k(m));
}

static double range_join(const model *m)
{
    return range_parts(m) + scales_of_k(m);
}

static double fit(const model *m)
{
    return 3 * ((m->k.mixed ? m->k.values : 0) + (m->v.mixed ? m->v.values : 0)) + m->scales;
}

static double quantize(const model *m)
{
    return 3 * both(m) + m->codes + m->scales + residual(m);
}

/* All passes in one launch: the residual once, and the factors. */
static double at_once(const model *m, const side *s, fit_kind kind)
{
    return residual_of(m, s, kind) + s->stored[kind];
}

static double lowrank_block(const model *m)
{
    return at_once(m, &m->k, FIT_BLOCK) + at_once(m, &m->v, FIT_BLOCK);
}

/* Short fits of the sides that do not have append_4_lowrank_fit; the form for CPUs does those of one block, too. */
static double lowrank_whole(const model *m)
{
    const side *sides[] = {&m->k, &m->v};
    double sum = strstr(m->stage, "_cpu") ? lowrank_block(m) : 0;
    for (int i = 0; i < 2; ++i)
        sum += sides[i]->in_one ? 0 : at_once(m, sides[i], FIT_SHORT);
    return sum;
}

/* A Gram matrix of one part stays where it was made. */
static double lowrank_fit(const model *m)
{
    const side *sides[] = {&m->k, &m->v};
    double sum = 0;
    for (int i = 0; i < 2; ++i)
        if (sides[i]->in_one)
            sum += residual_of(m, sides[i], FIT_SHORT) + at_once(m, sides[i], FIT_SHORT) + residual_of(m, sides[i], FIT_LONG) +
                   at_once(m, sides[i], FIT_LONG) + 2 * m->joined_gram;
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
    return places + m->entries + kinds * m->scales + (m->k.outliers ? stored(&m->k) : 0) + (m->v.outliers ? stored(&m->v) : 0) +
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

/* By the kernel's name, less the form that it ends with. */
static const struct {
    const char *name;
    double (*bytes)(const model *m);
} models[] = {{"attend_1_partial", attend},
              {"attend_2_merge", merge},
              {"append_0_gather", gather},
              {"append_block", block},
              {"append_decode", decode},
              {"append_1_moments", moments},
              {"append_1_order", order},
              {"append_1_norms", norms},
              {"append_1_reorder", reorder},
              {"append_1_rotate", rotation},
              {"append_1_outliers_channels", outliers},
              {"append_1_outliers_tokens", outliers},
              {"append_1_outliers_block", outliers},
              {"append_1_marks_channels", marks},
              {"append_1_marks_tokens", marks},
              {"append_2_range_channels", range},
              {"append_2_range_tokens", range},
              {"append_2_range_join", range_join},
              {"append_2_fit", fit},
              {"append_3_quantize", quantize},
              {"append_4_lowrank_whole", lowrank_whole},
              {"append_4_lowrank_block", lowrank_block},
              {"append_4_lowrank_fit", lowrank_fit},
              {"append_4_lowrank_gram", lowrank_gram},
              {"append_4_lowrank_iterate", lowrank_iterate},
              {"append_4_lowrank_project", lowrank_project},
              {"append_4_lowrank_store", lowrank_store},
              {"append_5_count", list_count},
              {"append_5_bases", list_bases},
              {"append_5_store", list_store},
              {"append_5_store_marked", list_store},
              {"append_6_window", window},
              {"upload_lists", lists},
              {"upload", table}};

static size_t length_without_form(const char *stage)
{
    static const char *const forms[] = {"_cpu", "_nvidia"};
    const size_t length = strlen(stage);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; ++i) {
        const size_t form = strlen(forms[i]);
        if (length > form && !strcmp(stage + length - form, forms[i]))
            return length - form;
    }
    return length;
}

uint64_t stage_bytes(const result *r, const char *stage)
{
    const model m = model_of(r, stage);
    const size_t length = length_without_form(stage);
    for (size_t i = 0; i < sizeof models / sizeof *models; ++i)
        if (strlen(models[i].name) == length && starts(stage, models[i].name))
            return (uint64_t)models[i].bytes(&m);
    return 0;
}
