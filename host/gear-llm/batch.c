/* batch.c: gear-llm batch: the largest batch whose cache fits a memory budget, and how fast it decodes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "modes.h"
#include "timer.h"

typedef struct options {
    engine_flags engine;
    uint64_t memory;
    uint32_t context, steps, most;
} options;

enum { MOST_SEQUENCES = 65536 };
enum { KEY_MEMORY = 0x800, KEY_CONTEXT, KEY_STEPS, KEY_MOST };

static const struct argp_option option_table[] = {
    ENGINE_OPTIONS,
    {"memory", KEY_MEMORY, "BYTES", 0, "Device memory that the cache may take: a number, with K, M or G for 2^10, 2^20, 2^30",
     3},
    {"context", KEY_CONTEXT, "N", 0, "Tokens in the cache of each sequence before decoding [4000]", 0},
    {"steps", KEY_STEPS, "N", 0, "Decoding steps that are timed, behind one that is not [64]", 0},
    {"most", KEY_MOST, "N", 0, "No batch larger than this [4096]", 0},
    {0}};

static const char doc[] =
    "Finds the largest batch whose cache fits a memory budget, for each way to store it, and decodes with it."
    "\v"
    "The budget is for the cache alone: all that the library allocates for it, staging included, as it says before it "
    "allocates. "
    "The batch is then really made: every sequence gets --context tokens of random keys and values, which are compressed as a "
    "prompt, "
    "and --steps tokens are decoded for all sequences at once, each step from the embedding to the likeliest token.\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

/* "512M"; 0 where it is no such number, or one below 1 or beyond 2^63. */
static uint64_t parse_bytes(const char *text)
{
    static const char units[] = "KMG";
    char *end = NULL;
    double value = strtod(text, &end);
    const char *unit = end != text && *end ? strchr(units, *end) : NULL;
    if (end == text || (*end && (!unit || end[1])))
        return 0;
    value = ldexp(value, unit ? 10 * (int)(unit - units + 1) : 0);
    return value >= 1 && value < 0x1p63 ? (uint64_t)value : 0;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_MEMORY:
        o->memory = parse_bytes(text);
        if (!o->memory)
            argp_failure(state, EXIT_INPUT, 0, "--memory: '%s' is not a number of bytes such as 512M", text);
        return 0;
    case KEY_CONTEXT: o->context = args_u32("context", text, state); return 0;
    case KEY_STEPS: o->steps = args_u32("steps", text, state); return 0;
    case KEY_MOST: o->most = args_u32("most", text, state); return 0;
    case ARGP_KEY_END:
        if (!o->memory)
            argp_failure(state, EXIT_INPUT, 0, "--memory BYTES is needed; see --help");
        if (!o->context || !o->steps || !o->most)
            argp_failure(state, EXIT_INPUT, 0, "--context, --steps and --most are at least 1");
        if (o->most > MOST_SEQUENCES)
            argp_failure(state, EXIT_INPUT, 0, "--most: %u is beyond %d", o->most, MOST_SEQUENCES);
        return engine_parse(&o->engine, key, text, state);
    default: return engine_parse(&o->engine, key, text, state);
    }
}

typedef struct result {
    const kv_spec *spec;
    uint32_t batch;
    double fill_ms, step_ms;
    uint64_t device_bytes; /* weights, activations and cache */
    kv_usage usage;
    char variant[32];
} result;

/* One batch under test. */
typedef struct trial {
    const options *o;
    engine *e;
    kv_cache kv;
    forward *f;
    gear_sequence *sequences;
    uint32_t *words; /* [4][batch]: tokens, positions, ids, wanted rows */
    cl_mem keys, values;
} trial;

static kv_size size_of(const options *o, uint32_t sequences)
{
    return (kv_size){sequences, (uint64_t)o->context + o->steps + 1, 1};
}

/* Whether the cache of so many sequences stays within the budget. What the device cannot hold at all does not. */
static bool fits(const options *o, engine *e, const kv_spec *spec, uint32_t sequences, bool *yes, host_error *error)
{
    gear_cache_plan plan;
    host_error why = {0};
    const kv_size size = size_of(o, sequences);
    if (kv_cache_query(e->context, &e->m, spec, &size, &plan, &why)) {
        *yes = plan.allocated.total <= o->memory;
        return *yes || sequences > 1 ||
               fail(error, EXIT_INPUT, "--memory: one sequence of %llu tokens with %s takes %llu bytes, more than %llu",
                    (unsigned long long)size.tokens, spec->name, (unsigned long long)plan.allocated.total,
                    (unsigned long long)o->memory);
    }
    *yes = false;
    return (why.exit_code == EXIT_DEVICE && sequences > 1) || fail(error, why.exit_code, "%s", why.text);
}

/* The cache's bytes grow with the batch: doubled until it is too large, then narrowed down. */
static bool largest_batch(const options *o, engine *e, const kv_spec *spec, uint32_t *batch, host_error *error)
{
    uint32_t good = 0, bad = o->most + 1;
    for (uint32_t next = 1; bad - good > 1;) {
        bool yes;
        if (!fits(o, e, spec, next, &yes, error))
            return false;
        *(yes ? &good : &bad) = next;
        next = bad > o->most && 2 * (uint64_t)good < bad ? 2 * good : good + (bad - good) / 2;
    }
    *batch = good;
    return true;
}

/* Keys or values of one prompt: 16-bit floats of deviation 1. */
static bool random_values(trial *t, uint32_t seed, cl_mem *out, host_error *error)
{
    const gguf_type type = GGUF_F16;
    cl_int code;
    cl_kernel kernel;
    cl_ulong units = ((cl_ulong)t->o->context * t->e->m.kv_heads * t->e->m.head_dim + 31) / 32;
    cl_float scale = 1.0f;
    *out = clCreateBuffer(t->e->dev.context, CL_MEM_READ_WRITE, (size_t)units * 64, NULL, &code);
    if (!cl_ok(code, "clCreateBuffer", error) ||
        !kernels_get(t->e->k, "synthesize", &(kernel_options){.weight_type = &type}, &kernel, error))
        return false;
    const kernel_range range = {1, {(size_t)(units + 63) / 64 * 64, 1, 1}, {64, 1, 1}};
    return KERNELS_RUN(t->e->k, kernel, &range, error, KERNEL_ARG(*out), KERNEL_ARG(units), KERNEL_ARG(seed),
                       KERNEL_ARG(scale));
}

static bool create(trial *t, const kv_spec *spec, uint32_t batch, host_error *error)
{
    const kv_size size = size_of(t->o, batch);
    const forward_limits limits = {batch, batch, batch, (uint32_t)size.tokens};
    t->sequences = calloc(batch, sizeof *t->sequences);
    t->words = calloc(4 * (size_t)batch, sizeof *t->words);
    if (!t->sequences || !t->words)
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    return kv_cache_create(t->e->context, &t->e->m, spec, &size, &t->kv, error) &&
           forward_create(&t->e->dev, t->e->k, &t->e->m, &t->e->w, &limits, &t->f, error) &&
           random_values(t, t->o->engine.seed, &t->keys, error) && random_values(t, t->o->engine.seed + 1, &t->values, error);
}

static bool fill(trial *t, uint32_t batch, host_error *error)
{
    const model *m = &t->e->m;
    gear_error detail = {0};
    const gear_sync sync = {.queue = t->e->dev.queue};
    gear_view k = {.mem = t->keys,
                   .stride_head = m->head_dim,
                   .stride_token = (size_t)m->kv_heads * m->head_dim,
                   .type = GEAR_F16},
              v = k;
    v.mem = t->values;
    for (uint32_t i = 0; i < batch; ++i) {
        if (!kv_cache_add(&t->kv, &t->sequences[i], error))
            return false;
        const gear_batch one = {.count = 1, .sequences = &t->sequences[i], .tokens_each = t->o->context};
        for (uint32_t layer = 0; layer < m->layers; ++layer)
            if (!gear_ok(gear_append(t->kv.cache, layer, &one, &k, &v, &sync, &detail), &detail, error))
                return false;
    }
    return cl_ok(clFinish(t->e->dev.queue), "clFinish", error);
}

/* Steps of all sequences; the first tokens are any. */
static bool decode(trial *t, uint32_t batch, uint32_t first, uint32_t steps, host_error *error)
{
    uint32_t *ones = t->words, *positions = ones + batch, *ids = positions + batch, *rows = ids + batch;
    for (uint32_t step = first; step < first + steps; ++step) {
        for (uint32_t i = 0; i < batch; ++i) {
            ones[i] = 1;
            positions[i] = t->o->context + step;
            rows[i] = i;
            ids[i] = step ? ids[i] : i % t->e->m.vocabulary;
        }
        const forward_batch b = {batch, ones, positions, ids, rows, batch};
        if (!forward_step(t->f, &t->kv, t->sequences, &b, error) || !forward_top1(t->f, ids, error))
            return false;
    }
    return true;
}

static bool measure(trial *t, result *r, host_error *error)
{
    double start = timer_ms();
    if (!fill(t, r->batch, error) || !decode(t, r->batch, 0, 1, error))
        return false;
    r->fill_ms = timer_ms() - start;
    start = timer_ms();
    if (!decode(t, r->batch, 1, t->o->steps, error))
        return false;
    r->step_ms = (timer_ms() - start) / t->o->steps;
    r->device_bytes = t->e->w.bytes + forward_bytes(t->f) + t->kv.plan.allocated.total;
    memcpy(r->variant, t->kv.plan.variant, sizeof r->variant);
    return kv_cache_usage(&t->kv, t->sequences, r->batch, &r->usage, error);
}

static bool run_spec(const options *o, engine *e, const kv_spec *spec, result *r, host_error *error)
{
    trial t = {.o = o, .e = e};
    *r = (result){.spec = spec};
    bool ok = largest_batch(o, e, spec, &r->batch, error) && create(&t, spec, r->batch, error) && measure(&t, r, error);
    if (t.keys)
        clReleaseMemObject(t.keys);
    if (t.values)
        clReleaseMemObject(t.values);
    kv_cache_free(&t.kv);
    forward_destroy(t.f);
    free(t.sequences);
    free(t.words);
    return ok;
}

static double rate(const result *r)
{
    return r->batch / r->step_ms * 1e3;
}

static bool add_row(report_table *table, json_t *rows, const result *r, host_error *error)
{
    char cells[5][24];
    report_number(r->usage.bits_per_value, 3, cells[0], sizeof cells[0]);
    report_number(r->batch, 0, cells[1], sizeof cells[1]);
    report_number(rate(r), 1, cells[2], sizeof cells[2]);
    report_number((double)r->usage.bytes.total / 0x1p20, 1, cells[3], sizeof cells[3]);
    report_number((double)r->device_bytes / 0x1p20, 1, cells[4], sizeof cells[4]);
    json_array_append_new(rows, json_pack("{ss so sI so so so so sI ss}", "name", r->spec->name, "bits_per_value",
                                          report_real(r->usage.bits_per_value), "batch", (json_int_t)r->batch,
                                          "tokens_per_second", report_real(rate(r)), "step_ms", report_real(r->step_ms),
                                          "fill_ms", report_real(r->fill_ms), "bytes", report_bytes(&r->usage.bytes),
                                          "device_bytes", (json_int_t)r->device_bytes, "attend_kernel", r->variant));
    return table_add(table, 6, (const char *const[]){r->spec->name, cells[0], cells[1], cells[2], cells[3], cells[4]}, error);
}

static bool report(const options *o, const engine *e, const result *results, out_file *json, host_error *error)
{
    report_table table = {0};
    json_t *rows = json_array();
    bool ok = table_add(&table, 6, (const char *const[]){"cache", "bits/value", "batch", "tokens/s", "cache MiB", "device MiB"},
                        error);
    for (size_t i = 0; ok && i < e->specs.count; ++i)
        ok = add_row(&table, rows, &results[i], error);
    if (ok) {
        printf("%.1f MiB for the cache, %u tokens a sequence, %u steps on %s\n", (double)o->memory / 0x1p20, o->context,
               o->steps, e->dev.name);
        table_print(&table, stdout);
        ok = stdout_ok(error);
    }
    table_free(&table);
    if (ok && json->stream) {
        json_t *root =
            json_pack("{so so sI sI sI sO}", "device", report_device(&e->dev), "model", engine_json(e, &o->engine), "memory",
                      (json_int_t)o->memory, "context", (json_int_t)o->context, "steps", (json_int_t)o->steps, "rows", rows);
        ok = report_write(root, json, error);
        json_decref(root);
    }
    json_decref(rows);
    return ok;
}

int mode_batch(int argc, char **argv)
{
    static char program[] = "gear-llm batch";
    options o = {.engine.seed = 1, .context = 4000, .steps = 64, .most = 4096};
    engine e = {0};
    result *results = NULL;
    out_file json = {0};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, true};
    command_line(&command, argc, argv, &o, &o.engine.command);
    bool ok = engine_open(&o.engine, "16," GEAR_PRESET_DEFAULT, &e, &error) &&
              (!o.engine.json || out_open(&json, o.engine.json, &error));
    if (ok) {
        results = calloc(e.specs.count, sizeof *results);
        ok = results || fail(&error, EXIT_DEVICE, "host memory exhausted");
    }
    for (size_t i = 0; ok && i < e.specs.count; ++i)
        ok = run_spec(&o, &e, &e.specs.items[i], &results[i], &error);
    ok = ok && report(&o, &e, results, &json, &error);
    out_discard(&json);
    free(results);
    engine_close(&e);
    return ok ? 0 : report_failure(program, &error);
}
