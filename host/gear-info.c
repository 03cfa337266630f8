/* gear-info: lists OpenCL platforms and devices, the attend kernel that the library would choose on each and why, and the exact
 * bytes of a cache of a given geometry and codec. */
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/codec_flags.h"
#include "common/report.h"

typedef struct options {
    uint32_t layers, kv_heads, query_heads, head_dim, sequences, max_queries;
    uint64_t tokens;
    bool geometry_given;
    const char *json;
    device_flags device;
    codec_flags codec;
} options;

enum { KEY_LAYERS = 0x600, KEY_KV_HEADS, KEY_QUERY_HEADS, KEY_HEAD_DIM, KEY_TOKENS, KEY_SEQUENCES, KEY_QUERIES, KEY_JSON };

static const struct argp_option option_table[] = {
    {0, 0, NULL, 0, "A cache to plan:", 1},
    {"layers", KEY_LAYERS, "N", 0, "Layers [1]", 0},
    {"kv-heads", KEY_KV_HEADS, "N", 0, "KV heads [8]", 0},
    {"query-heads", KEY_QUERY_HEADS, "N", 0, "Query heads, a multiple of the KV heads [the same]", 0},
    {"head-dim", KEY_HEAD_DIM, "N", 0, "Channels of a head: 64, 80, 96, 128 or 256 [128]", 0},
    {"tokens", KEY_TOKENS, "N", 0, "Capacity in tokens of all sequences together [4096]", 0},
    {"sequences", KEY_SEQUENCES, "N", 0, "Sequences alive at once [1]", 0},
    {"max-queries", KEY_QUERIES, "N", 0, "Largest query count of one sequence [1]", 0},
    {0, 0, NULL, 0, "General:", 2},
    {"json", KEY_JSON, "FILE", 0, "Also write everything here", 0},
    {0}};

static const char doc[] = "Lists OpenCL devices and what the library would do on them."
                          "\v"
                          "With a geometry or codec flag it also prints the exact device bytes of such a cache on the device "
                          "that --device picks: what "
                          "gear_cache_create would allocate (pools count as unused until they hold records), a 64-token block "
                          "of a prompt segment and a "
                          "decode segment.\n\n"
                          "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->device;
        state->child_inputs[1] = &o->codec;
        return 0;
    case KEY_LAYERS:
        o->layers = args_u32("layers", text, state);
        break;
    case KEY_KV_HEADS:
        o->kv_heads = args_u32("kv-heads", text, state);
        break;
    case KEY_QUERY_HEADS:
        o->query_heads = args_u32("query-heads", text, state);
        break;
    case KEY_HEAD_DIM:
        o->head_dim = args_u32("head-dim", text, state);
        break;
    case KEY_TOKENS:
        o->tokens = args_u64("tokens", text, state);
        break;
    case KEY_SEQUENCES:
        o->sequences = args_u32("sequences", text, state);
        break;
    case KEY_QUERIES:
        o->max_queries = args_u32("max-queries", text, state);
        break;
    case KEY_JSON:
        o->json = text;
        return 0;
    case ARGP_KEY_ARG:
        argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    o->geometry_given = true;
    return 0;
}

/* Asks the library for the plan of the options' cache on one device. */
static bool query_plan(const options *o, device *dev, gear_cache_plan *plan, host_error *error)
{
    bool ok = false;
    gear_error detail = {0};
    gear_context *context = NULL;
    gear_context_desc desc;
    gear_cache_desc cache;
    gear_context_desc_init(&desc);
    gear_cache_desc_init(&cache);
    gear_cache_plan_init(plan);
    cache.num_layers = o->layers;
    cache.num_kv_heads = o->kv_heads;
    cache.num_query_heads = o->query_heads;
    cache.head_dim = o->head_dim;
    cache.capacity_tokens = o->tokens;
    cache.capacity_sequences = o->sequences;
    cache.max_query_tokens = o->max_queries;
    codec_flags_apply(&o->codec, &o->codec.pair, &cache);
    if (!open_listed(dev, error))
        return false;
    desc.context = dev->context;
    desc.device = dev->id;
    ok = gear_ok(gear_context_create(&desc, &context, &detail), &detail, error) &&
         gear_ok(gear_cache_query(context, &cache, plan, &detail), &detail, error);
    gear_context_destroy(context);
    close_device(dev);
    return ok;
}

typedef struct capabilities {
    cl_uint units, clock, bits;
    cl_ulong memory, most_allocation, local;
    size_t group;
    bool half, subgroups;
} capabilities;

static capabilities read_capabilities(const device *dev)
{
    capabilities c = {0};
    size_t size = 0;
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof c.units, &c.units, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_CLOCK_FREQUENCY, sizeof c.clock, &c.clock, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_ADDRESS_BITS, sizeof c.bits, &c.bits, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof c.memory, &c.memory, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof c.most_allocation, &c.most_allocation, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof c.local, &c.local, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof c.group, &c.group, NULL);
    clGetDeviceInfo(dev->id, CL_DEVICE_EXTENSIONS, 0, NULL, &size);
    char *extensions = size ? malloc(size) : NULL;
    if (extensions && clGetDeviceInfo(dev->id, CL_DEVICE_EXTENSIONS, size, extensions, NULL) == CL_SUCCESS) {
        c.half = strstr(extensions, "cl_khr_fp16") != NULL;
        c.subgroups = strstr(extensions, "cl_khr_subgroups") || strstr(extensions, "cl_intel_subgroups");
    }
    free(extensions);
    return c;
}

/* Prints one device and returns its JSON object. `error` says why the library does not serve it, if so. */
static json_t *show_device(const device *dev, const gear_cache_plan *plan, const host_error *error)
{
    capabilities c = read_capabilities(dev);
    printf("  %s (%s, %s)\n", dev->name, device_kind(dev->type), dev->vendor);
    printf("    %s, driver %s\n", dev->version, dev->driver);
    printf("    %u compute units, %u MHz, %u-bit addresses; %llu MiB, largest allocation %llu MiB, local %llu KiB\n", c.units,
           c.clock, c.bits, (unsigned long long)(c.memory >> 20), (unsigned long long)(c.most_allocation >> 20),
           (unsigned long long)(c.local >> 10));
    printf("    work-groups of %zu; 16-bit floats: %s; sub-groups: %s\n", c.group, c.half ? "yes" : "no",
           c.subgroups ? "yes" : "no");
    if (error->exit_code)
        printf("    not served: %s\n", error->text);
    else
        printf("    attend kernel: %s (%s)\n", plan->variant, plan->variant_reason);
    json_t *object = report_device(dev);
    json_t *more = json_pack("{sI sI sI sI sI sI sI sb sb}", "compute_units", (json_int_t)c.units, "clock_mhz",
                             (json_int_t)c.clock, "address_bits", (json_int_t)c.bits, "memory_bytes", (json_int_t)c.memory,
                             "max_allocation_bytes", (json_int_t)c.most_allocation, "local_bytes", (json_int_t)c.local,
                             "max_work_group", (json_int_t)c.group, "fp16", c.half, "subgroups", c.subgroups);
    json_t *attend = error->exit_code ? json_pack("{ss}", "error", error->text)
                                      : json_pack("{ss ss}", "variant", plan->variant, "reason", plan->variant_reason);
    if (!object || !more || json_object_update(object, more) || json_object_set_new(object, "attend", attend)) {
        json_decref(object);
        object = NULL;
    }
    json_decref(more);
    return object;
}

static bool show_devices(const options *o, json_t *root, host_error *error)
{
    size_t count = 0;
    device *list = list_devices(&count, error);
    json_t *array = json_array();
    bool ok = list != NULL;
    if (ok && !count)
        printf("no OpenCL device: install a driver, for example the package pocl-opencl-icd\n");
    for (size_t i = 0; ok && i < count; ++i) {
        host_error refused = {0};
        gear_cache_plan plan;
        /* A wrong geometry is the user's error on every device; anything else is this device's. */
        if (!query_plan(o, &list[i], &plan, &refused) && refused.exit_code == EXIT_INPUT) {
            *error = refused;
            ok = false;
            break;
        }
        if (!i || strcmp(list[i].platform_name, list[i - 1].platform_name) != 0)
            printf("%s\n", list[i].platform_name);
        if (json_array_append_new(array, show_device(&list[i], &plan, &refused)))
            ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    }
    if (json_object_set_new(root, "devices", array) && ok)
        ok = fail(error, EXIT_DEVICE, "host memory exhausted");
    free(list);
    return ok;
}

static bool add_bytes_row(report_table *table, const char *name, uint64_t a, uint64_t b, uint64_t c, host_error *error)
{
    char text[3][24];
    const uint64_t values[] = {a, b, c};
    for (int i = 0; i < 3; ++i)
        snprintf(text[i], sizeof text[i], "%llu", (unsigned long long)values[i]);
    return table_add(table, 4, (const char *const[]){name, text[0], text[1], text[2]}, error);
}

static bool print_plan(const gear_cache_plan *plan, host_error *error)
{
    report_table table = {0};
    const gear_bytes *a = &plan->allocated, *p = &plan->prompt_block, *d = &plan->decode_block;
    bool ok = table_add(&table, 4, (const char *const[]){"bytes", "allocated", "prompt block", "decode segment"}, error);
#define PLAN_ROW(part) ok = ok && add_bytes_row(&table, #part, a->part, p->part, d->part, error)
    PLAN_ROW(codes);
    PLAN_ROW(scales);
    PLAN_ROW(lowrank);
    PLAN_ROW(outliers);
    PLAN_ROW(exact);
    PLAN_ROW(window);
    PLAN_ROW(tables);
    PLAN_ROW(scratch);
    PLAN_ROW(unused);
    PLAN_ROW(total);
#undef PLAN_ROW
    char prompt[24], decode[24];
    report_number(plan->prompt_bits, 3, prompt, sizeof prompt);
    report_number(plan->decode_bits, 3, decode, sizeof decode);
    ok = ok && table_add(&table, 4, (const char *const[]){"bits/value", "", prompt, decode}, error);
    if (ok)
        table_print(&table, stdout);
    table_free(&table);
    return ok;
}

static bool show_plan(const options *o, json_t *root, host_error *error)
{
    device dev;
    gear_cache_plan plan;
    if (!open_device(o->device.device, &dev, error))
        return false;
    close_device(&dev);
    if (!query_plan(o, &dev, &plan, error))
        return false;
    char name[48];
    codec_name(&o->codec.pair, name, sizeof name);
    printf("\n%s on %s: layers %u, KV heads %u, query heads %u, head_dim %u, tokens %llu, sequences %u, queries %u\n", name,
           dev.name, o->layers, o->kv_heads, o->query_heads ? o->query_heads : o->kv_heads, o->head_dim,
           (unsigned long long)o->tokens, o->sequences, o->max_queries);
    printf("the window holds %u tokens a sequence; attend kernel: %s (%s)\n", plan.window_tokens, plan.variant,
           plan.variant_reason);
    json_t *cache = json_pack("{ss so ss ss sI so so so so so}", "codec", name, "device", report_device(&dev), "variant",
                              plan.variant, "variant_reason", plan.variant_reason, "window_tokens",
                              (json_int_t)plan.window_tokens, "prompt_bits", report_real(plan.prompt_bits), "decode_bits",
                              report_real(plan.decode_bits), "allocated", report_bytes(&plan.allocated), "prompt_block",
                              report_bytes(&plan.prompt_block), "decode_segment", report_bytes(&plan.decode_block));
    if (!cache || json_object_set_new(root, "cache", cache))
        return fail(error, EXIT_DEVICE, "host memory exhausted");
    return print_plan(&plan, error);
}

static bool inform(const options *o, host_error *error)
{
    FILE *file = NULL;
    if (o->json && !(file = report_open(o->json, error)))
        return false;
    json_t *root = json_pack("{ss}", "version", gear_version());
    bool ok = root != NULL || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && show_devices(o, root, error);
    if (ok && (o->geometry_given || o->codec.given))
        ok = show_plan(o, root, error);
    ok = ok && stdout_ok(error);
    if (ok && file)
        ok = report_write(root, file, o->json, error);
    else if (file)
        fclose(file);
    json_decref(root);
    return ok;
}

int main(int argc, char **argv)
{
    static char program[] = "gear-info";
    options o = {.layers = 1, .kv_heads = 8, .head_dim = 128, .tokens = 4096, .sequences = 1, .max_queries = 1};
    host_error error = {0};
    codec_flags_init(&o.codec);
    args_setup();
    const struct argp_child children[] = {{&device_argp, 0, NULL, 3}, {&codec_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {option_table, parse, NULL, doc, children, NULL, NULL};
    argv[0] = program; /* getopt's messages begin with it */
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    return inform(&o, &error) ? 0 : report_failure(program, &error);
}
