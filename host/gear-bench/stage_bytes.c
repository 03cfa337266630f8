/* stage_bytes.c: what each stage must move, the model behind its GB/s; docs/benchmarks.md states it in words. Per value of a
 * side: the input and the staged copy take 2 bytes, the mask 1, the residual 2 where there is a low-rank part or outliers. */
#include <string.h>

#include "result.h"

typedef struct side {
    double values; /* compressed by the verb */
    double residual;
    bool mixed, rank, outliers;
} side;

static side side_of(const result *r, const gear_codec *codec)
{
    side s = {.values = (double)r->compressed * r->shape.kv_heads * r->shape.head_dim,
              .mixed = codec->backbone == GEAR_BACKBONE_MIXED,
              .rank = codec->rank_prompt != 0,
              .outliers = codec->outlier_fraction > 0};
    s.residual = s.rank || s.outliers ? 2 * s.values : 0;
    return s;
}

/* Of the compressed tokens, those in the segments that open their sequences; segments of a prompt have up to 4096. */
static double opening_share(const result *r)
{
    double tokens = (double)r->compressed / r->shape.batch;
    return r->shape.decode ? 0 : tokens > 4096 ? 4096 / tokens : 1;
}

static bool starts(const char *stage, const char *with)
{
    return !strncmp(stage, with, strlen(with));
}

/* Bytes of the sides whose low rank is one launch (append_4_lowrank_fit, where the device has it: ranks up to 4), or of the
 * others: residual, read once, and what is stored, shared out by ranks. */
typedef struct lowrank_bytes {
    double residual, stored;
} lowrank_bytes;

static lowrank_bytes lowrank_of(const result *r, const side *k, const side *v, bool in_one)
{
    const gear_codec *codecs[] = {&r->shape.recipe.codecs.k, &r->shape.recipe.codecs.v};
    const double residual[] = {k->rank ? k->residual : 0, v->rank ? v->residual : 0};
    const double ranks = (double)codecs[0]->rank_prompt + codecs[1]->rank_prompt;
    lowrank_bytes bytes = {0, 0};
    bool has_fit = false;
    for (size_t i = 0; i < r->time.stages.count; ++i)
        has_fit = has_fit || starts(r->time.stages.items[i].name, "append_4_lowrank_fit");
    for (size_t s = 0; s < 2; ++s)
        if ((has_fit && codecs[s]->rank_prompt <= 4 && codecs[s]->rank_decode <= 4) == in_one && residual[s] > 0) {
            bytes.residual += residual[s];
            bytes.stored += (double)r->bytes.lowrank * codecs[s]->rank_prompt / ranks;
        }
    return bytes;
}

/* Which side a stage of the groups along channels or tokens works on. */
static double by_axis(const char *stage, const gear_codec_pair *codecs, double k, double v)
{
    bool both_tokens = codecs->k.backbone == GEAR_BACKBONE_TOKEN;
    return strstr(stage, "channels") ? (both_tokens ? 0 : k) : strstr(stage, "tokens") ? v + (both_tokens ? k : 0) : k + v;
}

uint64_t stage_bytes(const result *r, const char *stage)
{
    const gear_codec_pair *codecs = &r->shape.recipe.codecs;
    side k = side_of(r, &codecs->k), v = side_of(r, &codecs->v);
    double bytes = 0, both = k.values + v.values;
    lowrank_bytes joined = lowrank_of(r, &k, &v, true), apart = lowrank_of(r, &k, &v, false);
    if (r->verb == VERB_ATTEND)
        bytes = starts(stage, "attend_1") ? (double)r->moved : 0;
    else if (starts(stage, "append_0_gather"))
        bytes = (2 + 2 + 1) * both;
    else if (starts(stage, "append_block"))
        bytes =
            2 * both + (double)r->bytes.codes + (double)r->bytes.scales + (k.rank ? k.residual : 0) + (v.rank ? v.residual : 0);
    else if (starts(stage, "append_1_moments"))
        bytes = k.mixed ? 2 * k.values * opening_share(r) : 0;
    else if (starts(stage, "append_1_norms"))
        bytes = 2 * both;
    else if (starts(stage, "append_1_transform"))
        bytes = 4 * ((k.mixed ? k.values : 0) + (codecs->v.rotate ? v.values : 0));
    else if (starts(stage, "append_1_outliers"))
        bytes = 3 * by_axis(stage, codecs, k.outliers ? k.values : 0, v.outliers ? v.values : 0);
    else if (starts(stage, "append_2"))
        bytes = 3 * by_axis(stage, codecs, k.values, v.values);
    else if (starts(stage, "append_3_quantize"))
        bytes = 3 * both + (double)r->bytes.codes + k.residual + v.residual;
    else if (starts(stage, "append_4_lowrank_store"))
        bytes = apart.stored;
    else if (starts(stage, "append_4_lowrank_fit"))
        bytes = 2 * joined.residual + joined.stored;
    else if (starts(stage, "append_4_lowrank_gram") || starts(stage, "append_4_lowrank_project"))
        bytes = apart.residual;
    else if (starts(stage, "append_4_lowrank") && !starts(stage, "append_4_lowrank_iterate"))
        bytes = (k.rank ? k.residual : 0) + (v.rank ? v.residual : 0) + (double)r->bytes.lowrank;
    else if (starts(stage, "append_5_store"))
        bytes = (k.outliers ? k.values : 0) + (v.outliers ? v.values : 0) + (double)r->bytes.outliers;
    else if (starts(stage, "append_6_window"))
        bytes = 2 * (double)r->bytes.window;
    return (uint64_t)bytes;
}
