/* generate.c: gear-llm generate: continues a prompt, token by token, from the compressed cache. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "modes.h"
#include "npy.h"
#include "sampler.h"
#include "timer.h"

typedef struct options {
    engine_flags engine;
    const char *prompt, *prompt_file, *logits;
    uint32_t tokens, prompt_tokens;
    float temperature, top_p;
    bool chat, ignore_end;
} options;

enum {
    KEY_PROMPT = 0x800,
    KEY_PROMPT_FILE,
    KEY_PROMPT_TOKENS,
    KEY_TOKENS,
    KEY_TEMPERATURE,
    KEY_TOP_P,
    KEY_CHAT,
    KEY_IGNORE_END,
    KEY_LOGITS
};

static const struct argp_option option_table[] = {
    ENGINE_OPTIONS,
    {"prompt", KEY_PROMPT, "TEXT", 0, "What to continue; control tokens such as <|im_start|> are tokens", 3},
    {"prompt-file", KEY_PROMPT_FILE, "FILE", 0, "The prompt from a file", 0},
    {"prompt-tokens", KEY_PROMPT_TOKENS, "N", 0,
     "Only so many tokens of the prompt; with --synth a random prompt of so many [16]", 0},
    {"chat", KEY_CHAT, NULL, 0, "The prompt is what a user says: put it into the turns of a ChatML dialogue", 0},
    {"tokens", KEY_TOKENS, "N", 0, "Tokens to generate at most [64]", 0},
    {"temperature", KEY_TEMPERATURE, "T", 0, "Draw tokens at this temperature; 0: the likeliest [0]", 0},
    {"top-p", KEY_TOP_P, "P", 0, "Draw from the likeliest tokens that together have this probability [1]", 0},
    {"ignore-end", KEY_IGNORE_END, NULL, 0, "Do not stop where the model ends its text", 0},
    {"logits", KEY_LOGITS, "FILE", 0, "Write the logits behind every token that was computed here, .npy of float32", 0},
    {0}};

static const char doc[] =
    "Continues a prompt. The text goes to standard output as it comes, what it cost to standard error."
    "\v"
    "The prompt is computed exactly and then compressed, as --kv says [gear_2_6]; each new token is attended to from the "
    "cache. "
    "With --synth tokens are numbers.\n\n"
    "bits/value counts all that compressed tokens occupy over the compressed tokens, and again with the 16-bit window over all "
    "tokens.\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_PROMPT: o->prompt = text; return 0;
    case KEY_PROMPT_FILE: o->prompt_file = text; return 0;
    case KEY_PROMPT_TOKENS: o->prompt_tokens = args_u32("prompt-tokens", text, state); return 0;
    case KEY_TOKENS: o->tokens = args_u32("tokens", text, state); return 0;
    case KEY_CHAT: o->chat = true; return 0;
    case KEY_LOGITS: o->logits = text; return 0;
    case KEY_IGNORE_END: o->ignore_end = true; return 0;
    case KEY_TEMPERATURE:
        o->temperature = args_float("temperature", text, state);
        if (o->temperature < 0)
            argp_failure(state, EXIT_INPUT, 0, "--temperature: '%s' is below 0", text);
        return 0;
    case KEY_TOP_P:
        o->top_p = args_float("top-p", text, state);
        if (!(o->top_p > 0 && o->top_p <= 1))
            argp_failure(state, EXIT_INPUT, 0, "--top-p: '%s' is not above 0 and at most 1", text);
        return 0;
    case ARGP_KEY_END:
        if (!o->tokens)
            argp_failure(state, EXIT_INPUT, 0, "--tokens: 0 tokens are nothing to do");
        if (o->engine.synth ? o->prompt || o->prompt_file : !o->prompt == !o->prompt_file)
            argp_failure(state, EXIT_INPUT, 0,
                         "one of --prompt and --prompt-file is needed with --model, and none with --synth");
        return engine_parse(&o->engine, key, text, state);
    default: return engine_parse(&o->engine, key, text, state);
    }
}

/* What one run works with. */
typedef struct run {
    engine e;
    forward *f;
    kv_cache kv;
    gear_sequence sequence;
    sampler s;
    float *logits; /* of the last call: [rows of it][vocabulary] */
    float *kept;   /* of all tokens so far, with --logits */
    size_t num_kept;
    out_file logits_file, json;
    token_list prompt;
    uint32_t generated, steps; /* tokens printed; forward passes between them */
    double prefill_ms, decode_ms;
    uint64_t peak;
} run;

static bool random_prompt(const options *o, run *r, host_error *error)
{
    uint32_t count = o->prompt_tokens ? o->prompt_tokens : 16;
    uint64_t state = o->engine.seed;
    for (uint32_t i = 0; i < count; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (!token_list_push(&r->prompt, (uint32_t)((state >> 33) % r->e.m.vocabulary)))
            return fail(error, EXIT_DEVICE, "host memory exhausted");
    }
    return true;
}

/* Whether the marks of ChatML are tokens of the model. */
static bool knows_turns(const engine *e)
{
    static const char *const marks[] = {"<|im_start|>", "<|im_end|>"};
    bool known = true;
    for (int i = 0; i < 2; ++i) {
        token_list list = {0};
        host_error unused = {0};
        known = known && tokenizer_encode(e->tokens, marks[i], strlen(marks[i]), true, &list, &unused) && list.count == 1;
        token_list_free(&list);
    }
    return known;
}

static bool encode(const options *o, run *r, const char *text, size_t size, host_error *error)
{
    host_error why = {0};
    return engine_encode(&r->e, text, size, true, &r->prompt, &why) ||
           fail_in(error, o->prompt_file ? o->prompt_file : "--prompt", &why);
}

static bool encode_prompt(const options *o, run *r, const char *text, size_t size, host_error *error)
{
    static const char before[] = "<|im_start|>user\n", after[] = "<|im_end|>\n<|im_start|>assistant\n";
    if (!o->chat)
        return encode(o, r, text, size, error);
    if (!knows_turns(&r->e))
        return fail(error, EXIT_INPUT, "--chat: the model has no tokens <|im_start|> and <|im_end|>");
    char *turns = malloc(sizeof before + size + sizeof after);
    if (!turns)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    memcpy(turns, before, sizeof before - 1);
    memcpy(turns + sizeof before - 1, text, size);
    memcpy(turns + sizeof before - 1 + size, after, sizeof after - 1);
    bool ok = encode(o, r, turns, size + sizeof before + sizeof after - 2, error);
    free(turns);
    return ok;
}

static bool make_prompt(const options *o, run *r, host_error *error)
{
    char *text = NULL;
    size_t size = 0;
    if (o->engine.synth)
        return random_prompt(o, r, error);
    if (o->prompt_file && !engine_read_file(o->prompt_file, &text, &size, error))
        return false;
    bool ok =
        o->prompt_file ? encode_prompt(o, r, text, size, error) : encode_prompt(o, r, o->prompt, strlen(o->prompt), error);
    free(text);
    if (ok && o->prompt_tokens && o->prompt_tokens < r->prompt.count)
        r->prompt.count = o->prompt_tokens;
    return ok && (r->prompt.count || fail(error, EXIT_INPUT, "the prompt is empty"));
}

/* Room for the logits of all positions, and the file that they go to. */
static bool keep_logits(const options *o, run *r, uint64_t positions, host_error *error)
{
    r->kept = malloc(positions * r->e.m.vocabulary * sizeof *r->kept);
    return r->kept ? out_open(&r->logits_file, o->logits, error) : fail(error, EXIT_DEVICE, "host memory exhausted");
}

static bool prepare(const options *o, run *r, host_error *error)
{
    if (!engine_open(&o->engine, GEAR_PRESET_DEFAULT, &r->e, error) || !make_prompt(o, r, error))
        return false;
    const uint64_t positions = (uint64_t)r->prompt.count + o->tokens;
    if (r->e.specs.count != 1)
        return fail(error, EXIT_INPUT, "--kv: generate takes one SPEC");
    if (positions > r->e.m.context)
        return fail(error, EXIT_INPUT, "the prompt's %zu tokens and %u new ones are more than the model's context of %u",
                    r->prompt.count, o->tokens, r->e.m.context);
    const uint32_t count = (uint32_t)r->prompt.count;
    const forward_limits limits = {count, 1, o->logits ? count : 1, (uint32_t)positions};
    const kv_size size = {1, positions, 64};
    r->logits = malloc((size_t)limits.logits * r->e.m.vocabulary * sizeof *r->logits);
    if (!r->logits)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    if (o->engine.json && !out_open(&r->json, o->engine.json, error))
        return false;
    if (o->logits && !keep_logits(o, r, positions, error))
        return false;
    return sampler_create(r->e.m.vocabulary, o->temperature, o->top_p, o->engine.seed, &r->s, error) &&
           forward_create(&r->e.dev, r->e.k, &r->e.m, &r->e.w, &limits, &r->f, error) &&
           kv_cache_create(r->e.context, &r->e.m, &r->e.specs.items[0], &size, &r->kv, error) &&
           kv_cache_add(&r->kv, &r->sequence, error);
}

/* The next token, from the last of `rows` rows of logits. */
static bool pick(run *r, uint32_t rows, uint32_t *token, host_error *error)
{
    const size_t vocabulary = r->e.m.vocabulary;
    if (!(r->s.temperature > 0) && !r->kept) {
        *token = 0;
        return forward_top1(r->f, token, error);
    }
    if (!forward_logits(r->f, r->logits, error))
        return false;
    if (r->kept)
        memcpy(r->kept + r->num_kept * vocabulary, r->logits, rows * vocabulary * sizeof *r->kept);
    r->num_kept += r->kept ? rows : 0;
    *token = sampler_pick(&r->s, r->logits + (rows - 1) * vocabulary);
    return true;
}

static void print_token(const run *r, uint32_t token)
{
    size_t size = 0;
    const char *piece = r->e.tokens ? tokenizer_piece(r->e.tokens, token, &size) : NULL;
    if (piece)
        (void)fwrite(piece, 1, size, stdout);
    else
        printf(" %u", token);
    (void)fflush(stdout);
}

static bool sample_bytes(run *r, host_error *error)
{
    kv_usage usage;
    if (!kv_cache_usage(&r->kv, &r->sequence, 1, &usage, error))
        return false;
    uint64_t used = usage.bytes.total - usage.bytes.unused - usage.bytes.scratch;
    r->peak = used > r->peak ? used : r->peak;
    return true;
}

static bool prefill(run *r, host_error *error)
{
    const uint32_t count = (uint32_t)r->prompt.count, first = r->kept ? 0 : count - 1;
    const forward_target target = {&r->kv, &r->sequence};
    uint32_t *rows = malloc(count * sizeof *rows);
    if (!rows)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    for (uint32_t i = first; i < count; ++i)
        rows[i - first] = i;
    const forward_batch batch = {1, &count, NULL, r->prompt.ids, rows, count - first};
    const double start = timer_ms();
    bool ok = forward_prompt(r->f, &target, 1, &batch, error) && cl_ok(clFinish(r->e.dev.queue), "clFinish", error) &&
              sample_bytes(r, error);
    r->prefill_ms = timer_ms() - start;
    free(rows);
    return ok;
}

static bool decode(const options *o, run *r, host_error *error)
{
    const uint32_t one = 1, row = 0;
    const double start = timer_ms();
    for (uint32_t i = 0; i < o->tokens; ++i) {
        uint32_t token, position = (uint32_t)r->prompt.count + i;
        if (!pick(r, i || !r->kept ? 1 : (uint32_t)r->prompt.count, &token, error))
            return false;
        if (!o->ignore_end && r->e.tokens && tokenizer_is_end(r->e.tokens, token))
            break;
        print_token(r, token);
        ++r->generated;
        const forward_batch batch = {1, &one, &position, &token, &row, 1};
        if (i + 1 == o->tokens)
            break;
        if (!forward_step(r->f, &r->kv, &r->sequence, &batch, error) || !sample_bytes(r, error))
            return false;
        ++r->steps;
    }
    r->decode_ms = timer_ms() - start;
    printf("\n");
    return stdout_ok(error) && (!r->kept || npy_write(r->kept, r->num_kept, r->e.m.vocabulary, &r->logits_file, error));
}

/* NaN where nothing was computed. */
static double per_second(uint32_t tokens, double ms)
{
    return tokens && ms > 0 ? tokens / ms * 1e3 : NAN;
}

static bool report(const options *o, run *r, host_error *error)
{
    kv_usage usage;
    if (!kv_cache_usage(&r->kv, &r->sequence, 1, &usage, error))
        return false;
    const uint64_t used = usage.bytes.total - usage.bytes.unused - usage.bytes.scratch;
    const double prefill_rate = per_second((uint32_t)r->prompt.count, r->prefill_ms);
    const double decode_rate = per_second(r->steps, r->decode_ms);
    char bits[16], decode_text[24];
    report_number(usage.bits_per_value, 3, bits, sizeof bits);
    report_number(decode_rate, 1, decode_text, sizeof decode_text);
    fprintf(stderr,
            "%s, %s: prompt of %zu tokens, %.1f tokens/s; %u tokens generated, %s tokens/s\n"
            "cache: %llu bytes in use, %llu at peak, %llu allocated; %s bits/value compressed, %.3f with the window\n",
            r->e.specs.items[0].name, r->kv.plan.variant, r->prompt.count, prefill_rate, r->generated, decode_text,
            (unsigned long long)used, (unsigned long long)r->peak, (unsigned long long)usage.bytes.total, bits,
            usage.bits_with_window);
    if (!r->json.stream)
        return true;
    json_t *root =
        json_pack("{so so ss sI sI so so so so so sI sI so}", "device", report_device(&r->e.dev), "model",
                  engine_json(&r->e, &o->engine), "kv", r->e.specs.items[0].name, "prompt_tokens", (json_int_t)r->prompt.count,
                  "generated_tokens", (json_int_t)r->generated, "prefill_ms", report_real(r->prefill_ms), "decode_ms",
                  report_real(r->decode_ms), "prefill_tokens_per_second", report_real(prefill_rate), "decode_tokens_per_second",
                  report_real(decode_rate), "bits_per_value", report_real(usage.bits_per_value), "bytes_in_use",
                  (json_int_t)used, "bytes_peak", (json_int_t)r->peak, "bytes", report_bytes(&usage.bytes));
    bool ok = report_write(root, &r->json, error);
    json_decref(root);
    return ok;
}

int mode_generate(int argc, char **argv)
{
    static char program[] = "gear-llm generate";
    options o = {.engine.seed = 1, .tokens = 64, .top_p = 1};
    run r = {0};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, true};
    command_line(&command, argc, argv, &o, &o.engine.command);
    bool ok = prepare(&o, &r, &error) && prefill(&r, &error) && decode(&o, &r, &error) && report(&o, &r, &error);
    kv_cache_free(&r.kv);
    forward_destroy(r.f);
    sampler_free(&r.s);
    out_discard(&r.logits_file);
    out_discard(&r.json);
    free(r.kept);
    free(r.logits);
    token_list_free(&r.prompt);
    engine_close(&r.e);
    return ok ? 0 : report_failure(program, &error);
}
