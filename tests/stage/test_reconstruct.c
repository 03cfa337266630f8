/* test_reconstruct.c: dense values of ranges of every sequence: exact tokens, blocks, window. D alone is the reference's bit
 * for bit; D + L + S within the rounding of two float32 sums, which a device may contract. Gaps between rows stay as they
 * are. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "stage_world.h"

typedef struct dense {
    stage_world *world;
    stage_buffer list, out;
    float *values; /* the reference's */
} dense;

static uint32_t tiles_of(const stage_seq *seq)
{
    return seq->blocks + (seq->blocks && seq->exact && seq->first) + (seq->length - seq->first + 63) / 64;
}

/* What a value may be off by, in units of the largest one. */
static float allowed(gear_type type)
{
    return type == GEAR_F32 ? 0x1p-22f : type == GEAR_F16 ? 0x1p-10f : 0x1p-7f;
}

static void check_range(dense *t, const stage_seq *seq, uint32_t is_v, uint32_t first, uint32_t count, gear_type type)
{
    stage_world *w = t->world;
    const gear__side *side = &w->shape.side[is_v];
    uint32_t d = w->c->head_dim, heads = w->c->kv_heads, element = stage_element(type), words[GEAR__SEQ_WORDS];
    int exact = !side->rank[0] && !side->rank[1] && side->outlier_fraction <= 0;
    gear__tensor out = {
        .offset = 3 * element, .stride_token = d + 5, .stride_head = (d + 5) * count + 2, .type = (cl_uint)type};
    uint32_t blocks = first < seq->first ? seq->blocks : 0;
    uint32_t others = first < seq->first ? blocks : tiles_of(seq) - (seq->length - seq->first + 63) / 64;
    gear__ref_store store = stage_ref_store(w);
    float largest = 0;
    stage_seq_words(seq, words);
    gear__ref_reconstruct(&store, words, is_v, first, count, t->values);
    stage_buffer_make(w->bench, &t->out, (size_t)(out.offset + heads * out.stride_head * element));
    stage_put(w->bench, &t->out);
    out.mem = t->out.mem;
    /* Blocks last: a block that wrote exact tokens would be seen. One tile too many must do nothing. */
    STAGE_LAUNCH(w->bench, gear__reconstruct(&stream, &w->layer, t->list.mem, is_v, first, count, others,
                                             tiles_of(seq) - others + 1, &out, &error));
    STAGE_LAUNCH(w->bench, gear__reconstruct(&stream, &w->layer, t->list.mem, is_v, first, count, 0, blocks, &out, &error));
    for (uint32_t i = 0; i < heads * count * d; i++) {
        largest = fmaxf(largest, fabsf(t->values[i]));
        stage_store(t->out.host + out.offset, i / (count * d) * out.stride_head + i / d % count * out.stride_token + i % d,
                    type, t->values[i]);
    }
    uint8_t *got = stage_get(w->bench, &t->out);
    for (uint32_t i = 0; i < heads * count * d; i++) {
        uint64_t at = i / (count * d) * out.stride_head + i / d % count * out.stride_token + i % d;
        float value = stage_load(got + out.offset, at, type),
              off = fabsf(value - stage_load(t->out.host + out.offset, at, type));
        STAGE_EXPECT(exact ? off == 0 : off <= allowed(type) * largest, "%s, %s: element %u is off by %g", w->c->name,
                     is_v ? "V" : "K", i, (double)off);
        stage_store(t->out.host + out.offset, at, type, value);
    }
    stage_same_bytes(got, t->out.host, t->out.bytes, "gaps");
    free(got);
}

static void check_sequence(dense *t, const stage_seq *seq)
{
    uint32_t words[GEAR__SEQ_WORDS], n = seq->length, type = seq->slot;
    stage_seq_words(seq, words);
    stage_buffer_make(t->world->bench, &t->list, sizeof words);
    for (uint32_t i = 0; i < GEAR__SEQ_WORDS; i++) {
        ((uint32_t *)(void *)t->list.host)[i] = words[i];
    }
    stage_put(t->world->bench, &t->list);
    t->values = malloc((size_t)n * t->world->c->kv_heads * t->world->c->head_dim * sizeof(float));
    cr_assert_not_null(t->values);
    for (uint32_t is_v = 0; is_v < 2; is_v++) {
        check_range(t, seq, is_v, 0, n, GEAR_F32);
        if (stage_tiny()) {
            continue;
        }
        check_range(t, seq, is_v, n / 3, n - n / 2, (gear_type)(type++ % 3));
        check_range(t, seq, is_v, n - 1, 1, (gear_type)(type++ % 3));
    }
    free(t->values);
    stage_buffer_free(&t->list);
    stage_buffer_free(&t->out);
}

static void check(stage_world *world)
{
    for (uint32_t s = 0; s < STAGE_SEQS; s++) {
        dense t = {.world = world};
        check_sequence(&t, &world->seqs[s]);
    }
}

Test(reconstruct, equals_the_reference)
{
    stage_run_readers("reconstruct", STAGE_SMOOTH, STAGE_TIES, 1ull << GEAR__KERNEL_RECONSTRUCT, check);
}
