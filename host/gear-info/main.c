/* gear-info: lists OpenCL platforms and devices, the attend kernel that the library would choose on each and why, the exact
 * bytes of a cache of a given geometry and codec, and what each preset costs there. */
#include "../common/command_line.h"
#include "../common/report.h"
#include "info.h"

typedef struct options {
    geometry geometry;
    bool geometry_given, presets;
    const char *json;
    command_flags flags;
} options;

enum {
    KEY_LAYERS = 0x600,
    KEY_KV_HEADS,
    KEY_QUERY_HEADS,
    KEY_HEAD_DIM,
    KEY_TOKENS,
    KEY_SEQUENCES,
    KEY_QUERIES,
    KEY_PRESETS,
    KEY_JSON
};

static const struct argp_option option_table[] = {
    {0, 0, NULL, 0, "A cache to plan:", 1},
    {"layers", KEY_LAYERS, "N", 0, "Layers [1]", 0},
    {"kv-heads", KEY_KV_HEADS, "N", 0, "KV heads [8]", 0},
    {"query-heads", KEY_QUERY_HEADS, "N", 0, "Query heads, a multiple of the KV heads [the same]", 0},
    {"head-dim", KEY_HEAD_DIM, "N", 0, "Channels of a head: 64, 80, 96, 128 or 256 [128]", 0},
    {"tokens", KEY_TOKENS, "N", 0, "Capacity in tokens of all sequences together [4096]", 0},
    {"sequences", KEY_SEQUENCES, "N", 0, "Sequences alive at once [1]", 0},
    {"max-queries", KEY_QUERIES, "N", 0, "Largest query count of one sequence [1]", 0},
    {"presets", KEY_PRESETS, NULL, 0, "List every preset and its bits per value for this geometry", 0},
    {0, 0, NULL, 0, "General:", 2},
    {"json", KEY_JSON, "FILE", 0, "Also write everything here", 0},
    {0}};

static const char doc[] =
    "Lists OpenCL devices and what the library would do on them."
    "\v"
    "With a geometry or codec flag it also prints the exact device bytes of such a cache on the device that --device picks: "
    "what gear_cache_create would allocate (pools count as unused until they hold records), a 64-token block of a prompt "
    "segment and a decode segment. bits/value counts everything that block or segment occupies, its share of headers and "
    "page table included; exact first tokens and the channel order come once a sequence and are not in it.\n\n"
    "Exit codes: 0 done, 1 the device or the library failed, 2 wrong usage or input.";

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_LAYERS: o->geometry.layers = args_u32("layers", text, state); break;
    case KEY_KV_HEADS: o->geometry.kv_heads = args_u32("kv-heads", text, state); break;
    case KEY_QUERY_HEADS: o->geometry.query_heads = args_u32("query-heads", text, state); break;
    case KEY_HEAD_DIM: o->geometry.head_dim = args_u32("head-dim", text, state); break;
    case KEY_TOKENS: o->geometry.tokens = args_u64("tokens", text, state); break;
    case KEY_SEQUENCES: o->geometry.sequences = args_u32("sequences", text, state); break;
    case KEY_QUERIES: o->geometry.max_queries = args_u32("max-queries", text, state); break;
    case KEY_PRESETS: o->presets = true; return 0;
    case KEY_JSON: o->json = text; return 0;
    case ARGP_KEY_ARG: argp_failure(state, EXIT_INPUT, 0, "'%s' is not an option", text); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
    o->geometry_given = true;
    return 0;
}

/* The plan and the presets, on the device that --device picks. */
static bool show_cache(const options *o, const recipe *r, json_t *root, host_error *error)
{
    device dev;
    if (!open_device(o->flags.device.device, &dev, error))
        return false;
    close_device(&dev); /* a plan opens it again */
    if ((o->geometry_given || codec_flags_any(&o->flags.codec)) && !show_plan(&o->geometry, r, &dev, root, error))
        return false;
    return !o->presets || show_presets(&o->geometry, &dev, root, error);
}

static bool inform(const options *o, host_error *error)
{
    out_file file = {0};
    recipe r;
    if (!codec_flags_recipe(&o->flags.codec, o->geometry.head_dim, &r, error) || (o->json && !out_open(&file, o->json, error)))
        return false;
    json_t *root = json_pack("{ss}", "version", gear_version());
    bool ok = root != NULL || fail(error, EXIT_DEVICE, "host memory exhausted");
    ok = ok && show_devices(&o->geometry, &r, root, error);
    if (ok && (o->geometry_given || o->presets || codec_flags_any(&o->flags.codec)))
        ok = show_cache(o, &r, root, error);
    ok = ok && stdout_ok(error);
    if (ok && file.stream)
        ok = report_write(root, &file, error);
    out_discard(&file);
    json_decref(root);
    return ok;
}

int main(int argc, char **argv)
{
    static char program[] = "gear-info";
    options o = {.geometry = {.layers = 1, .kv_heads = 8, .head_dim = 128, .tokens = 4096, .sequences = 1, .max_queries = 1}};
    host_error error = {0};
    const command_spec command = {program, option_table, parse, doc, false};
    command_line(&command, argc, argv, &o, &o.flags);
    return inform(&o, &error) ? 0 : report_failure(program, &error);
}
