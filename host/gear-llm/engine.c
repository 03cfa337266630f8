/* engine.c: opens what the modes share, see engine.h. */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

error_t engine_parse(engine_flags *flags, int key, char *text, struct argp_state *state)
{
    switch (key) {
    case ENGINE_KEY_MODEL: flags->model = text; return 0;
    case ENGINE_KEY_SYNTH: flags->synth = text; return 0;
    case ENGINE_KEY_KV: flags->kv = text; return 0;
    case ENGINE_KEY_JSON: flags->json = text; return 0;
    case ENGINE_KEY_SEED: flags->seed = args_u32("seed", text, state); return 0;
    case ARGP_KEY_ARG: argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option", text); return 0;
    case ARGP_KEY_END:
        if (!flags->model == !flags->synth)
            argp_failure(state, EXIT_INPUT, 0, "one of --model FILE and --synth GEOMETRY is needed; see --help");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static bool open_model(const engine_flags *flags, engine *e, host_error *error)
{
    if (flags->synth)
        return model_synthesize(flags->synth, flags->seed, &e->m, error);
    if (!gguf_open(flags->model, &e->file, error) || !model_open(e->file, &e->m, error) ||
        !tokenizer_create(e->file, &e->tokens, error))
        return false;
    return tokenizer_size(e->tokens) <= e->m.vocabulary || fail(error, EXIT_INPUT, "%s: %u tokens, but embeddings for %u",
                                                                flags->model, tokenizer_size(e->tokens), e->m.vocabulary);
}

bool engine_open(const engine_flags *flags, const char *default_kv, engine *out, host_error *error)
{
    *out = (engine){0};
    char *programs = args_program_cache(&flags->command.device);
    bool ok = open_model(flags, out, error) &&
              kv_spec_parse_list(flags->kv ? flags->kv : default_kv, &flags->command.codec, out->m.layers, out->m.head_dim,
                                 &out->specs, error) &&
              open_device(flags->command.device.device, &out->dev, error) &&
              open_library(&out->dev, programs, &out->context, error) && kernels_create(&out->dev, &out->k, error) &&
              weights_create(&out->dev, out->k, &out->m, &out->w, error);
    free(programs);
    return ok;
}

void engine_close(engine *e)
{
    weights_free(&e->w);
    kernels_destroy(e->k);
    gear_context_destroy(e->context);
    close_device(&e->dev);
    kv_spec_list_free(&e->specs);
    tokenizer_destroy(e->tokens);
    model_free(&e->m);
    gguf_close(e->file);
    *e = (engine){0};
}

bool engine_encode(const engine *e, const char *text, size_t size, bool special, token_list *out, host_error *error)
{
    if (!e->tokens)
        return fail(error, EXIT_INPUT, "a synthetic model has no tokenizer: text needs --model");
    if (tokenizer_adds_bos(e->tokens) && tokenizer_bos(e->tokens) != TOKEN_NONE &&
        !token_list_push(out, tokenizer_bos(e->tokens)))
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    return tokenizer_encode(e->tokens, text, size, special, out, error);
}

bool engine_read_file(const char *path, char **text, size_t *size, host_error *error)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t used = 0, room = 0;
    bool ok = file || fail(error, EXIT_INPUT, "%s: %s", path, strerror(errno));
    while (ok) {
        if (room - used < 2) {
            room = room ? 2 * room : 65536;
            char *grown = realloc(bytes, room);
            ok = grown || fail(error, EXIT_DEVICE, "host memory exhausted");
            bytes = grown ? grown : bytes;
            continue;
        }
        size_t got = fread(bytes + used, 1, room - used - 1, file);
        used += got;
        if (!got)
            break;
    }
    if (ok && ferror(file))
        ok = fail(error, EXIT_INPUT, "%s: cannot read: %s", path, strerror(errno));
    if (file)
        (void)fclose(file);
    if (!ok) {
        free(bytes);
        return false;
    }
    bytes[used] = 0;
    *text = bytes;
    *size = used;
    return true;
}

json_t *engine_json(const engine *e, const engine_flags *flags)
{
    const model *m = &e->m;
    return json_pack("{ss sI sI sI sI sI sI sI sI}", "name", flags->model ? flags->model : flags->synth, "parameters",
                     (json_int_t)model_parameters(m), "weight_bytes", (json_int_t)e->w.bytes, "layers", (json_int_t)m->layers,
                     "width", (json_int_t)m->width, "heads", (json_int_t)m->heads, "kv_heads", (json_int_t)m->kv_heads,
                     "head_dim", (json_int_t)m->head_dim, "vocabulary", (json_int_t)m->vocabulary);
}
