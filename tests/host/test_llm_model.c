/* test_llm_model.c: synthetic geometries, whose numbers of parameters are those of the models that they are named after,
 * and geometries of files that are refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../host/gear-llm/model.h"
#include "gguf_build.h"

static model synthesize(const char *geometry)
{
    host_error error = {0};
    model m;
    cr_assert(model_synthesize(geometry, 1, &m, &error), "%s: %s", geometry, error.text);
    return m;
}

static void refuse(const char *geometry, const char *part)
{
    host_error error = {0};
    model m = {0};
    cr_assert_not(model_synthesize(geometry, 1, &m, &error), "'%s' was taken", geometry);
    cr_assert_eq(error.exit_code, EXIT_INPUT);
    cr_assert(strstr(error.text, part), "'%s': %s", geometry, error.text);
}

Test(llm_model, parameters_of_named_geometries)
{
    static const struct {
        const char *name;
        uint64_t parameters;
    } cases[] = {{"smollm2-135m", 134515008}, {"llama-7b", 6738415616}, {"llama3-8b", 8030261248}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        model m = synthesize(cases[i].name);
        cr_assert_eq(model_parameters(&m), cases[i].parameters, "%s: %llu", cases[i].name,
                     (unsigned long long)model_parameters(&m));
        model_free(&m);
    }
}

Test(llm_model, fields_and_types)
{
    model m = synthesize("d=128,layers=3,heads=4,kv=2,head_dim=80,ff=256,vocab=77,type=f16,context=99");
    cr_assert_eq(m.layers, 3);
    cr_assert_eq(m.head_dim, 80);
    cr_assert_eq(m.context, 99);
    cr_assert_eq(m.output, m.embedding, "the head is tied");
    const gguf_tensor *k = m.layer[2].tensors[MODEL_K], *norm = m.layer[0].tensors[MODEL_FEED_NORM];
    cr_assert_eq(k->type, GGUF_F16);
    cr_assert_eq(k->shape[0], 128);
    cr_assert_eq(k->shape[1], 160);
    cr_assert_eq(k->bytes, 128 * 160 * 2);
    cr_assert_null(k->data);
    cr_assert_eq(norm->type, GGUF_F32);
    model_free(&m);

    m = synthesize("llama3-8b,layers=2");
    cr_assert_eq(m.layers, 2);
    cr_assert_eq(m.embedding->type, GGUF_Q4_1);
    cr_assert_neq(m.output, m.embedding);
    model_free(&m);
}

Test(llm_model, what_is_no_geometry_is_named)
{
    refuse("", "''");
    refuse("llama", "'llama'");
    refuse("tiny,", "''");
    refuse("tiny,layers", "'layers'");
    refuse("tiny,layers=0", "'layers=0'");
    refuse("tiny,layers=9999999999", "'layers=9999999999'");
    refuse("tiny,layers=2x", "'layers=2x'");
    refuse("tiny,type=q8_0", "'type=q8_0'");
    refuse("layers=2,tiny", "'tiny'");
    refuse("layers=2", "needs d");
    refuse("tiny,heads=3,kv=2", "must divide");
    refuse("tiny,ff=100", "multiples of 32");
}

/* A file without tensors whose heads have so many channels. */
static void refuse_head_dim(uint32_t head_dim)
{
    gguf_build b = {0};
    char reason[64];
    build_start(&b, 3);
    build_key_string(&b, "general.architecture", "llama");
    build_key_u32(&b, "llama.block_count", 1);
    build_key_u32(&b, "llama.embedding_length", 64);
    build_key_u32(&b, "llama.feed_forward_length", 32);
    build_key_u32(&b, "llama.context_length", 480);
    build_key_u32(&b, "llama.attention.head_count", 64);
    if (head_dim != 1) {
        build_key_u32(&b, "llama.attention.key_length", head_dim);
        build_key_u32(&b, "llama.attention.value_length", head_dim);
    }
    opened_copy opened = open_copy(b.bytes, b.size);
    cr_assert_not_null(opened.file, "%s", opened.error.text);
    host_error error = {0};
    model m = {0};
    cr_assert_not(model_open(opened.file, &m, &error), "head_dim %u was taken", head_dim);
    snprintf(reason, sizeof reason, "a head is %u, not a multiple of 16", head_dim);
    expect_refusal(&error, reason);
    close_copy(&opened);
    build_free(&b);
}

Test(llm_model, head_dim_of_a_file_is_a_multiple_of_16)
{
    refuse_head_dim(1);
    refuse_head_dim(2);
    refuse_head_dim(63);
    refuse_head_dim(72);
}
