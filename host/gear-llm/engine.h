/* engine.h: what every mode of gear-llm opens: device, library, model, weights, tokenizer, the caches' specs; and the flags
 * that name them. */
#ifndef GEAR_LLM_ENGINE_H
#define GEAR_LLM_ENGINE_H

#include "command_line.h"
#include "forward.h"
#include "report.h"
#include "tokenizer.h"

typedef struct engine_flags {
    const char *model, *synth, *kv, *json;
    uint32_t seed; /* of synthetic weights, of sampling, of synthetic text */
    command_flags command;
} engine_flags;

/* The flags of all modes, for a table of argp options, and their parser: ARGP_ERR_UNKNOWN for a key that is not theirs. At
 * ARGP_KEY_END it checks that there is one model, and sets what is missing. */
enum { ENGINE_KEY_MODEL = 0x700, ENGINE_KEY_SYNTH, ENGINE_KEY_KV, ENGINE_KEY_JSON, ENGINE_KEY_SEED, ENGINE_KEY_END };
#define ENGINE_OPTIONS                                                                                                         \
  {"model", ENGINE_KEY_MODEL, "FILE", 0, "Model of the Llama architecture, GGUF", 1},                                          \
      {"synth",                                                                                                                \
       ENGINE_KEY_SYNTH,                                                                                                       \
       "GEOMETRY",                                                                                                             \
       0,                                                                                                                      \
       "Random weights instead: tiny, smollm2-135m, llama-7b, llama3-8b, or d=..,layers=..,heads=..,kv=..,head_dim=..,"        \
       "ff=..,vocab=..; with type=q4_1 (as is) or f16",                                                                        \
       1},                                                                                                                     \
      {"kv",                                                                                                                   \
       ENGINE_KEY_KV,                                                                                                          \
       "SPEC,...",                                                                                                             \
       0,                                                                                                                      \
       "How the cache stores tokens: 16, a preset, BACKBONE BITS [+L|+S|+LS] (kivi2+LS), or a codec file (FILE.json)",         \
       1},                                                                                                                     \
      {"seed", ENGINE_KEY_SEED, "N", 0, "Seed of all that is random [1]", 1},                                                  \
  {                                                                                                                            \
    "json", ENGINE_KEY_JSON, "FILE", 0, "Also write the results here", 2                                                       \
  }
error_t engine_parse(engine_flags *flags, int key, char *text, struct argp_state *state);

typedef struct engine {
    device dev;
    gear_context *context;
    kernels *k;
    gguf *file;        /* NULL: synthetic */
    tokenizer *tokens; /* NULL: synthetic */
    model m;
    weights w;
    kv_spec_list specs;
} engine;

/* Opens all of it; on failure engine_close is still the caller's. `default_kv` serves where --kv is not given. */
bool engine_open(const engine_flags *flags, const char *default_kv, engine *out, host_error *error);
/* All zero is harmless. */
void engine_close(engine *e);

/* Appends the tokens of a text, the beginning of the sequence in front where the model wants one. With synthetic weights there
 * is no tokenizer: refused. */
bool engine_encode(const engine *e, const char *text, size_t size, bool special, token_list *out, host_error *error);

/* Reads a whole file; the caller frees. NUL behind the end. */
bool engine_read_file(const char *path, char **text, size_t *size, host_error *error);

/* {"name", "parameters", "layers", ...} */
json_t *engine_json(const engine *e, const engine_flags *flags);

#endif
